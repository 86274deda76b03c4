"""Which models there are, and what a model's name means."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from tilores_core.cache.keys import canonical
from tilores_core.contracts import LLMProvider, ModelInfo, SupportsUpstreams, Usage
from tilores_core.errors import ConfigError, UnknownModelError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_CHAT_MODELS_KEPT = 128
_LONGEST_NAME = 200


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
        self._chat_models: LRUCache[tuple[str, bytes], BaseChatModel] = LRUCache(_CHAT_MODELS_KEPT)
        self._making: dict[tuple[str, bytes], asyncio.Task[BaseChatModel]] = {}
        self._listed = {
            f"{name}:{info.id}": (name, info)
            for name, provider in self._providers.items()
            for info in provider.models()
        }
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

    def shown(self, name: str) -> str:
        """A full name as logs and traces may hold it: callers choose the names of unlisted models freely."""
        if name in self._listed or name == self.default or name in self.fallbacks:
            return name
        return f"{name.partition(':')[0]}:other"

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

    def kept(self, name: str, parameters: Mapping[str, Any]) -> BaseChatModel | None:
        """The LangChain model for a full name and parameters, if it has been made."""
        return self._chat_models.get((name, canonical(dict(parameters))))

    async def chat_model(self, name: str, parameters: Mapping[str, Any]) -> BaseChatModel:
        """The LangChain model for a full name and parameters; made in a thread, as that may import an SDK."""
        key = (name, canonical(dict(parameters)))
        model = self._chat_models.get(key)
        if model is not None:
            return model
        making = self._making.get(key)
        if making is None:
            provider, _, bare = name.partition(":")
            make = asyncio.to_thread(self._providers[provider].chat_model, bare, parameters)
            making = self._making[key] = asyncio.create_task(make)
            making.add_done_callback(lambda done: self._made(key, done))
        return await asyncio.shield(making)

    def _made(self, key: tuple[str, bytes], making: asyncio.Task[BaseChatModel]) -> None:
        del self._making[key]
        if not making.cancelled() and making.exception() is None:
            self._chat_models[key] = making.result()

    def cost(self, name: str, usage: Usage) -> float | None:
        """US dollars, None where no price is known."""
        info = self.info(name)
        if info is None or info.input_price is None or info.output_price is None:
            return None
        return (usage.input_tokens * info.input_price + usage.output_tokens * info.output_price) / 1_000_000
