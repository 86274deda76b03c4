"""LangChain's Ollama, with what this program needs beside it. Importing this imports the SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

from langchain_core.messages import BaseMessage
from langchain_ollama import ChatOllama
from pydantic import Field, model_validator

from tilores_core.llm import JoinHalves, building, check_inline, inline_image

_TITLE = "Ollama"


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


async def repaired(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """The lines of a stream as the SDK's types take them: arguments are there, and no character is cut in two."""
    halves = JoinHalves()
    async for line in lines:
        if not line.strip():
            continue
        if halves.half or "tool_calls" in line or "\\u" in line:
            part = json.loads(line)
            message = part.get("message") or {}
            for call in message.get("tool_calls") or ():
                if call.get("function"):
                    call["function"]["arguments"] = call["function"].get("arguments") or {}
            if content := message.get("content"):
                message["content"] = halves.add(content)
            line = json.dumps(part)
        yield line
