from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, strategies as st

from tilores_core.contracts import Answer, CustomerOutcome, Delta, Usage
from tilores_core.errors import ProviderUnavailableError
from tilores_core.web.openai.stream import CompletionInfo, completion_chunks

RUN = CompletionInfo(completion_id="chatcmpl-1", created=1_700_000_000, model="demo:simulated-1")
ASKED = replace(RUN, include_usage=True)
ANSWER = Answer(text="", model="demo:simulated-1", usage=Usage(input_tokens=10, output_tokens=5))
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bath"}'}}
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
Step = Delta | Answer | Exception | float


async def script(steps: Sequence[Step]) -> AsyncIterator[Delta | Answer]:
    """Yields items, raises exceptions, waits numbers."""
    for step in steps:
        if isinstance(step, float):
            await asyncio.sleep(step)  # the script says so
        elif isinstance(step, Exception):
            raise step
        else:
            yield step


async def collect(steps: Sequence[Step], run: CompletionInfo = RUN, **options: Any) -> bytes:
    return b"".join([chunk async for chunk in completion_chunks(script(steps), run, **options)])


def parse(wire: bytes) -> list[Any]:
    """Each event's JSON; checks the framing: one `data:` line and one blank line each, `[DONE]` kept as text."""
    assert wire.endswith(b"\n\n")
    events = []
    for event in wire[:-2].split(b"\n\n"):
        assert b"\n" not in event
        if not event.startswith(b":"):
            assert event.startswith(b"data: ")
            events.append("[DONE]" if event == b"data: [DONE]" else orjson.loads(event[6:]))
    return events


def deltas(events: list[Any]) -> list[dict[str, Any]]:
    return [event["choices"][0]["delta"] for event in events if event != "[DONE]" and event.get("choices")]


def text(events: list[Any]) -> str:
    return "".join(delta.get("content") or "" for delta in deltas(events))


def calls(events: list[Any]) -> list[dict[str, Any]]:
    """Put together as the clients do: names and arguments are joined by index."""
    found: dict[int, dict[str, Any]] = {}
    for delta in deltas(events):
        for piece in delta.get("tool_calls", ()):
            function = piece["function"]
            call = found.setdefault(piece["index"], {"id": piece.get("id"), "name": "", "arguments": ""})
            call["name"] += function.get("name", "")
            call["arguments"] += function.get("arguments", "")
    return [found[index] for index in sorted(found)]


# --- the order -------------------------------------------------------------------------------------------


async def test_a_stream_whole() -> None:
    answer = msgspec.structs.replace(ANSWER, text="So it is.", customer=CustomerOutcome(kind="none"), cost=0.5)
    events = parse(await collect([Delta(text="So "), Delta(text="it is."), answer]))
    same = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "demo:simulated-1",
    }

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
        return {**same, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], **more}

    told = {
        "cache": "miss",
        "age_s": 0.0,
        "stale": False,
        "customer_id": None,
        "customer": "none",
        "spectrum": "general",
        "prompt_version": "",
        "cost": 0.5,
    }
    assert events == [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "So "}),
        chunk({"content": "it is."}),
        chunk({}, "stop", tilores=told),
        "[DONE]",
    ]


@pytest.mark.parametrize("run", [RUN, ASKED, replace(ASKED, usage_on_finish=True)], ids=["unasked", "asked", "early"])
async def test_usage(run: CompletionInfo) -> None:
    events = parse(await collect([Delta(text="x"), msgspec.structs.replace(ANSWER, text="x")], run))
    assert events.pop() == "[DONE]"
    if not run.include_usage:
        assert all("usage" not in event and event["choices"] for event in events)
        return
    last = events.pop()
    assert (last["choices"], last["usage"]) == ([], USAGE)
    assert events.pop()["usage"] == (USAGE if run.usage_on_finish else None)
    assert all(event["usage"] is None for event in events)


async def test_an_answer_without_pieces_is_told_whole() -> None:
    answer = msgspec.structs.replace(ANSWER, text="from the cache", tool_calls=(CALL,))
    wire = await collect([answer])
    events = parse(wire)
    assert text(events) == "from the cache"
    assert calls(events) == [{"id": "call_1", "name": "weather", "arguments": '{"city":"Bath"}'}]
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"


async def test_an_empty_answer_has_its_finish_reason() -> None:
    events = parse(await collect([Delta(), Delta(), ANSWER]))
    assert deltas(events) == [{"role": "assistant", "content": ""}, {}]
    assert events[1]["choices"][0]["finish_reason"] == "stop"


@given(st.lists(st.text(max_size=8), max_size=8), st.booleans())
def test_any_text_arrives_as_it_was(texts: list[str], asked: bool) -> None:
    whole = "".join(texts)
    steps: list[Step] = [*[Delta(text=piece) for piece in texts], msgspec.structs.replace(ANSWER, text=whole)]
    events = parse(asyncio.run(collect(steps, ASKED if asked else RUN)))
    assert text(events) == whole
    assert deltas(events)[0] == {"role": "assistant", "content": ""}
    assert events[-1] == "[DONE]"
    reasons = [event["choices"][0]["finish_reason"] for event in events[:-1] if event["choices"]]
    assert [reason for reason in reasons if reason] == ["stop"]
    assert reasons[-1] == "stop"


async def test_a_chunk_is_one_line_whatever_a_client_takes_for_a_line() -> None:
    said = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\r\nh"
    wire = await collect([Delta(text=said), msgspec.structs.replace(ANSWER, text=said)])
    assert wire.decode().splitlines() == wire.decode().split("\n")[:-1]
    assert text(parse(wire)) == said


# --- tool calls ------------------------------------------------------------------------------------------


def piece(index: int, arguments: str, **first: Any) -> Delta:
    """As the normalizer gives them: id, type and name once."""
    name = {"name": first.pop("name")} if first else {}
    return Delta(tool_calls=({"index": index, **first, "function": {**name, "arguments": arguments}},))


PIECES: list[Step] = [
    piece(0, "", id="a", type="function", name="weather"),
    piece(0, '{"city"'),
    piece(0, ':"Bath"}'),
    piece(1, "{}", id="b", type="function", name="time"),
]


async def test_tool_calls_in_pieces() -> None:
    events = parse(await collect([*PIECES, msgspec.structs.replace(ANSWER, tool_calls=(CALL, CALL))]))
    assert deltas(events)[1]["tool_calls"] == [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "weather", "arguments": ""}}
    ]
    assert deltas(events)[2]["tool_calls"] == [{"index": 0, "function": {"arguments": '{"city"'}}]
    assert calls(events) == [
        {"id": "a", "name": "weather", "arguments": '{"city":"Bath"}'},
        {"id": "b", "name": "time", "arguments": "{}"},
    ]


@pytest.mark.parametrize("pieces", [PIECES, []], ids=["in pieces", "whole"])
async def test_client_that_offers_functions_gets_the_first_call_as_function_call(pieces: list[Step]) -> None:
    called = {**CALL, "function": {"name": "weather", "arguments": '{"city":"Bath"}'}}
    run = replace(RUN, functions=True)
    events = parse(await collect([*pieces, msgspec.structs.replace(ANSWER, text="", tool_calls=(called, CALL))], run))
    said = [delta["function_call"] for delta in deltas(events) if "function_call" in delta]
    assert "".join(one.get("name", "") for one in said) == "weather"
    assert "".join(one["arguments"] for one in said) == '{"city":"Bath"}'
    assert [event["choices"][0]["finish_reason"] for event in events if event != "[DONE]"][-1] == "function_call"
    assert not calls(events)


# --- failures --------------------------------------------------------------------------------------------


async def test_a_failure_before_the_first_piece_is_raised() -> None:
    seen: list[Exception] = []
    with pytest.raises(ProviderUnavailableError):
        await collect([ProviderUnavailableError("gone", provider="demo")], on_error=seen.append)
    assert seen == []


async def test_a_failure_later_is_the_last_line() -> None:
    seen: list[Exception] = []
    failure = ProviderUnavailableError("gone", provider="demo")
    events = parse(await collect([Delta(text="So"), failure], on_error=seen.append))
    assert events[-1]["error"] == {
        "message": "gone",
        "type": "server_error",
        "param": None,
        "code": "service_unavailable",
    }
    assert all(event["choices"][0]["finish_reason"] is None for event in events[:-1])
    assert seen == [failure]


async def test_a_stream_without_an_answer_is_a_failure() -> None:
    events = parse(await collect([Delta(text="So")]))
    assert events[-1]["error"]["type"] == "server_error"
    with pytest.raises(RuntimeError):
        await collect([])


async def test_an_engine_cancelled_from_within_does_not_leave_the_reader_waiting() -> None:
    async def cancelled() -> AsyncIterator[Delta | Answer]:
        yield Delta(text="So")
        inner = asyncio.get_running_loop().create_future()
        inner.cancel()
        await inner

    wire = b"".join([chunk async for chunk in completion_chunks(cancelled(), RUN)])
    assert parse(wire)[-1]["error"]["type"] == "server_error"


async def test_what_fails_after_the_answer_is_only_told() -> None:
    seen: list[Exception] = []
    wire = await collect([msgspec.structs.replace(ANSWER, text="x"), ValueError("tidying up")], on_error=seen.append)
    assert wire == await collect([msgspec.structs.replace(ANSWER, text="x")])
    assert [type(error) for error in seen] == [ValueError]


# --- waiting and leaving ---------------------------------------------------------------------------------


async def test_a_comment_while_nothing_comes_and_no_piece_is_lost() -> None:
    steps: list[Step] = []
    for letter in "abcdef":
        steps += [0.03, Delta(text=letter)]
    wire = await collect([*steps, msgspec.structs.replace(ANSWER, text="abcdef")], keep_alive=0.01)
    assert wire.count(b": ping\n\n") >= 3
    assert wire.startswith(b"data: ")  # never before the first piece: an error must still be able to have its status
    assert text(parse(wire)) == "abcdef"


async def test_closing_stops_the_engine() -> None:
    stopped = asyncio.Event()

    async def endless() -> AsyncIterator[Delta | Answer]:
        try:
            while True:
                yield Delta(text="on and on")
                await asyncio.sleep(0)
        finally:
            stopped.set()

    chunks: Any = completion_chunks(endless(), RUN)
    await anext(chunks)
    await chunks.aclose()
    assert stopped.is_set()


@pytest.mark.parametrize("started", [True, False])
async def test_cancelling_the_reader_stops_the_engine(started: bool) -> None:
    stopped, waiting = asyncio.Event(), asyncio.Event()

    async def stuck() -> AsyncIterator[Delta | Answer]:
        try:
            if started:
                yield Delta(text="So")
            waiting.set()
            await asyncio.sleep(3600)
            yield ANSWER
        finally:
            stopped.set()

    async def read() -> None:
        async for _ in completion_chunks(stuck(), RUN):
            pass

    reader = asyncio.create_task(read())
    await waiting.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert stopped.is_set()


async def test_a_slow_reader_holds_the_engine_back() -> None:
    made = 0

    async def eager() -> AsyncIterator[Delta | Answer]:
        nonlocal made
        while made < 1000:
            made += 1
            yield Delta(text="x")
        yield ANSWER

    chunks: Any = completion_chunks(eager(), RUN)
    await anext(chunks)
    for _ in range(100):
        await asyncio.sleep(0)
    assert made < 50
    await chunks.aclose()


async def test_an_engine_may_hold_timeouts_and_context_across_its_pieces() -> None:
    variable: ContextVar[str] = ContextVar("variable")

    async def engine() -> AsyncIterator[Delta | Answer]:
        token = variable.set("mine")
        async with asyncio.timeout(60):
            yield Delta(text="So")
            await asyncio.sleep(0)
            assert variable.get() == "mine"
        variable.reset(token)
        yield msgspec.structs.replace(ANSWER, text="So")

    seen: list[Exception] = []
    wire = b"".join([chunk async for chunk in completion_chunks(engine(), RUN, on_error=seen.append)])
    assert seen == []
    assert parse(wire)[-1] == "[DONE]"
