"""`[plugins.openrouter]` in plugins.toml."""

from __future__ import annotations

from pydantic import Field

from tilores_core.llm import KeyedProviderSettings

_HEADER = r"^[\x20-\x7e]*$"


class Settings(KeyedProviderSettings):
    """How the application is called in OpenRouter's own statistics; nothing is sent by default."""

    app_title: str | None = Field(None, max_length=200, pattern=_HEADER, description="sent as X-Title")
    app_url: str | None = Field(None, max_length=500, pattern=_HEADER, description="sent as HTTP-Referer")
