"""Which models there are, and what a model's name means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import structlog
from cachetools import LRUCache

from tilores_core.cache.keys import canonical
from tilores_core.contracts import (
    CompletionPiece,
    CompletionRequest,
    LLMProvider,
    Message,
    ModelInfo,
    SupportsCompletion,
    SupportsUpstreams,
    Usage,
)
from tilores_core.errors import (
    ConfigError,
    InvalidRequestError,
    ProviderAuthError,
    TiloresError,
    UnknownModelError,
)
from tilores_core.llm.normalizer import Completion, Normalizer
from tilores_core.llm.thoughts import begins_in_thought
from tilores_core.llm.written_calls import offered_tools

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

log = structlog.get_logger(part="chat")

_CHAT_MODELS_KEPT = 128
_LONGEST_NAME = 200
_MODELS_KEPT = 1024  # callers may name models that are in no list
_HELD = 8  # answers of a model, from the last one on that began within a thought


class Models:
    """The providers by name. `default` and `fallbacks` are full names, `provider:model`. `idle`: providers whose
    library is not installed, and how to get it.

    Raises `ConfigError` when one of them has no provider.
    """

    def __init__(
        self,
        providers: Mapping[str, LLMProvider],
        *,
        default: str,
        fallbacks: Sequence[str] = (),
        idle: Mapping[str, str] | None = None,
    ) -> None:
        self._providers = dict(providers)
        self.idle = dict(idle or {})
        self._several = {name: one for name, one in providers.items() if isinstance(one, SupportsUpstreams)}
        self._direct = {name: one for name, one in providers.items() if isinstance(one, SupportsCompletion)}
        self._chat_models: LRUCache[tuple[str, bytes], BaseChatModel] = LRUCache(_CHAT_MODELS_KEPT)
        self._making: dict[tuple[str, bytes], asyncio.Task[BaseChatModel]] = {}
        self._listed = {
            f"{name}:{info.id}": (name, info)
            for name, provider in self._providers.items()
            for info in provider.models()
        }
        self._in_thought: dict[str, int] = {}  # by name, how many answers are held
        self._bare: dict[str, list[str]] = {}
        for full in self._listed:
            self._bare.setdefault(full.partition(":")[2], []).append(full)
        try:
            self.default = self.resolve(default)
            self.fallbacks = tuple(self.resolve(name) for name in fallbacks)
        except UnknownModelError as error:
            raise ConfigError(error.message, where="plugins.toml: [use] model/fallbacks", fix=error.fix) from None

    def resolve(self, name: str | None) -> str:
        """The full name. A bare model works where only one provider has it; an unlisted model of a known provider
        is passed on. Raises `UnknownModelError`."""
        if name is None:
            return self.default
        if name in self._listed:
            return name
        provider, colon, model = name.partition(":")
        if colon and model and provider in self._providers and len(name) <= _LONGEST_NAME:
            return name
        owners = self._bare.get(name, [])
        if len(owners) == 1:
            return owners[0]
        if owners:
            raise UnknownModelError(f"several providers have {name!r}", fix=f"say one of {', '.join(owners)}")
        if colon and provider in self.idle:
            raise UnknownModelError(f"the library of {provider!r} is not installed", fix=self.idle[provider])
        near = get_close_matches(name[:_LONGEST_NAME], self._listed, n=1)
        raise UnknownModelError(
            f"there is no model {name[:_LONGEST_NAME]!r}",
            fix=f"did you mean {near[0]!r}?" if near else "GET /v1/models and `tilores models` list what there is",
        )

    def listing(self) -> list[tuple[str, ModelInfo]]:
        """All listed models with their provider's name."""
        return list(self._listed.values())

    def info(self, name: str) -> ModelInfo | None:
        """What is known of a full name; None for an unlisted model."""
        found = self._listed.get(name)
        return found[1] if found else None

    def display_name(self, name: str) -> str:
        """A full name as logs and traces may hold it: callers choose the names of unlisted models freely."""
        return name if self.is_offered(name) else f"{name.partition(':')[0]}:other"

    def is_offered(self, name: str) -> bool:
        """Is a full name the operator's: listed, or in `[use]`?"""
        return name in self._listed or name == self.default or name in self.fallbacks

    @property
    def providers(self) -> Collection[str]:
        """The names of the providers."""
        return self._providers.keys()

    def provider(self, name: str) -> LLMProvider:
        """The provider of a full name."""
        return self._providers[name.partition(":")[0]]

    def upstream(self, name: str) -> str:
        """What serves a full name: its provider, or one of that one's addresses."""
        provider, _, bare = name.partition(":")
        several = self._several.get(provider)
        return provider if several is None else f"{provider}:{several.upstream(bare)}"

    async def require(self, *names: str) -> None:
        """Raise `UnknownModelError` for a full name that its provider refuses without being asked."""
        for name in names:
            try:
                pieces, _ = await self.begin(name, ({"role": "user", "content": "?"},), {}, stream=False)
                await pieces.aclose()
            except UnknownModelError:
                provider, _, bare = name.partition(":")
                known = [full for full, (owner, _) in self._listed.items() if owner == provider]
                raise UnknownModelError(
                    f"{provider} has no model '{bare[:_LONGEST_NAME]}'", fix=f"use one of {', '.join(known)}"
                ) from None
            except Exception as error:  # such as a key that is missing: it says nothing of the model
                log.debug("chat.model_not_ready", model=name, error=type(error).__name__)

    async def begin(
        self,
        name: str,
        messages: Sequence[Message],
        parameters: Mapping[str, Any],
        *,
        stream: bool,
        seconds: float | None = None,
    ) -> tuple[AsyncGenerator[CompletionPiece], bool]:
        """One call, built but not made, and whether its answer comes in pieces: not every model can.

        Raises `InvalidRequestError` and its like for a request that cannot be built, `TimeoutError` when a LangChain
        model takes more than `seconds` to make.
        """
        provider, _, bare = name.partition(":")
        if (direct := self._direct.get(provider)) is not None:
            try:
                return direct.complete(CompletionRequest(bare, messages, parameters, stream)), stream
            except TiloresError:
                raise
            except Exception as error:  # a plugin's code
                raise InvalidRequestError(
                    f"the request cannot be put to {provider}: {type(error).__name__}", param="messages"
                ) from error
        from tilores_core.chat import langchain_adapter

        model = self._chat_models.get((name, _key_of(parameters)))
        if model is None:
            async with asyncio.timeout(seconds):
                model = await self.chat_model(name, parameters)
        stream = stream and langchain_adapter.can_stream(model)
        prompt = langchain_adapter.to_langchain(messages)
        return langchain_adapter.complete(model, prompt, stream=stream), stream

    async def ask(
        self,
        name: str,
        messages: Sequence[Message],
        parameters: Mapping[str, Any] | None = None,
        *,
        stream: bool = False,
    ) -> Completion:
        """One call without routing, as doctors and tests make it. Raises what the provider raises, not mapped."""
        pieces, _ = await self.begin(name, messages, parameters or {}, stream=stream)
        answer = self.normalizer(name, parameters or {})
        async with aclosing(pieces):
            async for piece in pieces:
                answer.add(piece)
        answer.finish()
        return answer.completion()

    def normalizer(self, name: str, parameters: Mapping[str, Any]) -> Normalizer:
        """For one answer of a model; `learn` from it afterwards."""
        hold = self._in_thought.get(name)
        guess = hold is None and begins_in_thought(name)
        return Normalizer(offered_tools(parameters), in_thought=guess or bool(hold), unless_beside=guess)

    def learn(self, name: str, answer: Normalizer) -> None:
        """Remember whether a model's answers begin within a thought: the text of the next ones is held meanwhile."""
        hold = self._in_thought.get(name)
        if answer.began_in_thought or hold != 0:
            self._in_thought[name] = _HELD if answer.began_in_thought else hold - 1 if hold else 0
            if len(self._in_thought) > _MODELS_KEPT:
                del self._in_thought[next(iter(self._in_thought))]

    async def chat_model(self, name: str, parameters: Mapping[str, Any]) -> BaseChatModel:
        """The LangChain model for a full name and parameters; made in a thread, as that may import an SDK."""
        key = (name, _key_of(parameters))
        model = self._chat_models.get(key)
        if model is not None:
            return model
        making = self._making.get(key)
        if making is None:
            provider, _, bare = name.partition(":")
            make = asyncio.to_thread(self._providers[provider].chat_model, bare, parameters)
            making = self._making[key] = asyncio.create_task(make)
            making.add_done_callback(lambda done: self._get_or_make(key, done))
        return await asyncio.shield(making)

    def _get_or_make(self, key: tuple[str, bytes], making: asyncio.Task[BaseChatModel]) -> None:
        del self._making[key]
        if not making.cancelled() and making.exception() is None:
            self._chat_models[key] = making.result()

    def cost_of(self, name: str, said: Completion) -> float | None:
        """US dollars as the provider says it, else by its prices; None where no price is known."""
        return said.cost if said.cost is not None else self.cost(name, said.usage)

    async def warm_up(self, name: str) -> None:
        """Load what the first call of a model needs. Raises `ProviderAuthError` without a key."""
        direct = self._direct.get(name.partition(":")[0])
        if direct is not None:
            await direct.warm_up()
        else:
            await self.chat_model(name, {})

    async def warm_up_used(self) -> None:
        """Load the models of `[use]`, so that the first caller does not wait for it. Never raises."""
        for name in dict.fromkeys((self.default, *self.fallbacks)):
            info = self.info(name)
            missing = info.unavailable if info is not None else None
            try:
                if missing is None:
                    await self.warm_up(name)
            except ProviderAuthError as error:
                missing = error.fix or error.message
            except Exception as error:
                fix = getattr(error, "fix", None)
                log.warning("chat.model_not_ready", model=name, error=type(error).__name__, fix=fix)
            if missing is not None and name == self.default:
                log.warning("chat.default_model_not_ready", model=name, fix=missing)

    def cost(self, name: str, usage: Usage) -> float | None:
        """US dollars, None where no price is known."""
        info = self.info(name)
        if info is None or info.input_price is None or info.output_price is None:
            return None
        return (usage.input_tokens * info.input_price + usage.output_tokens * info.output_price) / 1_000_000


def _key_of(parameters: Mapping[str, Any]) -> bytes:
    try:
        return canonical(dict(parameters))
    except (TypeError, ValueError):  # such as a number of more than 64 bits in a tool's schema
        pass
    for name, value in parameters.items():
        try:
            canonical(value)
        except (TypeError, ValueError) as error:
            raise InvalidRequestError(f"{name} cannot be written as JSON: {error}", param=name) from None
    raise InvalidRequestError("the parameters cannot be written as JSON")
