"""Whatever fails while a stream is rendered, the stream ends as its protocol says: whole, or with its error event."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from time import perf_counter
from typing import Any

import pytest

from tilores_core.contracts import Answer, Delta
from tilores_core.settings import ChatTable
from tilores_core.web.langserve.decode import decode_run
from tilores_core.web.langserve.pieces import Pieces, RunInfo
from tilores_core.web.langserve.stream import stream, stream_events, stream_log
from tilores_core.web.openai.stream import CompletionInfo, _Frames, completion_chunks

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ITEMS: tuple[Delta | Answer, ...] = (
    Delta(text="One ", model="m"),
    Delta(text="two."),
    Delta(tool_calls=({"index": 0, **CALL},)),
    Answer(text="One two.", model="m", tool_calls=(CALL,)),
)
INFO = CompletionInfo(completion_id="chatcmpl-1", created=1, model="asked", include_usage=True)
STEPS = [(kind, name) for kind in (_Frames, Pieces) for name in vars(kind) if not name.startswith("__")]


async def items() -> AsyncIterator[Delta | Answer]:
    for item in ITEMS:
        yield item


def run() -> RunInfo:
    return RunInfo(run_id="r1", request=decode_run(b'{"input": "hi"}', ChatTable()), started=perf_counter())


STREAMS: dict[str, tuple[Callable[[], AsyncGenerator[bytes]], bytes, bytes]] = {
    "openai": (lambda: completion_chunks(items(), INFO), b"data: [DONE]\n\n", b'data: {"error":'),
    "stream": (lambda: stream(items(), run()), b"event: end", b"event: error"),
    "stream_log": (lambda: stream_log(items(), run()), b"event: end", b"event: error"),
    "stream_events": (lambda: stream_events(items(), run()), b"event: end", b"event: error"),
}


async def rendered(make: Callable[[], AsyncGenerator[bytes]]) -> tuple[bytes, Exception | None]:
    """What went out, and what was raised instead of anything."""
    sent = b""
    try:
        async for chunk in make():
            sent += chunk
    except RuntimeError as error:
        return sent, error
    return sent, None


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize(("kind", "step"), STEPS, ids=[f"{kind.__name__}.{name}" for kind, name in STEPS])
async def test_stream_whose_rendering_fails_ends_by_its_protocol(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: type, step: str
) -> None:
    make, end, failed = STREAMS[name]
    original = getattr(kind, step)
    for number in range(1, 40):
        calls = 0

        def failing(*given: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == number:  # noqa: B023 - called within this round
                raise RuntimeError("cannot be rendered")
            return original(*given, **named)

        monkeypatch.setattr(kind, step, failing)
        try:
            sent, error = await rendered(make)
        finally:
            monkeypatch.setattr(kind, step, original)
        if error is not None:
            assert sent == b"", "an error after the first chunk breaks the connection"
        else:
            last = sent.rstrip(b"\n").rsplit(b"\n\n", 1)[-1]
            assert end.strip() in last or failed in last
            assert (failed in last) == (calls >= number)
        if calls < number:
            return
    raise AssertionError("it never came to its end")
