"""LangChain's Mistral, with what this program needs beside it. Importing this imports LangChain's package."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_mistralai import ChatMistralAI
from langchain_mistralai.chat_models import _convert_chunk_to_message_chunk, acompletion_with_retry

from tilores_core.llm import MalformedReplyError


class Mistral(ChatMistralAI):
    """Says to Mistral what was asked for and nothing else: LangChain's own defaults (a temperature of 0.7) stay out,
    so that a model's defaults are its maker's."""

    @property
    def _default_params(self) -> dict[str, Any]:
        own = {"temperature", "top_p"} - self.model_fields_set
        return {k: v for k, v in super()._default_params.items() if k not in own}

    def _create_chat_result(self, response: Any) -> ChatResult:
        if not isinstance(response, dict) or not response.get("choices"):
            raise MalformedReplyError(response)
        return super()._create_chat_result(response)

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        # In place of LangChain's, which takes an error within the stream for nothing at all.
        written, params = self._create_message_dicts(messages, stop)
        events = await acompletion_with_retry(self, messages=written, **{**params, **kwargs, "stream": True})
        index, kind = -1, ""
        async with aclosing(events):
            async for event in events:
                if event.get("choices"):
                    chunk, index, kind = _convert_chunk_to_message_chunk(event, AIMessageChunk, index, kind, None)
                    yield ChatGenerationChunk(message=chunk)
                elif event.get("object") == "error" or "error" in event:
                    raise MalformedReplyError(event)
