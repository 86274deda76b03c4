"""`[plugins.openai-compatible]` in plugins.toml."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tilores_core.llm import KeyedProviderSettings

InstanceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class Instance(KeyedProviderSettings):
    """One server. Its models are listed when `models` names them; others are passed on all the same."""

    base_url: str = Field(description="where it is, mostly with /v1 at its end")
    max_stops: int | None = Field(None, ge=0, description="stop strings that it takes; default: any number")


class Settings(BaseModel):
    """Any number of servers, by names of lower case letters, digits and hyphens."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    instances: dict[InstanceName, Instance] = Field(
        default_factory=dict, description="the servers by name; a model is `openai-compatible:NAME/MODEL`"
    )
