"""The wire protocols, each a module; a dialect is imported when a fake upstream of it is made."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final

from tilores_core.testing.fake_upstream.dialects.base import Dialect

_WHERE: Final = {
    "openai": "openai:OpenAI",
    "openai-compatible": "openai:Compatible",
    "deepseek": "deepseek:DeepSeek",
    "groq": "groq:Groq",
    "mistral": "mistral:Mistral",
    "openrouter": "openrouter:OpenRouter",
    "anthropic": "anthropic:Anthropic",
    "google": "google:Google",
    "ollama": "ollama:Ollama",
}
DIALECTS: Final = tuple(_WHERE)


def dialect(name: str, *, key: str, models: Mapping[str, int | None] | None) -> Dialect:
    """The dialect of that name; `ValueError` when there is none."""
    if name not in _WHERE:
        raise ValueError(f"no dialect {name!r}; there are {', '.join(DIALECTS)}")
    module, _, made = _WHERE[name].partition(":")
    found: type[Dialect] = getattr(import_module(f"{__name__}.{module}"), made)
    return found(key=key, models=models)
