"""An engine's stream as server-sent events, for each of the three streaming routes.

The engine's stream is an async iterator of `Delta`s that ends with the `Answer`. What it raises before its first
item is raised here too, from the first `anext`: nothing has been sent by then, so the route can still answer with a
status. Later errors become an `error` event, which ends the stream. Closing a stream closes the engine's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from time import perf_counter
from typing import Any, Final

import orjson

from tilores_core.contracts import Answer, Delta
from tilores_core.web.langserve.encode import message
from tilores_core.web.langserve.errors import error_reply
from tilores_core.web.langserve.pieces import Pieces, RunInfo

OnError = Callable[[Exception], None]

ROOT_NAME: Final = "/chat"
ROOT_TYPE: Final = "chain"
MODEL_NAME: Final = "ChatModel"
MODEL_TYPE: Final = "chat_model"


def root_metadata(run: RunInfo) -> dict[str, Any]:
    """The client's own, without what is private by its name."""
    return {key: value for key, value in run.request.metadata.items() if not key.startswith("__")}


def model_metadata(run: RunInfo) -> dict[str, Any]:
    """The same, and which model it is under the names that LangChain uses."""
    metadata = {**root_metadata(run), "ls_model_type": "chat"}
    if run.model:
        provider, colon, model = run.model.partition(":")
        metadata["ls_model_name"] = model if colon else provider
        if colon:
            metadata["ls_provider"] = provider
    return metadata


class Encoder(ABC):
    """Renders one stream. Each method returns whole events, none or several."""

    def __init__(self, run: RunInfo) -> None:
        self.run = run
        self.pieces = Pieces(run)

    @abstractmethod
    def begin(self) -> bytes: ...

    @abstractmethod
    def add(self, delta: Delta) -> bytes: ...

    @abstractmethod
    def end(self, answer: Answer) -> bytes:
        """What comes when all of the answer's text has been added, but for the last event."""


class StreamEncoder(Encoder):
    """The pieces themselves."""

    def begin(self) -> bytes:
        return event("metadata", orjson.dumps({"run_id": self.run.run_id}))

    def add(self, delta: Delta) -> bytes:
        return data_event(self.pieces.add(delta))

    def end(self, answer: Answer) -> bytes:
        return data_event(self.pieces.last(answer))


# --- stream_log: the state of a run as JSON-patch operations that build it up ----------------------------------

_LOG: Final = f"/logs/{MODEL_NAME}"


class LogEncoder(Encoder):
    """The filters decide whether the model's run is among the logs; the run itself always is."""

    def __init__(self, run: RunInfo) -> None:
        super().__init__(run)
        request = run.request
        self._shows_model = request.filters.passes(name=MODEL_NAME, type=MODEL_TYPE, tags=request.tags)

    def begin(self) -> bytes:
        state: dict[str, Any] = {
            "id": self.run.run_id,
            "streamed_output": [],
            "final_output": None,
            "logs": {},
            "name": ROOT_NAME,
            "type": "chain",
        }
        events = _patch(("replace", "", state))
        if self._shows_model:
            events += _patch(("add", _LOG, self._log_entry()))
        return events

    def add(self, delta: Delta) -> bytes:
        chunk = orjson.Fragment(self.pieces.add(delta))
        events = b""
        if self._shows_model and delta.text:
            events += _patch(("add", f"{_LOG}/streamed_output_str/-", delta.text))
        if self._shows_model:
            events += _patch(("add", f"{_LOG}/streamed_output/-", chunk))
        return events + _output(chunk, orjson.Fragment(self.pieces.total()))

    def end(self, answer: Answer) -> bytes:
        chunk = orjson.Fragment(self.pieces.last(answer))
        whole = orjson.Fragment(self.pieces.whole(answer))
        events = b""
        if self._shows_model:
            events = _patch(("add", f"{_LOG}/streamed_output/-", chunk))
            events += _patch(
                ("add", f"{_LOG}/final_output", whole),
                ("add", f"{_LOG}/end_time", _timestamp(datetime.now(UTC))),
            )
        return events + _output(chunk, whole)

    def _log_entry(self) -> dict[str, Any]:
        request = self.run.request
        started = datetime.now(UTC) - timedelta(seconds=perf_counter() - self.run.started)
        return {
            "id": self.run.model_run_id,
            "name": MODEL_NAME,
            "type": MODEL_TYPE,
            "tags": request.tags,
            "metadata": model_metadata(self.run),
            "start_time": _timestamp(started),
            "streamed_output": [],
            "streamed_output_str": [],
            "final_output": None,
            "end_time": None,
        }


def _output(chunk: orjson.Fragment, total: orjson.Fragment) -> bytes:
    return _patch(("add", "/streamed_output/-", chunk), ("replace", "/final_output", total))


def _patch(*operations: tuple[str, str, object]) -> bytes:
    ops = [{"op": op, "path": path, "value": value} for op, path, value in operations]
    return data_event(orjson.dumps({"ops": ops}))


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


# --- stream_events: what happens in a run, in version 2 of LangChain's schema ----------------------------------


class EventEncoder(Encoder):
    """The model is shown as asked what the caller sent: never the system prompt, which holds the records."""

    def __init__(self, run: RunInfo) -> None:
        super().__init__(run)
        self._input = run.request.input
        self._messages = [message(one) for one in run.request.chat.messages]
        self._root = _Run(
            run, name=ROOT_NAME, kind=ROOT_TYPE, run_id=run.run_id, metadata=root_metadata(run), parents=[]
        )
        self._model = _Run(
            run,
            name=MODEL_NAME,
            kind=MODEL_TYPE,
            run_id=run.model_run_id,
            metadata=model_metadata(run),
            parents=[run.run_id],
        )

    def begin(self) -> bytes:
        messages = orjson.dumps({"messages": [self._messages]})
        return self._root.event("start", "input", self._echo()) + self._model.event("start", "input", messages)

    def add(self, delta: Delta) -> bytes:
        return self._stream(self.pieces.add(delta))

    def end(self, answer: Answer) -> bytes:
        whole = self.pieces.whole(answer)
        ended = self._model.event("end", "output", whole) + self._root.event("end", "output", whole)
        return self._stream(self.pieces.last(answer)) + ended

    def _stream(self, chunk: bytes) -> bytes:
        return self._model.event("stream", "chunk", chunk) + self._root.event("stream", "chunk", chunk)

    def _echo(self) -> bytes:
        try:
            return orjson.dumps(self._input)
        except TypeError:
            # A key that we ignore may be nested deeper than can be written.
            return orjson.dumps({"messages": self._messages})


class _Run:
    """One run's events. All but the data is rendered once, since it stands in every event."""

    def __init__(
        self, run: RunInfo, *, name: str, kind: str, run_id: str, metadata: dict[str, Any], parents: list[str]
    ) -> None:
        tags = run.request.tags
        self._shown = run.request.filters.passes(name=name, type=kind, tags=tags)
        self._kind = kind.encode()
        about = {"name": name, "run_id": run_id, "tags": tags, "metadata": metadata, "parent_ids": parents}
        self._about = orjson.dumps(about)[1:-1]

    def event(self, moment: str, key: str, data: bytes) -> bytes:
        """The event `on_<kind>_<moment>` with `data` (JSON) under `key`; nothing when it is filtered out."""
        if not self._shown:
            return b""
        return data_event(
            b'{"event":"on_%b_%b",%b,"data":{"%b":%b}}'
            % (self._kind, moment.encode(), self._about, key.encode(), data)
        )


# --- events, and the streams -----------------------------------------------------------------------------------

END: Final = b"event: end\n\n"
"""The last event of a stream that went well. It has no data: the JavaScript client would take it for a result."""

# The Python client's line reader ends a line at these too; JSON may hold them as they are.
_LINE_ENDS: Final = (
    (b"\xc2\x85", b"\\u0085"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)


def event(name: str, data: bytes) -> bytes:
    """One event; `data` is JSON without line breaks."""
    if b"\xe2\x80" in data or b"\xc2\x85" in data:
        for raw, escaped in _LINE_ENDS:
            data = data.replace(raw, escaped)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def data_event(data: bytes) -> bytes:
    return event("data", data)


def error_event(error: Exception) -> bytes:
    """The event that ends a stream that failed; it says as much as an error's HTTP reply would."""
    status, body, _ = error_reply(error)
    return event("error", orjson.dumps({"status_code": status, "message": body["message"]}))


async def _send(
    kind: Callable[[RunInfo], Encoder],
    items: AsyncIterator[Delta | Answer],
    run: RunInfo,
    *,
    on_error: OnError | None = None,
) -> AsyncGenerator[bytes]:
    """The stream's bytes. `on_error` gets errors that became events."""
    encoder = kind(run)
    begun = ended = False
    try:
        item = await anext(items, None)
        head = encoder.begin()
        while item is not None and not ended:
            if isinstance(item, Delta):
                events = encoder.add(item)
            else:
                rest = encoder.pieces.rest(item)
                events, ended = (encoder.add(rest) if rest else b"") + encoder.end(item) + END, True
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


stream = partial(_send, StreamEncoder)
"""`POST /chat/stream`: the run's id, the pieces, the end."""

stream_log = partial(_send, LogEncoder)
"""`POST /chat/stream_log`: JSON-patch operations."""

stream_events = partial(_send, EventEncoder)
"""`POST /chat/stream_events`: run events."""
