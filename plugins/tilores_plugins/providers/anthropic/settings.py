"""Settings of Claude: `[plugins.anthropic]` in plugins.toml."""

from __future__ import annotations

from pydantic import Field

from tilores_core.llm import KeyedProviderSettings


class AnthropicSettings(KeyedProviderSettings):
    max_tokens: int | None = Field(
        None, ge=1, description="longest answer where a request sets no limit; default: what the model can do"
    )
    cache_prompt: bool = Field(
        False, description="have Anthropic remember the system prompt for five minutes, at its price for that"
    )
