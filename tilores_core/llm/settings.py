"""What every provider's table in plugins.toml can hold."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class ModelSettings(BaseModel):
    """`[plugins.PROVIDER.models."MODEL"]`: a model to add, or what to correct on a listed one.

    What is not given stays as the provider's data has it; on a model that is not listed it is unknown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    context_window: int | None = Field(None, ge=1, description="tokens of prompt and answer together")
    max_output_tokens: int | None = Field(None, ge=1, description="tokens of the longest answer")
    input_price: float | None = Field(None, ge=0, description="US dollars per million tokens of prompt")
    output_price: float | None = Field(None, ge=0, description="US dollars per million tokens of answer")
    vision: bool | None = Field(None, description="takes images")
    tools: bool | None = Field(None, description="calls tools")
    json_output: bool | None = Field(None, description="can be held to JSON")
    json_schema: bool | None = Field(None, description="can be held to a JSON schema")
    reasoning: bool | None = Field(None, description="thinks before it answers")
    refuses: tuple[str, ...] | None = Field(
        None, description="parameters it cannot take, by their OpenAI names, such as temperature"
    )


class ProviderSettings(BaseModel):
    """What a provider without a key has too."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    base_url: str | None = Field(None, description="another address to call; default: the provider's own")
    models: dict[str, ModelSettings] = Field(
        default_factory=dict, description="models to add to the list, or to correct, by name"
    )
    only: tuple[str, ...] = Field((), description="the only models to list and to serve; empty: all")
    timeout_seconds: float = Field(60.0, gt=0, le=3600, description="longest silence within an answer")
    connect_seconds: float = Field(5.0, gt=0, le=600, description="longest wait for a connection")
    max_connections: int = Field(
        128, ge=1, le=10_000, description="connections kept to the provider; more calls than that wait"
    )

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is None or not value.strip():
            return None
        value = value.strip().rstrip("/").removesuffix("/chat/completions")  # it is added to each call
        scheme, _, rest = value.partition("://")
        if scheme.lower() not in ("http", "https") or not rest or any(c.isspace() for c in rest):
            raise ValueError("write it as https://host/path")
        return value


class KeyedProviderSettings(ProviderSettings):
    """A provider that wants a key. Name its variable in the spec's `environment`."""

    api_key: SecretStr | None = Field(None, description="the key, by reference; default: the provider's variable")

    @field_validator("api_key")
    @classmethod
    def _not_blank(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not (text := value.get_secret_value().strip()):
            return None
        if not text.isascii() or not text.isprintable():
            # It goes into a header: this would otherwise fail at the first call.
            raise ValueError("a key is one line of plain ASCII")
        return SecretStr(text)
