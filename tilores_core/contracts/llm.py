"""Language models: `ModelInfo` and the `LLMProvider` role."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from tilores_core.contracts.source import empty_mapping
from tilores_core.contracts.turn import Message, Usage

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model as `/v1/models` and `tilores models` show it. `id` is without the provider's name.

    `unavailable` says what to do before it can be used. Prices are US dollars per million tokens.

    How it is asked: `immediate`: its answer takes no time, so that a late first token is not watched for.
    `continues`: it can go on from the beginning of an answer that broke off; otherwise it is asked again.
    `needs_tool_choice`: it calls a tool only when `tool_choice` requires one.
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
    immediate: bool = False
    continues: bool = True
    needs_tool_choice: bool = False
    created: int = 0
    unavailable: str | None = None


class CompletionRequest(NamedTuple):
    """One call of a model.

    `model` is without the provider's name; `messages` begin with the system message, and there is one at most;
    `parameters` have OpenAI's names. With `stream` the answer is wanted in pieces.
    """

    model: str
    messages: Sequence[Message]
    parameters: Mapping[str, Any]
    stream: bool


class CompletionPiece(NamedTuple):
    """What one event of a provider says; a whole reply is one piece. The engine corrects what providers get wrong.

    `tool_calls` as they came, in OpenAI's delta shape. `state`: what the provider must see again with the results of
    the tools that this answer calls (`reasoning_content`, …): texts are joined, lists appended. `usage`: all tokens
    up to now. `cost`: US dollars, where the provider says it. `finish_reason` in the provider's words. `native`: the
    message in the provider's own form, given back to it in the history as the key `native` of a message. `thinking`:
    it is at work, though nothing of the answer is in this piece. `served_by`: the model that the provider says it
    used, with the fingerprint of its system where it gives one.
    """

    text: str = ""
    tool_calls: Sequence[Mapping[str, Any]] = ()
    state: Mapping[str, Any] = empty_mapping()
    usage: Usage | None = None
    cost: float | None = None
    finish_reason: str | None = None
    native: Any = None
    thinking: bool = False
    served_by: str | None = None


class LLMProvider(Protocol):
    """A family of models behind one key and one address."""

    def models(self) -> Sequence[ModelInfo]:
        """The models to list; no network."""

    def chat_model(self, model: str, parameters: Mapping[str, Any]) -> BaseChatModel:
        """A LangChain chat model for `model` (without the provider's name) with the parameters set.

        Imports its SDK here, not earlier. The engine keeps the object and uses it concurrently. Raises
        `UnsupportedParameterError` naming a parameter the model cannot take, `UnknownModelError`,
        `ProviderAuthError` when there is no key. `parameters` may hold `tools` and `tool_choice`.

        Its answers must say in `response_metadata` why they ended (`finish_reason`, `stop_reason` or `done_reason`);
        an answer without one counts as cut off.
        """

    def map_error(self, error: Exception) -> Exception:
        """The provider's own exception as one of `ProviderError`'s or `InvalidRequestError`'s kinds."""

    async def aclose(self) -> None: ...


@runtime_checkable
class SupportsUpstreams(Protocol):
    """An `LLMProvider` with several addresses: limits and circuit breakers are kept per address."""

    def upstream(self, model: str) -> str:
        """What serves `model` (without the provider's name): one of a few names, also for an unknown model."""


@runtime_checkable
class SupportsCompletion(Protocol):
    """An `LLMProvider` that is asked directly, without a LangChain chat model in between."""

    def complete(self, request: CompletionRequest) -> AsyncGenerator[CompletionPiece]:
        """The answer to one request, asked for when the first piece is taken; closing it closes the connection.

        Builds the request before it returns, and raises then what is the caller's to mend: `InvalidRequestError`,
        `UnsupportedParameterError`, `UnknownModelError`, `ProviderAuthError` without a key. What is raised later is
        given to `map_error`.
        """

    async def warm_up(self) -> None:
        """Load what the first request needs, so that no caller waits for it."""
