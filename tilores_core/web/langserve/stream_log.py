"""`stream_log`: the state of a run as JSON-patch operations that build it up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final

import orjson

from tilores_core.contracts import Answer, Delta
from tilores_core.web.langserve.pieces import Pieces, RunInfo
from tilores_core.web.langserve.runs import MODEL_NAME, MODEL_TYPE, ROOT_NAME, model_metadata
from tilores_core.web.langserve.sse import END, data_event

_LOG: Final = f"/logs/{MODEL_NAME}"


class LogEncoder:
    """The filters decide whether the model's run is among the logs; the run itself always is."""

    def __init__(self, run: RunInfo) -> None:
        self._run = run
        self._pieces = Pieces(run)
        request = run.request
        self._shows_model = request.filters.passes(name=MODEL_NAME, type=MODEL_TYPE, tags=request.tags)

    def begin(self) -> bytes:
        state: dict[str, Any] = {
            "id": self._run.run_id,
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
        chunk = orjson.Fragment(self._pieces.add(delta))
        events = b""
        if self._shows_model and delta.text:
            events += _patch(("add", f"{_LOG}/streamed_output_str/-", delta.text))
        if self._shows_model:
            events += _patch(("add", f"{_LOG}/streamed_output/-", chunk))
        return events + _output(chunk, orjson.Fragment(self._pieces.total()))

    def end(self, answer: Answer) -> bytes:
        rest = self._pieces.rest(answer)
        events = self.add(rest) if rest else b""
        chunk = orjson.Fragment(self._pieces.last(answer))
        whole = orjson.Fragment(self._pieces.whole(answer))
        if self._shows_model:
            events += _patch(("add", f"{_LOG}/streamed_output/-", chunk))
            events += _patch(
                ("add", f"{_LOG}/final_output", whole),
                ("add", f"{_LOG}/end_time", _timestamp(datetime.now(UTC))),
            )
        return events + _output(chunk, whole) + END

    def _log_entry(self) -> dict[str, Any]:
        request = self._run.request
        started = datetime.now(UTC) - timedelta(seconds=perf_counter() - self._run.started)
        return {
            "id": self._run.model_run_id,
            "name": MODEL_NAME,
            "type": MODEL_TYPE,
            "tags": request.tags,
            "metadata": model_metadata(self._run),
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
