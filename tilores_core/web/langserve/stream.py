"""An engine's stream as server-sent events, for each of the three streaming routes.

The engine's stream is an async iterator of `Delta`s that ends with the `Answer`. What it raises before its first
item is raised here too, from the first `anext`: nothing has been sent by then, so the route can still answer with a
status. Later errors become an `error` event, which ends the stream. Closing a stream closes the engine's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol

import orjson

from tilores_core.contracts import Answer, Delta
from tilores_core.web.langserve.pieces import Pieces, RunInfo
from tilores_core.web.langserve.sse import END, data_event, error_event, event
from tilores_core.web.langserve.stream_events import EventEncoder
from tilores_core.web.langserve.stream_log import LogEncoder

OnError = Callable[[Exception], None]


def stream(
    items: AsyncIterator[Delta | Answer], run: RunInfo, *, on_error: OnError | None = None
) -> AsyncGenerator[bytes]:
    """`POST /chat/stream`: the run's id, the pieces, the end. `on_error` gets errors that became events."""
    return _send(items, StreamEncoder(run), on_error)


def stream_log(
    items: AsyncIterator[Delta | Answer], run: RunInfo, *, on_error: OnError | None = None
) -> AsyncGenerator[bytes]:
    """`POST /chat/stream_log`: JSON-patch operations. `on_error` gets errors that became events."""
    return _send(items, LogEncoder(run), on_error)


def stream_events(
    items: AsyncIterator[Delta | Answer], run: RunInfo, *, on_error: OnError | None = None
) -> AsyncGenerator[bytes]:
    """`POST /chat/stream_events`: run events. `on_error` gets errors that became events."""
    return _send(items, EventEncoder(run), on_error)


class Encoder(Protocol):
    """Renders one stream. Each method returns whole events, none or several."""

    def begin(self) -> bytes: ...

    def add(self, delta: Delta) -> bytes: ...

    def end(self, answer: Answer) -> bytes: ...


class StreamEncoder:
    """The pieces themselves."""

    def __init__(self, run: RunInfo) -> None:
        self._run_id = run.run_id
        self._pieces = Pieces(run)

    def begin(self) -> bytes:
        return event("metadata", orjson.dumps({"run_id": self._run_id}))

    def add(self, delta: Delta) -> bytes:
        return data_event(self._pieces.add(delta))

    def end(self, answer: Answer) -> bytes:
        rest = self._pieces.rest(answer)
        events = self.add(rest) if rest else b""
        return events + data_event(self._pieces.last(answer)) + END


async def _send(
    items: AsyncIterator[Delta | Answer], encoder: Encoder, on_error: OnError | None
) -> AsyncGenerator[bytes]:
    begun = ended = False
    try:
        item = await anext(items, None)
        head = encoder.begin()
        while item is not None and not ended:
            if isinstance(item, Delta):
                events = encoder.add(item)
            else:
                events, ended = encoder.end(item), True
            if not begun:
                events, begun = head + events, True
            if events:
                yield events
            # Also after the answer: the engine may have something left to do once it was taken.
            item = await anext(items, None)
        if not ended:
            raise RuntimeError("the engine's stream ended without an answer")
    except Exception as error:
        if not begun:
            raise
        if on_error is not None:
            on_error(error)
        if not ended:
            yield error_event(error)
    finally:
        aclose = getattr(items, "aclose", None)
        if aclose is not None:
            await aclose()
