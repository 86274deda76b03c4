"""The LangChain chat model behind `FakeProvider`."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field

from tilores_core.testing.fake_provider import FakeCall, FakeProvider, FakeReply


class FakeChatModel(BaseChatModel):
    """Replies what its provider has queued."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    provider: FakeProvider = Field(exclude=True, repr=False)
    model: str
    parameters: dict[str, Any] = Field(default_factory=dict)

    @property
    def _llm_type(self) -> str:
        return "tilores-fake"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply = self._reply(messages, streamed=False)
        time.sleep(reply.seconds)
        return self._result(reply, messages)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply = self._reply(messages, streamed=False)
        with self._running():
            await _pause(reply)
            return self._result(reply, messages)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        reply = self._reply(messages, streamed=True)
        time.sleep(reply.seconds)
        yield from self._chunks(reply, messages)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        reply = self._reply(messages, streamed=True)
        with self._running():
            await _pause(reply)
            for chunk in self._chunks(reply, messages):
                yield chunk
                await asyncio.sleep(0)
                if reply.between is not None and inspect.isawaitable(waiting := reply.between()):
                    await waiting

    def _reply(self, messages: list[BaseMessage], *, streamed: bool) -> FakeReply:
        return self.provider.next_reply(
            FakeCall(model=self.model, parameters=self.parameters, messages=tuple(messages), streamed=streamed)
        )

    @contextmanager
    def _running(self) -> Iterator[None]:
        self.provider.running += 1
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self.provider.cancelled += 1
            raise
        finally:
            self.provider.running -= 1

    def _result(self, reply: FakeReply, messages: list[BaseMessage]) -> ChatResult:
        if reply.error is not None:
            raise reply.error
        made = [_parse(call) for call in reply.tool_calls]
        message = AIMessage(
            content=reply.whole(),
            tool_calls=[call for call in made if call["type"] == "tool_call"],
            invalid_tool_calls=[call for call in made if call["type"] != "tool_call"],
            usage_metadata=_usage(reply, messages),
            response_metadata=self._metadata(reply),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunks(self, reply: FakeReply, messages: list[BaseMessage]) -> Iterator[ChatGenerationChunk]:
        for number, piece in enumerate(reply.streamed()):
            if reply.error is not None and number >= reply.error_after:
                raise reply.error
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        if reply.error is not None:
            raise reply.error
        for index, call in enumerate(reply.tool_calls):
            function = call["function"]
            head, tail = function["arguments"][:4], function["arguments"][4:]
            for chunk in (
                ToolCallChunk(name=function["name"], args=head, id=call["id"], index=index),
                ToolCallChunk(name=None, args=tail, id=None, index=index),
            ):
                yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[chunk]))
        last = AIMessageChunk(
            content="", usage_metadata=_usage(reply, messages), response_metadata=self._metadata(reply)
        )
        yield ChatGenerationChunk(message=last)

    def _metadata(self, reply: FakeReply) -> dict[str, Any]:
        said = {} if reply.finish_reason is None else {"finish_reason": reply.finish_reason}
        return {"model_name": self.model, "model_provider": self.provider.name, **said}


def _parse(call: Mapping[str, Any]) -> Any:
    """A call with its arguments as a mapping, or, as LangChain has them, as they were written when they are none."""
    function = call["function"]
    written = function["arguments"]
    try:
        arguments = orjson.loads(written)
    except orjson.JSONDecodeError:
        arguments = None
    if isinstance(arguments, dict):
        return {"name": function["name"], "args": arguments, "id": call["id"], "type": "tool_call"}
    return {"name": function["name"], "args": written, "id": call["id"], "error": None, "type": "invalid_tool_call"}


async def _pause(reply: FakeReply) -> None:
    if reply.seconds:
        await asyncio.sleep(reply.seconds)
    if reply.until is not None:
        await reply.until.wait()


def _usage(reply: FakeReply, messages: list[BaseMessage]) -> UsageMetadata:
    if reply.usage is not None:
        given, said = reply.usage.input_tokens, reply.usage.output_tokens
    else:
        given = sum(len(str(m.text).split()) for m in messages)
        said = len(reply.whole().split()) + len(reply.tool_calls)
    return UsageMetadata(input_tokens=given, output_tokens=said, total_tokens=given + said)
