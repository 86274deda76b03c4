"""Language models: `ModelInfo` and the `LLMProvider` role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model as `/v1/models` and `tilores models` show it. `id` is without the provider's name.

    `unavailable` says what to do before it can be used. Prices are US dollars per million tokens.
    """

    id: str
    context_window: int | None = None
    max_output_tokens: int | None = None
    input_price: float | None = None
    output_price: float | None = None
    vision: bool = False
    tools: bool = False
    json_output: bool = False
    simulated: bool = False
    created: int = 0
    unavailable: str | None = None


class LLMProvider(Protocol):
    """A family of models behind one key and one address."""

    def models(self) -> Sequence[ModelInfo]:
        """The models to list; no network."""
        ...

    def chat_model(self, model: str, parameters: Mapping[str, Any]) -> BaseChatModel:
        """A LangChain chat model for `model` (without the provider's name) with the parameters set.

        Imports its SDK here, not earlier. The engine keeps the object and uses it concurrently. Raises
        `UnsupportedParameterError` naming a parameter the model cannot take, `UnknownModelError`,
        `ProviderAuthError` when there is no key. `parameters` may hold `tools` and `tool_choice`.

        Its answers must say in `response_metadata` why they ended (`finish_reason`, `stop_reason` or `done_reason`);
        an answer without one counts as cut off.
        """
        ...

    def map_error(self, error: Exception) -> Exception:
        """The provider's own exception as one of `ProviderError`'s or `InvalidRequestError`'s kinds."""
        ...

    async def aclose(self) -> None: ...


@runtime_checkable
class SupportsUpstreams(Protocol):
    """An `LLMProvider` with several addresses: limits and circuit breakers are kept per address."""

    def upstream(self, model: str) -> str:
        """What serves `model` (without the provider's name): one of a few names, also for an unknown model."""
        ...
