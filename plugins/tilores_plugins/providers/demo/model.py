"""The demo model as a LangChain chat model."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field

from tilores_core import UnsupportedParameterError
from tilores_plugins.providers.demo.reading import Prompt
from tilores_plugins.providers.demo.tool_calls import call, find_forced_tool
from tilores_plugins.providers.demo.wording import answer

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.runnables import Runnable

_CHARACTERS_PER_TOKEN: Final = 4
_QUOTED: Final = 500
_PIECE = re.compile(r"(?:\s*\S+){1,3}\s*|\s+")


class SimulatedOutage(Exception):
    """What a provider's SDK would raise when its servers are overloaded."""

    status_code: ClassVar[int] = 503

    def __init__(self) -> None:
        super().__init__("simulated outage: the model is overloaded")


@dataclass(frozen=True, slots=True)
class _Reply:
    """A finished answer, before it is put into LangChain's messages."""

    text: str
    finish_reason: str
    usage: UsageMetadata
    tool_calls: tuple[dict[str, Any], ...] = ()


class SimulatedChatModel(BaseChatModel):
    """Answers from the records in its system message, by rule; deterministic, and safe for concurrent use.

    Tokens are counted as four characters each. `read` takes a system message apart; the builder of the model passes
    it in and so decides what is remembered of it. `fails` says whether the next call is to raise `SimulatedOutage`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    read: Callable[[str], Prompt] = Field(exclude=True, repr=False)
    fails: Callable[[], bool] | None = Field(default=None, exclude=True, repr=False)
    model: str = "simulated-1"
    seed: int = 0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | bool | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    latency_ms: float = 0
    tokens_per_second: float = 0

    @property
    def _llm_type(self) -> str:
        return "tilores-simulated"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "simulated": True, "max_tokens": self.max_tokens, "stop": self.stop}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(ls_provider="demo", ls_model_name=self.model, ls_model_type="chat")

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """As LangChain's contract says; "any" and "required" make the model call the first tool."""
        converted = tuple(convert_to_openai_tool(tool) for tool in tools)
        return self.bind(tools=converted, tool_choice=tool_choice, **kwargs)

    # The waiting differs between the four ways in; what is said does not.

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        begun = time.monotonic()
        reply = self._reply(messages, stop, kwargs)
        time.sleep(_remaining_seconds(begun, self._first_pause() + self._pause(reply.usage["output_tokens"])))
        return self._result(reply)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        begun = time.monotonic()
        reply = self._reply(messages, stop, kwargs)
        if pause := _remaining_seconds(begun, self._first_pause() + self._pause(reply.usage["output_tokens"])):
            await asyncio.sleep(pause)
        return self._result(reply)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        begun = time.monotonic()
        reply = self._reply(messages, stop, kwargs)
        time.sleep(_remaining_seconds(begun, self._first_pause()))
        for chunk, tokens in self._chunks(reply):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
            time.sleep(self._pause(tokens))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        begun = time.monotonic()
        reply = self._reply(messages, stop, kwargs)
        if pause := _remaining_seconds(begun, self._first_pause()):
            await asyncio.sleep(pause)
        for chunk, tokens in self._chunks(reply):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
            if pause := self._pause(tokens):
                await asyncio.sleep(pause)

    def _first_pause(self) -> float:
        return self.latency_ms / 1000

    def _pause(self, tokens: int) -> float:
        return tokens / self.tokens_per_second if self.tokens_per_second else 0.0

    def _reply(self, messages: list[BaseMessage], stop: list[str] | None, given: dict[str, Any]) -> _Reply:
        if self.fails is not None and self.fails():
            raise SimulatedOutage
        texts = [_text(message) for message in messages]
        question = next((text for text, message in _latest(texts, messages) if message.type == "human"), "")
        tokens_in = sum(map(_tokens, texts))
        tools = given.get("tools", self.tools)
        # After a tool's result the model answers, or a forced choice would never end.
        if tools and messages and messages[-1].type != "tool":
            function = find_forced_tool(tools, given.get("tool_choice", self.tool_choice))
            if function is not None:
                made = call(function, question)
                return _Reply("", "tool_calls", _usage(tokens_in, _tokens(json.dumps(made["args"]))), (made,))
        text = self._say(question, texts, messages)
        if (given.get("response_format", self.response_format) or {}).get("type") == "json_object":
            text = json.dumps({"answer": text}, ensure_ascii=False)
        text, finish_reason = _cut(
            text, stop if stop is not None else self.stop, given.get("max_tokens", self.max_tokens)
        )
        return _Reply(text, finish_reason, _usage(tokens_in, _tokens(text)))

    def _say(self, question: str, texts: list[str], messages: list[BaseMessage]) -> str:
        if messages and messages[-1].type == "tool" and not texts[-1].startswith("<records "):
            return f"The tool says: {texts[-1][:_QUOTED]}"
        first = Prompt("", None)
        instructions: list[str] = []
        for text, message in zip(texts, messages, strict=True):
            if message.type == "system" or (message.type == "tool" and text.startswith("<records ")):
                prompt = self.read(text)
                first = first if first.sheet else prompt  # records come first; a later block is the caller's own text
                instructions.append(prompt.instructions)
        prompt = Prompt("\n\n".join(instructions), first.sheet)
        return answer(question, prompt, model=self.model, seed=self.seed)

    def _metadata(self, reply: _Reply) -> dict[str, Any]:
        return {
            "model_name": self.model,
            "model_provider": "demo",
            "simulated": True,
            "finish_reason": reply.finish_reason,
        }

    def _result(self, reply: _Reply) -> ChatResult:
        message = AIMessage(
            content=reply.text,
            tool_calls=list(reply.tool_calls),
            usage_metadata=reply.usage,
            response_metadata=self._metadata(reply),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunks(self, reply: _Reply) -> Iterator[tuple[ChatGenerationChunk, int]]:
        """Each piece with its share of the tokens; usage and metadata come with the last, which has no text."""
        for piece in _PIECE.findall(reply.text):
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece)), _tokens(piece)
        for index, made in enumerate(reply.tool_calls):
            part: dict[str, Any] = {
                **made,
                "type": "tool_call_chunk",
                "index": index,
                "args": json.dumps(made["args"]),
            }
            yield (
                ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[part])),
                _tokens(part["args"]),
            )
        last = AIMessageChunk(
            content="", usage_metadata=reply.usage, response_metadata=self._metadata(reply), chunk_position="last"
        )
        yield ChatGenerationChunk(message=last), 0


def _text(message: BaseMessage) -> str:
    """The text of a message; raises `UnsupportedParameterError` for pictures, sound and files."""
    content = message.content
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif part.get("type") == "text":
            texts.append(str(part.get("text", "")))
        else:
            raise UnsupportedParameterError(
                "the demo model reads text only, and a message has another kind of part",
                param="messages",
                fix="send text, or choose a model with vision",
            )
    return "\n".join(texts)


def _remaining_seconds(begun: float, seconds: float) -> float:
    """What is left of so many seconds: the simulated time includes the model's own work."""
    return max(0.0, begun + seconds - time.monotonic()) if seconds else 0.0


def _latest(texts: list[str], messages: list[BaseMessage]) -> Iterator[tuple[str, BaseMessage]]:
    return zip(reversed(texts), reversed(messages), strict=True)


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def _usage(tokens_in: int, tokens_out: int) -> UsageMetadata:
    return UsageMetadata(input_tokens=tokens_in, output_tokens=tokens_out, total_tokens=tokens_in + tokens_out)


def _cut(text: str, stop: Sequence[str], max_tokens: int | None) -> tuple[str, str]:
    ends = [end for mark in stop if mark and (end := text.find(mark)) >= 0]
    if ends:
        text = text[: min(ends)]
    if max_tokens is not None and len(text) > max_tokens * _CHARACTERS_PER_TOKEN:
        return text[: max_tokens * _CHARACTERS_PER_TOKEN], "length"
    return text, "stop"
