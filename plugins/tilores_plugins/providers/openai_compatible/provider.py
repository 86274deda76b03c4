"""The provider `openai-compatible`: several servers under one name, told apart by the part before the first slash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from tilores_core import CompletionPiece, CompletionRequest, ModelInfo, PluginContext, UnknownModelError
from tilores_core.llm import SERVER_FIELDS, Catalogue, OpenAIProtocolProvider, error_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from tilores_plugins.providers.openai_compatible.settings import Instance, Settings

_NAME: Final = "openai-compatible"


class _Server(OpenAIProtocolProvider):
    name = _NAME
    title = "the server"
    message_state = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks")
    extra_content = True
    parameters = SERVER_FIELDS

    def __init__(self, instance: str, settings: Instance) -> None:
        super().__init__(settings, Catalogue(()))
        self._key = settings.api_key
        self.title = f"the server '{instance}'"
        self.max_stops = settings.max_stops

    def headers(self) -> dict[str, str]:
        return super().headers() if self._key else {}

    def key(self) -> SecretStr:
        # LangChain insists on one; servers without keys do not look at it.
        return self._key or SecretStr("none")


class CompatibleProvider:
    """An `LLMProvider` over any number of servers."""

    def __init__(self, settings: Settings) -> None:
        self._servers = {name: _Server(name, instance) for name, instance in settings.instances.items()}

    def models(self) -> Sequence[ModelInfo]:
        return [
            replace(info, id=f"{name}/{info.id}")
            for name, server in self._servers.items()
            for info in server.models()
        ]

    def upstream(self, model: str) -> str:
        instance = model.partition("/")[0]
        return instance if instance in self._servers else ""

    def chat_model(self, model: str, parameters: Mapping[str, Any]) -> BaseChatModel:
        server, name = self._server(model)
        return server.chat_model(name, parameters)

    def complete(self, request: CompletionRequest) -> AsyncGenerator[CompletionPiece]:
        server, name = self._server(request.model)
        return server.complete(request._replace(model=name))

    async def warm_up(self) -> None:
        await asyncio.gather(*(server.warm_up() for server in self._servers.values()))

    def _server(self, model: str) -> tuple[_Server, str]:
        instance, slash, name = model.partition("/")
        server = self._servers.get(instance)
        if server is None or not slash or not name:
            known = ", ".join(f"{_NAME}:{known}/MODEL" for known in self._servers)
            raise UnknownModelError(
                f"'{model[:100]}' names no server and model",
                fix=f"say {known}" if known else f"describe a server in [plugins.{_NAME}.instances.NAME]",
            )
        return server, name

    def map_error(self, error: Exception) -> Exception:
        return error_of(error, provider=_NAME, title="the model's server")

    async def aclose(self) -> None:
        await asyncio.gather(*(server.aclose() for server in self._servers.values()), return_exceptions=True)


def build(context: PluginContext) -> CompatibleProvider:
    return CompatibleProvider(context.settings)
