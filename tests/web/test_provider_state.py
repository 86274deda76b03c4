"""What a provider must see again with the results of its tool calls, out to the client and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tilores_core.contracts import Answer, Delta
from tilores_core.errors import InvalidRequestError
from tilores_core.web.langserve.encode import invoke_body
from tilores_core.web.langserve.messages import parse_messages
from tilores_core.web.openai.decode import decode_messages
from tilores_core.web.openai.encode import completion_template
from tilores_core.web.openai.stream import CompletionInfo, completion_chunks
from tilores_core.web.response_template import ReplyValues

STATE = {
    "reasoning_content": "I look it up.",
    "reasoning_details": [{"signature": "s"}],
    "thinking_blocks": [{"type": "thinking", "thinking": "I look it up.", "signature": "s"}],
}
EXTRA = {"google": {"thought_signature": "c2ln"}}
CALL: dict[str, Any] = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"n":123456789012345678901234}'},
    "extra_content": EXTRA,
}
ANSWER = Answer(text="", model="m", finish_reason="tool_calls", tool_calls=(CALL,), state=STATE)
RUN = CompletionInfo(completion_id="chatcmpl-1", created=1, model="m")


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def back(message: dict[str, Any]) -> Any:
    result = {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
    return decode_messages([{"role": "user", "content": "Weather?"}, message, result])[1]


def joined(wire: bytes) -> dict[str, Any]:
    """The message that a client makes of a stream."""
    message: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": []}
    for line in wire.split(b"\n\n"):
        if not line.startswith(b"data: {"):
            continue
        for choice in orjson.loads(line[6:])["choices"]:
            delta = choice["delta"]
            for call in delta.get("tool_calls", ()):
                if call["index"] == len(message["tool_calls"]):
                    message["tool_calls"].append({key: value for key, value in call.items() if key != "index"})
                else:
                    known = message["tool_calls"][call["index"]]
                    known["function"]["arguments"] += call["function"]["arguments"]
                    known.update({key: call[key] for key in ("extra_content",) if key in call})
            message.update({key: delta[key] for key in STATE if key in delta})
    return message


def check(message: Any) -> None:
    assert message["tool_calls"] == [CALL]
    assert {key: message[key] for key in STATE} == STATE


def test_state_of_a_whole_openai_reply_comes_back_as_it_went_out() -> None:
    body = completion_template(ANSWER, ReplyValues.of(ANSWER, "chatcmpl-1", None, 1))
    check(back(body["choices"][0]["message"]))


async def stream(*items: Delta | Answer) -> bytes:
    async def given() -> AsyncIterator[Delta | Answer]:
        for item in items:
            yield item

    return b"".join([chunk async for chunk in completion_chunks(given(), RUN)])


async def test_state_of_an_openai_stream_comes_back_as_it_went_out() -> None:
    arguments = CALL["function"]["arguments"]
    wire = await stream(
        Delta(tool_calls=({"index": 0, **CALL, "function": {"name": "weather", "arguments": arguments[:4]}},)),
        Delta(tool_calls=({"index": 0, "function": {"arguments": arguments[4:]}},)),
        Delta(state=STATE),
        ANSWER,
    )
    check(back(joined(wire)))


async def test_state_of_a_stored_openai_stream_comes_back_as_it_went_out() -> None:
    check(back(joined(await stream(ANSWER))))


def test_state_without_tool_calls_is_not_sent() -> None:
    plain = Answer(text="Hello", model="m", state=STATE)
    body = completion_template(plain, ReplyValues.of(plain, "chatcmpl-1", None, 1))
    assert STATE.keys().isdisjoint(body["choices"][0]["message"])
    assert invoke_body(plain, run_id="r", latency_ms=1.0)["output"]["additional_kwargs"] == {}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"reasoning_details": {"a": 1}}, "messages[1].reasoning_details"),
        ({"reasoning_content": 7}, "messages[1].reasoning_content"),
        ({"reasoning_details": deep(70)}, "messages"),
    ],
)
def test_state_of_a_wrong_kind_is_refused_by_name(message: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        back({"role": "assistant", "content": None, "tool_calls": [CALL], **message})
    assert (caught.value.param or "").startswith(param)


def test_state_of_a_langserve_reply_comes_back_as_it_went_out() -> None:
    call = {**CALL, "function": {"name": "weather", "arguments": '{"n":1}'}}
    answer = Answer(text="", model="m", finish_reason="tool_calls", tool_calls=(call,), state=STATE)
    output = invoke_body(answer, run_id="r", latency_ms=1.0)["output"]
    (message,) = parse_messages([output])
    assert message["tool_calls"] == [call]
    assert {key: message[key] for key in STATE} == STATE  # type: ignore[literal-required]
