"""Our messages as LangChain's, and what LangChain's models say as ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.callbacks.base import AsyncCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from tilores_core.chat.langchain_adapter import complete, to_langchain
from tilores_core.chat.messages import for_model
from tilores_core.contracts import Delta, FinishReason, Message, Usage
from tilores_core.llm.normalizer import Completion, Normalizer
from tilores_core.testing import FakeProvider, FakeReply

CALL = {"id": "call-1", "type": "function", "function": {"name": "find", "arguments": '{"email": "a@example.com"}'}}


class Scripted(BaseChatModel):
    """Says exactly these chunks, or this message; for what providers send that nobody would make up."""

    chunks: list[AIMessageChunk] = Field(default_factory=list)
    message: AIMessage | None = None
    infos: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        assert self.message is not None
        return ChatResult(generations=[ChatGeneration(message=self.message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for number, chunk in enumerate(self.chunks):
            info = self.infos[number] if number < len(self.infos) else None
            yield ChatGenerationChunk(message=chunk, generation_info=info)


def say(content: Any = "", **metadata: Any) -> AIMessageChunk:
    return AIMessageChunk(content=content, response_metadata=metadata)


def used(given: int, said: int) -> AIMessageChunk:
    return AIMessageChunk(
        content="", usage_metadata=UsageMetadata(input_tokens=given, output_tokens=said, total_tokens=given + said)
    )


def piece(args: str | None, *, name: str | None = None, call_id: str | None = None, index: Any = 0) -> AIMessageChunk:
    chunk = ToolCallChunk(name=name, args=args, id=call_id, index=index)
    return AIMessageChunk(content="", tool_call_chunks=[chunk])


async def stream(model: BaseChatModel) -> tuple[list[Delta], Completion]:
    """What goes out, and the whole."""
    answer = Normalizer()
    deltas = [answer.add(piece) async for piece in complete(model, [], stream=True)]
    deltas.append(answer.finish())
    return [delta for delta in deltas if delta is not None], answer.completion()


async def invoke(model: BaseChatModel) -> Completion:
    answer = Normalizer()
    (piece,) = [piece async for piece in complete(model, [], stream=False)]
    answer.add(piece)
    answer.finish()
    return answer.completion()


async def said(chunks: Sequence[AIMessageChunk]) -> tuple[list[Delta], Completion]:
    return await stream(Scripted(chunks=list(chunks)))


# --- to the model ----------------------------------------------------------------------------------------


def plain(messages: Sequence[BaseMessage]) -> list[tuple[str, Any]]:
    return [(message.type, message.content) for message in messages]


def test_the_conversation_follows_the_system_message() -> None:
    messages: list[Message] = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Good morning."},
        {"role": "user", "content": "Her score?"},
    ]
    assert plain(to_langchain(for_model("Be brief.", messages))) == [
        ("system", "Be brief."),
        ("human", "Hello"),
        ("ai", "Good morning."),
        ("human", "Her score?"),
    ]


def test_system_messages_become_one_at_the_front() -> None:
    messages: list[Message] = [
        {"role": "system", "content": "Speak German."},
        {"role": "user", "content": "Hello"},
        {"role": "system", "content": [{"type": "text", "text": "And be"}, {"type": "text", "text": "polite."}]},
        {"role": "system", "content": ""},
    ]
    converted = to_langchain(for_model("Ours.", messages))
    assert [message.type for message in converted] == ["system", "human"]
    text = str(converted[0].text)
    assert text.startswith("Ours.")
    assert text.index("Ours.") < text.index("Speak German.") < text.index("And be\npolite.")


def test_parts_are_passed_on() -> None:
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    (_, human) = to_langchain(for_model("s", [{"role": "user", "content": parts}]))
    assert human.content == parts


def test_tool_calls_and_results_are_passed_on() -> None:
    messages: list[Message] = [
        {"role": "user", "content": "Find her"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "700", "tool_call_id": "call-1"},
    ]
    _, _, asked, result = to_langchain(for_model("s", messages))
    assert isinstance(asked, AIMessage)
    assert asked.content == ""
    assert asked.tool_calls == [
        {"name": "find", "args": {"email": "a@example.com"}, "id": "call-1", "type": "tool_call"}
    ]
    assert isinstance(result, ToolMessage)
    assert (result.content, result.tool_call_id) == ("700", "call-1")


@pytest.mark.parametrize("arguments", ["", "not json", "[1, 2]", '"text"', "null"])
def test_arguments_that_are_no_object_do_not_stop_the_turn(arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": arguments}}
    asked = to_langchain([{"role": "assistant", "content": "", "tool_calls": [call]}])[0]
    assert isinstance(asked, AIMessage)
    # Nothing that the result could refer to is lost.
    assert asked.tool_calls[0]["args"] == ({} if arguments in ("", "null") else {"arguments": arguments})


# --- a whole answer --------------------------------------------------------------------------------------


async def test_a_whole_answer() -> None:
    message = AIMessage(
        content="It is 700.",
        usage_metadata=UsageMetadata(input_tokens=9, output_tokens=4, total_tokens=13),
        response_metadata={"finish_reason": "stop"},
    )
    assert await invoke(Scripted(message=message)) == Completion(
        text="It is 700.", usage=Usage(input_tokens=9, output_tokens=4), finish_reason="stop"
    )


async def test_without_usage_there_is_none() -> None:
    assert (await invoke(Scripted(message=AIMessage(content="x")))).usage == Usage()


async def test_content_blocks_are_read_as_text() -> None:
    blocks: list[str | dict[Any, Any]] = [
        {"type": "reasoning", "reasoning": "hidden thoughts"},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "700."},
    ]
    assert (await invoke(Scripted(message=AIMessage(content=blocks)))).text == "It is 700."
    deltas, whole = await said([say([block]) for block in blocks])
    assert "".join(delta.text for delta in deltas) == whole.text == "It is 700."


async def test_tool_calls_have_the_openai_shape() -> None:
    message = AIMessage(
        content="", tool_calls=[{"name": "find", "args": {"a": 1, "b": "ü"}, "id": "c1", "type": "tool_call"}]
    )
    (call,) = (await invoke(Scripted(message=message))).tool_calls
    assert (call["id"], call["type"], call["function"]["name"]) == ("c1", "function", "find")
    assert orjson.loads(call["function"]["arguments"]) == {"a": 1, "b": "ü"}


async def test_a_call_whose_arguments_are_no_json_is_passed_on_as_it_is() -> None:
    broken = {"name": "find", "args": '{"a": ', "id": "c1", "error": "no JSON", "type": "invalid_tool_call"}
    message = AIMessage(content="", invalid_tool_calls=[broken])
    (call,) = (await invoke(Scripted(message=message))).tool_calls
    assert call == {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a": '}}


# --- the end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"finish_reason": "stop"}, "stop"),
        ({"finish_reason": "STOP"}, "stop"),
        ({"stop_reason": "end_turn"}, "stop"),
        ({"stop_reason": "stop_sequence"}, "stop"),
        ({"done_reason": "stop"}, "stop"),
        ({"finish_reason": "length"}, "length"),
        ({"finish_reason": "MAX_TOKENS"}, "length"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"finish_reason": "model_length"}, "length"),
        ({"finish_reason": "tool_calls"}, "tool_calls"),
        ({"stop_reason": "tool_use"}, "tool_calls"),
        ({"finish_reason": "content_filter"}, "content_filter"),
        ({"finish_reason": "SAFETY"}, "content_filter"),
        ({"stop_reason": "refusal"}, "content_filter"),
        ({"finish_reason": "insufficient_system_resource"}, None),
        ({"finish_reason": "error"}, None),
        ({"stop_reason": "pause_turn"}, None),
        ({"finish_reason": None}, None),
        ({}, None),
    ],
)
async def test_how_it_ended(metadata: dict[str, Any], reason: FinishReason | None) -> None:
    whole = await invoke(Scripted(message=AIMessage(content="x", response_metadata=metadata)))
    _, streamed = await said([say("x"), say("", **metadata), used(1, 1)])
    assert whole.finish_reason == streamed.finish_reason == reason


async def test_the_end_may_stand_beside_the_message() -> None:
    """Some providers say it in the generation's information, which LangChain's own stream adds to the message."""
    model = Scripted(chunks=[say("x"), say("")], infos=[{}, {"finish_reason": "length"}])
    assert (await stream(model))[1].finish_reason == "length"


# --- a stream --------------------------------------------------------------------------------------------


async def test_a_stream_in_pieces() -> None:
    deltas, whole = await said([say("It "), say(""), say("is 700."), say("", finish_reason="stop"), used(9, 4)])
    assert [delta.text for delta in deltas] == ["It ", "is 700."]
    assert whole == Completion(text="It is 700.", usage=Usage(input_tokens=9, output_tokens=4), finish_reason="stop")


async def test_usage_that_comes_in_parts_is_added() -> None:
    _, whole = await said([used(9, 0), say("x"), used(0, 3), used(0, 1)])
    assert whole.usage == Usage(input_tokens=9, output_tokens=4)


async def test_an_empty_stream_says_nothing() -> None:
    deltas, whole = await said([used(1, 0)])
    assert deltas == []
    assert (whole.text, whole.finish_reason) == ("", None)


def merged(deltas: Sequence[Delta]) -> list[dict[str, Any]]:
    """What an OpenAI client makes of the pieces: it appends by index."""
    calls: list[dict[str, Any]] = []
    for delta in deltas:
        for part in delta.tool_calls:
            if part["index"] == len(calls):
                calls.append({"id": part["id"], "type": part["type"], "function": dict(part["function"])})
            else:
                assert part["index"] < len(calls), "a hole in the list of calls"
                calls[part["index"]]["function"]["arguments"] += part["function"]["arguments"]
    return calls


def call_of(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(
            [
                piece("", name="find", call_id="a"),
                piece('{"x"', call_id=None),
                piece(":1}"),
                piece("", name="tell", call_id="b", index=1),
                piece("{}", index=1),
            ],
            id="one after the other",
        ),
        pytest.param(
            [
                piece('{"x"', name="find", call_id="a"),
                piece("{", name="tell", call_id="b", index=1),
                piece(":1}"),
                piece("}", index=1),
            ],
            id="interleaved",
        ),
        pytest.param(
            [
                piece("", name="find", call_id="a", index=1),
                piece('{"x":1}', index=1),
                piece(None, name="tell", call_id="b", index=4),
                piece("{}", index=4),
            ],
            id="numbered with what else was said",
        ),
        pytest.param(
            [
                piece('{"x":1}', name="find", call_id="a", index=None),
                piece("{}", name="tell", call_id="b", index=None),
            ],
            id="whole and without numbers",
        ),
        pytest.param(
            [
                piece('{"x"', name="find", call_id="a"),
                piece(":1}", call_id="a"),
                piece("", name="tell", call_id="b"),
                piece("{}"),
            ],
            id="all with the same number",
        ),
    ],
)
async def test_tool_calls_in_pieces(chunks: list[AIMessageChunk]) -> None:
    deltas, whole = await said([*chunks, say("", finish_reason="tool_calls")])
    assert list(whole.tool_calls) == [call_of("a", "find", '{"x":1}'), call_of("b", "tell", "{}")]
    assert merged(deltas) == list(whole.tool_calls)
    assert whole.finish_reason == "tool_calls"


@given(
    st.lists(
        st.tuples(st.text("ab{}:,", max_size=12), st.lists(st.integers(0, 12), max_size=4)), min_size=1, max_size=4
    ),
    st.randoms(use_true_random=False),
)
async def test_any_cut_of_tool_calls_gives_the_calls(calls: list[tuple[str, list[int]]], dice: Any) -> None:
    waiting: list[list[AIMessageChunk]] = []
    for index, (arguments, cuts) in enumerate(calls):
        ends = sorted({min(cut, len(arguments)) for cut in cuts} | {len(arguments)})
        parts = [arguments[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        first = piece(parts[0], name=f"tool{index}", call_id=f"id{index}", index=index)
        waiting.append([first, *(piece(part, index=index) for part in parts[1:])])
    chunks = [queue.pop(0) for queue in waiting]  # calls begin in order, their pieces come as they like
    while queues := [queue for queue in waiting if queue]:
        chunks.append(dice.choice(queues).pop(0))
    deltas, whole = await said(chunks)
    expected = [call_of(f"id{i}", f"tool{i}", arguments or "{}") for i, (arguments, _) in enumerate(calls)]
    assert list(whole.tool_calls) == expected
    assert merged(deltas) == expected


# --- however the model is made ---------------------------------------------------------------------------


class Listening(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.started = 0

    async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.started += 1


async def test_a_models_own_callbacks_are_called() -> None:
    listener = Listening()
    model = FakeProvider(otherwise=FakeReply(text="one two")).chat_model("m", {})
    model.callbacks = [listener]
    assert (await invoke(model)).text == "one two"
    assert (await stream(model))[1].text == "one two"
    assert listener.started == 2


async def test_a_model_with_something_bound_to_it() -> None:
    model = FakeProvider(otherwise="one two").chat_model("m", {}).bind(stop=["."])
    assert (await invoke(model)).text == "one two"  # type: ignore[arg-type]
    whole = (await stream(model))[1]  # type: ignore[arg-type]
    assert (whole.text, whole.finish_reason) == ("one two", "stop")


class WholeOnly(BaseChatModel):
    """A model that cannot stream."""

    @property
    def _llm_type(self) -> str:
        return "whole"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = AIMessage(content="all at once", response_metadata={"finish_reason": "stop"})
        return ChatResult(generations=[ChatGeneration(message=message)])


class AsyncOnly(WholeOnly):
    """One that streams in its asynchronous half alone."""

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for text in ("in ", "pieces"):
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", response_metadata={"finish_reason": "stop"}))


@pytest.mark.parametrize(("model", "pieces"), [(WholeOnly(), ["all at once"]), (AsyncOnly(), ["in ", "pieces"])])
async def test_models_that_implement_less(model: BaseChatModel, pieces: list[str]) -> None:
    assert (await invoke(model)).text == "all at once"
    deltas, last = await stream(model)
    assert [delta.text for delta in deltas] == pieces
    assert (last.text, last.finish_reason) == ("".join(pieces), "stop")
