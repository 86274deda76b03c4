"""LangChain's Ollama, with what this program needs beside it. Importing this imports the SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar
from typing import Any, Self

from langchain_core.messages import BaseMessage
from langchain_ollama import ChatOllama
from ollama import AsyncClient
from pydantic import Field, model_validator

from tilores_core.llm import JoinHalves, MalformedReplyError, building, check_inline, inline_image

_TITLE = "Ollama"
_LONGEST_LINE = 8 * 1024 * 1024  # bytes


class Ollama(ChatOllama):
    """LangChain's Ollama chat model on the provider's shared clients.

    `client` and `async_client` are the SDK's, shared by all models of the provider; `bound_tools` as OpenAI
    describes them.
    """

    client: Any = Field(exclude=True, repr=False)
    async_client: Any = Field(exclude=True, repr=False)
    bound_tools: list[dict[str, Any]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _set_clients(self) -> Self:
        # In place of LangChain's, which makes two clients for each model.
        self._client, self._async_client = self.client, self.async_client
        return self

    def _chat_params(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        if self.bound_tools:
            kwargs.setdefault("tools", self.bound_tools)
        with building(_TITLE):
            return super()._chat_params(messages, stop, **kwargs)

    def _convert_messages_to_ollama_messages(self, messages: list[BaseMessage]) -> Sequence[Any]:
        check_inline(messages, title=_TITLE)
        converted = super()._convert_messages_to_ollama_messages(messages)
        for message, original in zip(converted, messages, strict=True):
            if isinstance(original.content, list):
                message["content"] = message["content"].removeprefix("\n")  # LangChain puts one before each part
            if message["images"]:
                # As bytes: a string the SDK takes for the path of a file first, and sends the file.
                message["images"] = [
                    inline_image(part["image_url"], title=_TITLE)
                    for part in original.content
                    if isinstance(part, dict) and part.get("type") == "image_url"
                ]
        return converted


_tools: ContextVar[Any] = ContextVar("tilores_ollama_tools", default=None)


class Client(AsyncClient):
    """The SDK's client, with tools as they are: its types know neither `anyOf` nor `$ref`, and leave them out."""

    async def chat(self, *args: Any, tools: Any = None, **kwargs: Any) -> Any:
        _tools.set(tools)
        return await super().chat(*args, **kwargs)

    async def _request(self, *args: Any, **kwargs: Any) -> Any:
        if tools := _tools.get():
            kwargs["json"]["tools"] = tools
        return await super()._request(*args, **kwargs)


async def repaired(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines of a stream as the SDK's types take them. Only a line feed ends one: a text may hold other marks of
    an end."""
    halves = JoinHalves()
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise MalformedReplyError
        for line in lines:
            if line.strip():
                yield _repair(line, halves)
    if rest.strip():
        yield _repair(rest, halves)


def _repair(line: bytes, halves: JoinHalves) -> str:
    """With a message, its text and arguments, a reason for the end, and no character cut in two."""
    part = json.loads(line)
    if isinstance(part, dict) and "error" not in part:
        message = part["message"] = part.get("message") or {"role": "assistant"}
        message["content"] = halves.add(message.get("content") or "")
        for call in message.get("tool_calls") or ():
            if function := call.get("function"):
                arguments = function.get("arguments") or {}
                function["arguments"] = json.loads(arguments) if isinstance(arguments, str) else arguments
        if part.get("done"):
            part["done_reason"] = part.get("done_reason") or "stop"
    return json.dumps(part)
