"""LangChain's Groq, with what this program needs beside it. Importing this imports the SDK."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from langchain_core.outputs import ChatResult
from langchain_groq import ChatGroq

from tilores_core.llm import MalformedReplyError


class Groq(ChatGroq):
    """Says to Groq what was asked for and nothing else: LangChain's own defaults (a temperature of 0.7, a service
    tier) stay out, so that a model's defaults are its maker's."""

    @property
    def _default_params(self) -> dict[str, Any]:
        own = {"temperature", "service_tier", "n"} - self.model_fields_set
        return {k: v for k, v in super()._default_params.items() if v is not None and k not in own}

    def _create_chat_result(self, response: Any, params: dict[str, Any]) -> ChatResult:
        if not getattr(response, "choices", None):  # the SDK hands on what is not JSON as text
            raise MalformedReplyError
        return super()._create_chat_result(response, params)


class Completions:
    """The SDK's asynchronous completions. It leaves the connection of a stream open that does not come to its end;
    here it is closed."""

    def __init__(self, completions: Any) -> None:
        self._completions = completions

    async def create(self, **params: Any) -> Any:
        answer = await self._completions.create(**params)
        return _closed_at_the_end(answer) if params.get("stream") else answer


async def _closed_at_the_end(stream: Any) -> AsyncGenerator[Any]:
    try:
        async for chunk in stream:
            yield chunk
    finally:
        await stream.close()
