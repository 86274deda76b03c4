"""The provider `demo`: a model that does as it is instructed, and seven with a weakness each (`weaknesses`)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from tilores_core import (
    ModelInfo,
    PluginContext,
    ProviderError,
    ProviderUnavailableError,
    TiloresError,
    UnknownModelError,
)
from tilores_plugins.providers.demo.parameters import model_fields
from tilores_plugins.providers.demo.reading import read_prompt
from tilores_plugins.providers.demo.weaknesses import WEAKNESSES

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from tilores_plugins.providers.demo.settings import DemoModelSettings

_PROVIDER: Final = "demo"
_MODELS: Final = {
    name: ModelInfo(
        id=name,
        context_window=128_000,
        max_output_tokens=4_096,
        input_price=0.0,
        output_price=0.0,
        tools=True,
        json_output=True,
        simulated=True,
        immediate=True,
        continues=False,
        needs_tool_choice=True,
        created=1_767_225_600,  # 2026-01-01
    )
    for name in ("simulated-1", *WEAKNESSES)
}
_PROMPTS_REMEMBERED: Final = 32


def build(context: PluginContext) -> DemoProvider:
    """The factory that the hook names."""
    return DemoProvider(context.settings)


class DemoProvider:
    """An `LLMProvider` without key and network.

    System messages taken apart are remembered (the latest 32, in memory), as one customer is usually asked
    about several times in a row.
    """

    def __init__(self, settings: DemoModelSettings) -> None:
        self._settings = settings
        self._dice = random.Random(settings.seed)  # noqa: S311 - decides simulated failures, nothing secret
        self._read = lru_cache(maxsize=_PROMPTS_REMEMBERED)(read_prompt)

    def models(self) -> Sequence[ModelInfo]:
        return tuple(_MODELS.values())

    def chat_model(self, model: str, parameters: Mapping[str, Any]) -> BaseChatModel:
        if model not in _MODELS:
            known = ", ".join(f"{_PROVIDER}:{name}" for name in _MODELS)
            raise UnknownModelError(f"the demo provider has no model '{model[:100]}'", fix=f"use one of {known}")
        fields = {"seed": self._settings.seed or 0, **model_fields(parameters), "model": model}
        from tilores_plugins.providers.demo.model import SimulatedChatModel  # here: it imports LangChain

        return SimulatedChatModel(
            read=self._read,
            fails=self._fails if self._settings.failure_rate else None,
            latency_ms=self._settings.latency_ms,
            tokens_per_second=self._settings.tokens_per_second,
            **fields,
        )

    def map_error(self, error: Exception) -> Exception:
        if isinstance(error, TiloresError):
            return error
        if getattr(error, "status_code", None) == 503 or isinstance(error, TimeoutError):
            return ProviderUnavailableError(
                "the demo model does not answer (a simulated outage)", provider=_PROVIDER, fix="ask again"
            )
        return ProviderError(f"the demo model failed: {type(error).__name__}", provider=_PROVIDER)

    async def aclose(self) -> None:
        self._read.cache_clear()

    def _fails(self) -> bool:
        return self._dice.random() < self._settings.failure_rate
