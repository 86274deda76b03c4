"""The common part of the providers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tilores_core.contracts import ModelInfo
from tilores_core.errors import ProviderAuthError, UnknownModelError
from tilores_core.llm.catalogue import Catalogue, ModelData
from tilores_core.llm.mapping import error_of
from tilores_core.llm.parameters import Fields, translate
from tilores_core.llm.settings import KeyedProviderSettings, ProviderSettings
from tilores_core.llm.transport import HttpClients

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from pydantic import SecretStr


class ChatProvider(ABC):
    """An `LLMProvider` over a LangChain chat model; subclasses say the class attributes and `make`.

    `name` is the spec's, `title` how messages call it. `key_variable`: the variable that holds the key, None where
    none is needed. `parameters`: see `Fields`. `max_stops`: how many stop strings it takes.
    """

    name: ClassVar[str]
    title: str
    key_variable: ClassVar[str | None] = None
    parameters: ClassVar[Fields]
    max_stops: int | None = None

    def __init__(self, settings: ProviderSettings, catalogue: Catalogue) -> None:
        self.settings = settings
        self.catalogue = catalogue.configure(settings.models, settings.only)
        self.http = HttpClients(
            read_seconds=settings.timeout_seconds,
            connect_seconds=settings.connect_seconds,
            max_connections=settings.max_connections,
        )

    @abstractmethod
    def make(self, model: ModelData, fields: dict[str, Any]) -> BaseChatModel:
        """The chat model, with `fields` as arguments besides those of the provider's own (key, address, client).

        Import LangChain's package and the SDK here. Switch the SDK's own retries off: the engine retries. Called in
        a worker thread, once for each model and set of parameters; the engine keeps what it gets.
        """

    def models(self) -> Sequence[ModelInfo]:
        return self.catalogue.infos(self.missing_key())

    def chat_model(self, model: str, parameters: Mapping[str, Any]) -> BaseChatModel:
        data = self.find(model)
        return self.make(data, self.translated(data, parameters))

    def find(self, model: str) -> ModelData:
        """What is known of a model. Raises `UnknownModelError` for one that is not served here, `ProviderAuthError`
        when there is no key."""
        data = self.catalogue.find(model)
        if self.settings.only and not data.listed:
            raise UnknownModelError(
                f"{self.title} is limited to some models here, and '{model[:100]}' is not among them",
                fix=f"`tilores models` lists them; `only` in [plugins.{self.name}] says which",
            )
        self.check_key()
        return data

    def check_key(self) -> None:
        """Raises `ProviderAuthError` when a key is needed and there is none."""
        if missing := self.missing_key():
            raise self._no_key(missing)

    def translated(self, model: ModelData, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """A request's parameters as the provider's own. Raises `UnsupportedParameterError`."""
        return translate(parameters, self.parameters, model, provider=self.title, max_stops=self.max_stops)

    def map_error(self, error: Exception) -> Exception:
        return error_of(error, provider=self.name, title=self.title, key_variable=self.key_variable)

    async def aclose(self) -> None:
        await self.http.aclose()

    def missing_key(self) -> str | None:
        """What to do for a key, None when there is one or none is needed."""
        settings = self.settings
        if self.key_variable is None or (isinstance(settings, KeyedProviderSettings) and settings.api_key):
            return None
        return f"set {self.key_variable}"

    def key(self) -> SecretStr:
        """The key. Raises `ProviderAuthError` when there is none."""
        settings = self.settings
        if isinstance(settings, KeyedProviderSettings) and settings.api_key:
            return settings.api_key
        raise self._no_key(self.missing_key())

    def _no_key(self, missing: str | None) -> ProviderAuthError:
        where = f"api_key in [plugins.{self.name}], as a reference"
        fix = f"{missing}, or {where}" if missing else f"set {where}"
        return ProviderAuthError(f"there is no key for {self.title}", provider=self.name, fix=fix)
