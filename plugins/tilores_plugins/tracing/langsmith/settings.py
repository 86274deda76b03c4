"""`[plugins.langsmith]` in plugins.toml."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

_OFF = frozenset(("false", "0", "no", "off"))


class Settings(BaseModel):
    """Each is also had from its variable: LANGSMITH_TRACING, LANGSMITH_API_KEY, LANGSMITH_PROJECT,
    LANGSMITH_ENDPOINT, LANGSMITH_WORKSPACE_ID."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    tracing: bool = Field(True, description="false: nothing is sent, even with a key")
    api_key: SecretStr | None = Field(None, description="LangSmith's key; none: the tracer is off")
    project: str = Field("tilores-core", min_length=1, max_length=200, description="where the traces appear")
    endpoint: str = Field(
        "https://api.smith.langchain.com",
        pattern=r"^https?://[^\s@]+$",
        max_length=500,
        description="LangSmith's address; another one for the EU or an installation of one's own",
    )
    workspace_id: str | None = Field(
        None, max_length=100, description="the workspace, for a key that is good for several"
    )
    timeout_seconds: float = Field(
        8.0, gt=0, le=60, description="longest time for one batch, its retries and waiting included"
    )
    max_bytes: int = Field(
        5_000_000,
        ge=10_000,
        le=20_000_000,
        description="largest request; a trace beyond it is sent without its texts",
    )

    @field_validator("tracing", mode="before")
    @classmethod
    def _from_variable(cls, value: Any) -> Any:
        """LangSmith's own words for yes are several; only a no is a no."""
        return value.strip().lower() not in _OFF if isinstance(value, str) else value
