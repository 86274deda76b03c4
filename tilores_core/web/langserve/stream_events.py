"""`stream_events`: what happens in a run, in version 2 of LangChain's schema."""

from __future__ import annotations

from typing import Any

import orjson

from tilores_core.contracts import Answer, Delta
from tilores_core.web.langserve.encode import message
from tilores_core.web.langserve.pieces import Pieces, RunInfo
from tilores_core.web.langserve.runs import (
    MODEL_NAME,
    MODEL_TYPE,
    ROOT_NAME,
    ROOT_TYPE,
    model_metadata,
    root_metadata,
)
from tilores_core.web.langserve.sse import END, data_event


class EventEncoder:
    """The model is shown as asked what the caller sent: never the system prompt, which holds the records."""

    def __init__(self, run: RunInfo) -> None:
        self._pieces = Pieces(run)
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
        return self._stream(self._pieces.add(delta))

    def end(self, answer: Answer) -> bytes:
        rest = self._pieces.rest(answer)
        events = self.add(rest) if rest else b""
        events += self._stream(self._pieces.last(answer))
        whole = self._pieces.whole(answer)
        return events + self._model.event("end", "output", whole) + self._root.event("end", "output", whole) + END

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
