"""LangChain's Claude, with what this program needs beside it. Importing this imports the SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import cached_property
from typing import Any, cast

from anthropic import AsyncAnthropic
from anthropic._streaming import ServerSentEvent
from anthropic.types import Usage
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field

from tilores_core.llm import EventParser, MalformedReplyError, building, check_inline
from tilores_plugins.providers.anthropic.history import as_it_takes_them, join_thoughts, keep_thoughts, thoughts_in

_ASKED = "prompt_usage"  # what `message_start` counted, in the metadata of its chunk


class ClaudeClient(AsyncAnthropic):
    """The SDK's client, with streams read as servers send them that are not Anthropic's."""

    def _make_sse_decoder(self) -> Any:
        return _Events()


class _Events:
    """Reads the type of an event that has no `event` line from its data, where the SDK would skip it."""

    async def aiter_bytes(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
        parser = EventParser()
        async for chunk in chunks:
            for event in parser.feed(chunk):
                yield _read_event(event)
        if (last := parser.rest()) is not None:
            yield _read_event(last)


def _read_event(event: tuple[bytes, bytes]) -> ServerSentEvent:
    kind, data = event[0].decode("utf-8", "replace"), event[1].decode("utf-8", "replace")
    if not kind:
        try:
            kind = json.loads(data)["type"]
        except (ValueError, LookupError, TypeError):  # such as "[DONE]"
            return ServerSentEvent()
    return ServerSentEvent(event=kind, data=data)


class Claude(ChatAnthropic):
    """LangChain's Anthropic chat model on the provider's shared client.

    `client` and `async_client` are the SDK's, shared by all models of the provider.

    With `cache_prompt` the system message is marked to be remembered by Anthropic, for five minutes. `says_twice`:
    the server is another that speaks the protocol, and may say the beginning of a text twice.
    """

    client: Any = Field(exclude=True, repr=False)
    async_client: Any = Field(exclude=True, repr=False)
    cache_prompt: bool = False
    says_twice: bool = False

    @cached_property
    def _client(self) -> Any:
        return self.client

    @cached_property
    def _async_client(self) -> Any:
        return self.async_client

    def _get_request_payload(self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        messages = self._convert_input(input_).to_messages()
        check_inline(messages, title="Anthropic", addresses=True)
        with building("Anthropic"):
            payload = super()._get_request_payload(as_it_takes_them(messages, self.model), stop=stop, **kwargs)
        system = payload.get("system")
        if self.cache_prompt and isinstance(system, str):
            payload["system"] = [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
        return payload

    def _format_output(self, data: Any, **kwargs: Any) -> ChatResult:
        if not isinstance(getattr(data, "content", None), list):  # the SDK hands on what is not JSON as text
            raise MalformedReplyError
        for block in data.content:
            if block.type == "tool_use" and block.input is None:
                block.input = {}
        # The reason why it ended stands beside the message, where only LangChain's public calls look for it.
        result = super()._format_output(data, **kwargs)
        message = cast("AIMessage", result.generations[0].message)
        if data.stop_reason:
            message.response_metadata["stop_reason"] = data.stop_reason
        if message.tool_calls and (thoughts := thoughts_in(message.content)):
            keep_thoughts(message, message.tool_calls[0]["id"], thoughts)
        return result

    def _make_message_chunk_from_anthropic_event(
        self, event: Any, **kwargs: Any
    ) -> tuple[AIMessageChunk | None, Any]:
        if event.type == "message_start" and event.message.usage is None:  # as some servers of the protocol send it
            event.message.usage = Usage(input_tokens=0, output_tokens=0)
        if isinstance(getattr(event, "context_management", None), dict):  # LangChain knows it as an object alone
            event.context_management = None
        if event.type == "content_block_delta" and self.says_twice:
            _drop_what_began(kwargs["block_start_event"], event.delta)
        chunk, block = super()._make_message_chunk_from_anthropic_event(event, **kwargs)
        if chunk is not None and event.type == "message_start":
            usage = event.message.usage
            chunk.response_metadata[_ASKED] = (
                (usage.input_tokens or 0)
                + (usage.cache_read_input_tokens or 0)
                + (usage.cache_creation_input_tokens or 0)
            )
        if chunk is not None and event.type == "message_delta" and event.delta.stop_reason:
            chunk.response_metadata["stop_reason"] = event.delta.stop_reason
        return chunk, block

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        asked = 0
        thoughts: list[dict[str, Any]] = []
        async with aclosing(cast("Any", super()._astream(messages, *args, **kwargs))) as stream:
            async for generation in stream:
                message = cast("AIMessageChunk", generation.message)
                join_thoughts(thoughts, message.content)
                if thoughts and (calls := message.tool_call_chunks) and calls[0]["id"]:
                    keep_thoughts(message, calls[0]["id"], thoughts)
                    thoughts = []
                asked = message.response_metadata.pop(_ASKED, asked)
                counted = message.usage_metadata
                if counted is not None and not counted["input_tokens"]:
                    # Some servers that speak this protocol count the prompt in the first event alone.
                    output = counted["output_tokens"]
                    message.usage_metadata = UsageMetadata(
                        input_tokens=asked, output_tokens=output, total_tokens=asked + output
                    )
                yield generation


def _drop_what_began(start: Any, delta: Any) -> None:
    """MiniMax's server says the beginning of a text where the text begins and once more in its first piece."""
    block: Any = getattr(start, "content_block", None)
    if begun := getattr(block, "text", None):
        block.text = ""
        if isinstance(said := getattr(delta, "text", None), str):
            delta.text = said.removeprefix(begun)
