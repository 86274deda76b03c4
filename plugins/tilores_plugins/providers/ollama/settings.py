"""Settings of Ollama: `[plugins.ollama]` in plugins.toml."""

from __future__ import annotations

from pydantic import Field, field_validator

from tilores_core.llm import ProviderSettings

_PORT = 11434


class OllamaSettings(ProviderSettings):
    """`base_url` may be written as OLLAMA_HOST is, without scheme or port. A model's `context_window` is also what
    Ollama reserves; unset, Ollama decides, and cuts off what does not fit without a word."""

    keep_alive: str | None = Field(
        None,
        pattern=r"^-?\d+(\.\d+)?(ms|s|m|h)$",
        description="how long a model stays loaded, such as 30m; -1s: for ever",
    )

    @field_validator("base_url", mode="before")
    @classmethod
    def _as_host(cls, value: object) -> object:
        """Make an address of `OLLAMA_HOST`, which says host, host:port, :port or a whole address."""
        if not isinstance(value, str) or not (text := value.strip()) or "://" in text:
            return value
        host, slash, path = text.partition("/")
        name, colon, port = host.rpartition(":")
        if not colon or port.endswith("]"):
            name, port = host, str(_PORT)
        name = name or "127.0.0.1"
        # A server may listen on every address; a client cannot call that one.
        name = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(name, name)  # noqa: S104 - replaced, not bound
        return f"http://{name}:{port}{slash}{path}"
