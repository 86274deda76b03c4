"""The three streams as bytes, without a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st
from jsonpatch import apply_patch
from langchain_core.messages import AIMessageChunk

from tests.web.langserve.langserve_app import TOOL_CALL, answer
from tilores_core.contracts import Answer, Delta
from tilores_core.errors import ProviderUnavailableError
from tilores_core.settings import ChatTable
from tilores_core.web.langserve.decode import decode_run
from tilores_core.web.langserve.pieces import RunInfo
from tilores_core.web.langserve.stream import stream, stream_events, stream_log

STREAMS = [stream, stream_log, stream_events]


def info(body: bytes = b'{"input": "hi"}', **more: Any) -> RunInfo:
    return RunInfo(run_id="r1", request=decode_run(body, ChatTable()), started=perf_counter(), **more)


class Items:
    """An engine's stream that knows whether it was taken to its end and closed."""

    def __init__(self, *items: Delta | Answer | Exception) -> None:
        self._items = iter(items)
        self.finished = self.closed = False

    def __aiter__(self) -> AsyncIterator[Delta | Answer]:
        return self

    async def __anext__(self) -> Delta | Answer:
        item = next(self._items, None)
        if item is None:
            self.finished = True
            raise StopAsyncIteration
        if isinstance(item, Exception):
            raise item
        return item

    async def aclose(self) -> None:
        self.closed = True


def parse(events: bytes) -> list[tuple[str, Any]]:
    parsed = []
    assert events.endswith(b"\n\n")
    for block in events[:-2].split(b"\n\n"):
        # As the Python client does: at every line end there is, not at line feeds only.
        lines = dict(line.split(": ", 1) for line in block.decode().splitlines())
        data = lines.get("data")
        parsed.append((lines["event"], None if data is None else orjson.loads(data)))
    return parsed


async def collect(encode: Any, items: Items, run: RunInfo | None = None, **more: Any) -> list[tuple[str, Any]]:
    return parse(b"".join([events async for events in encode(items, run or info(), **more)]))


async def test_stream() -> None:
    events = await collect(stream, Items(Delta(text="Hel"), Delta(text="lo"), answer("Hello")))
    assert [name for name, _ in events] == ["metadata", "data", "data", "data", "end"]
    assert events[0][1] == {"run_id": "r1"}
    assert events[1][1] == {
        "content": "Hel",
        "additional_kwargs": {},
        "response_metadata": {},
        "type": "AIMessageChunk",
        "name": None,
        "id": "run-r1",
        "tool_calls": [],
        "invalid_tool_calls": [],
        "usage_metadata": None,
        "tool_call_chunks": [],
        "chunk_position": None,
    }
    last = events[3][1]
    assert (last["content"], last["chunk_position"]) == ("", "last")
    assert last["response_metadata"]["latency_ms"] >= 0
    assert last["usage_metadata"]["total_tokens"] == 17
    assert events[4][1] is None


async def test_pieces_go_out_as_they_come() -> None:
    sent = stream(Items(Delta(text="Hel"), Delta(text="lo"), answer("Hello")), info())
    assert b'"Hel"' in await anext(sent)
    assert b'"lo"' in await anext(sent)
    await sent.aclose()


@pytest.mark.parametrize("encode", STREAMS)
async def test_an_error_before_anything_was_sent_is_raised(encode: Any) -> None:
    items = Items(ProviderUnavailableError("x", provider="demo"))
    told: list[Exception] = []
    with pytest.raises(ProviderUnavailableError):
        await anext(encode(items, info(), on_error=told.append))
    assert (items.closed, told) == (True, [])
    with pytest.raises(RuntimeError):
        await anext(encode(Items(), info()))


@pytest.mark.parametrize("encode", STREAMS)
@pytest.mark.parametrize(
    ("error", "status"), [(ProviderUnavailableError("10.0.0.7", provider="demo"), 503), (ValueError("10.0.0.7"), 500)]
)
async def test_a_later_error_ends_the_stream(encode: Any, error: Exception, status: int) -> None:
    told: list[Exception] = []
    items = Items(Delta(text="Hel"), error)
    events = await collect(encode, items, on_error=told.append)
    assert events[-1][0] == "error"
    assert set(events[-1][1]) == {"status_code", "message"}
    assert events[-1][1]["status_code"] == status
    assert "10.0.0.7" not in str(events)
    assert (told, items.closed) == ([error], True)
    assert "end" not in [name for name, _ in events]


@pytest.mark.parametrize("encode", STREAMS)
async def test_a_stream_without_an_answer_is_an_error(encode: Any) -> None:
    events = await collect(encode, Items(Delta(text="Hel")))
    assert events[-1] == ("error", {"status_code": 500, "message": "Internal Server Error"})


@pytest.mark.parametrize("encode", STREAMS)
async def test_the_engines_stream_is_taken_to_its_end_and_closed(encode: Any) -> None:
    items = Items(Delta(text="Hello"), answer("Hello"))
    events = await collect(encode, items)
    assert events[-1] == ("end", None)
    assert items.finished
    assert items.closed
    left = Items(Delta(text="Hello"), answer("Hello"))
    sent = encode(left, info())
    await anext(sent)
    await sent.aclose()
    assert left.closed
    assert not left.finished
    # What fails after the answer is nothing to the client, who has it.
    told: list[Exception] = []
    events = await collect(encode, Items(answer("Hello"), ValueError("late")), on_error=told.append)
    assert events[-1] == ("end", None)
    assert len(told) == 1


@pytest.mark.parametrize("encode", STREAMS)
async def test_line_ends_in_texts_stay_inside_their_line(encode: Any) -> None:
    text = "a\u2028b\u2029c\x85d\r\ne\x0bf\x1cg–é"
    events = await collect(encode, Items(Delta(text=text), answer(text)))
    assert any(text in strings(event) for event in events)


def strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for inner in value.values() for text in strings(inner)]
    if isinstance(value, list | tuple):
        return [text for inner in value for text in strings(inner)]
    return []


async def test_events_show_only_what_the_caller_sent() -> None:
    run = info(b'{"input": {"messages": [["system", "Be brief."], "hi"], "deep": %b}}' % (b"[" * 400 + b"]" * 400))
    events = await collect(stream_events, Items(answer("Hello")), run)
    # Too deep to be written again, so the input is shown as it was understood.
    shown = events[0][1]["data"]["input"]["messages"]
    assert [(one["type"], one["content"]) for one in shown] == [("system", "Be brief."), ("human", "hi")]
    assert events[1][1]["data"]["input"]["messages"] == [shown]


async def test_event_names_and_parents() -> None:
    run = info(model="openai:gpt-4o-mini")
    events = [data for name, data in await collect(stream_events, Items(Delta(text="Hello"), answer("Hello")), run)]
    assert [event["event"] for event in events[:-1]] == [
        "on_chain_start",
        "on_chat_model_start",
        "on_chat_model_stream",
        "on_chain_stream",
        "on_chat_model_stream",
        "on_chain_stream",
        "on_chat_model_end",
        "on_chain_end",
    ]
    model = [event for event in events[:-1] if event["name"] == "ChatModel"]
    assert {event["run_id"] for event in model} == {run.model_run_id}
    assert all(event["parent_ids"] == ["r1"] for event in model)
    assert model[0]["metadata"] == {
        "ls_model_type": "chat",
        "ls_model_name": "gpt-4o-mini",
        "ls_provider": "openai",
    }


async def test_the_log_adds_up_to_the_reply() -> None:
    half = '{"city": "Le'
    pieces = (
        Delta(tool_calls=({"index": 0, **TOOL_CALL, "function": {"name": "look_up", "arguments": ""}},)),
        Delta(tool_calls=({"index": 0, "function": {"arguments": half}},)),
        Delta(tool_calls=({"index": 0, "function": {"arguments": 'eds", "days": 2}'}},)),
    )
    given = answer("", tool_calls=(TOOL_CALL,), finish_reason="tool_calls")
    events = await collect(stream_log, Items(*pieces, given))
    states = []
    state: Any = None
    for name, data in events[:-1]:
        assert name == "data"
        state = apply_patch(state, data["ops"])
        states.append(state)
    assert state["id"] == "r1"
    calls = state["final_output"]["tool_call_chunks"]
    assert [orjson.loads(call["args"]) for call in calls] == [{"city": "Leeds", "days": 2}]
    assert state["final_output"]["tool_calls"][0]["args"] == {"city": "Leeds", "days": 2}
    halves = [one["final_output"]["tool_call_chunks"][0]["args"] for one in states if one["final_output"]]
    assert half in halves
    assert state["logs"]["ChatModel"]["final_output"] == state["final_output"]
    assert len(state["streamed_output"]) == 4


@given(st.lists(st.text(min_size=1), max_size=6), st.integers(0, 6))
def test_any_cutting_adds_up(pieces: list[str], sent: int) -> None:
    """Also when only some of the answer came as pieces."""
    text = "".join(pieces)
    items = Items(*(Delta(text=piece) for piece in pieces[:sent]), answer(text))
    events = asyncio.run(collect(stream, items))
    whole = None
    for name, data in events:
        if name == "data":
            chunk = AIMessageChunk.model_validate(data)
            whole = chunk if whole is None else whole + chunk
    assert isinstance(whole, AIMessageChunk)
    assert (whole.content, whole.id, whole.chunk_position) == (text, "run-r1", "last")
    assert whole.usage_metadata == {"input_tokens": 12, "output_tokens": 5, "total_tokens": 17}
    assert whole.response_metadata["spectrum"] == "financial"
