"""The pieces of one streamed reply as `AIMessageChunk` JSON, and their sum so far.

All pieces share one id. Usage and metadata stand on the last, empty one only, since LangChain adds pieces up: texts
are joined and numbers summed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

import orjson

from tilores_core.contracts import Answer, Delta
from tilores_core.web.langserve.decode import RunRequest
from tilores_core.web.langserve.encode import (
    message_id,
    provider_state,
    response_metadata,
    tool_calls,
    usage_metadata,
)
from tilores_core.web.response_template import ReplyValues


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """A run being streamed. `started`: on `time.perf_counter()`. `model`: the one asked for, when it is known.

    `model_run_id` is the id of the model's run inside it, which `stream_log` and `stream_events` show.
    """

    run_id: str
    request: RunRequest
    started: float
    model: str | None = None
    model_run_id: str = field(default_factory=lambda: str(uuid4()))


_FILLER: Final = {"filler": True}


class Pieces:
    """One reply's pieces. Each method returns JSON bytes; `add` must have been given what `total` is to hold."""

    def __init__(self, run: RunInfo) -> None:
        self._run = run
        self._id = message_id(run.run_id)
        empty = orjson.dumps(self._chunk("", ()))
        # Between `{"content":` and what follows it nothing changes from one text to the next.
        self._after_text = empty[len(b'{"content":""') :]
        self._filler = ""
        self._texts: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}

    def add(self, delta: Delta) -> bytes:
        """The piece for a delta. A filler is marked: its `additional_kwargs` has `filler`."""
        if delta.filler:
            self._filler += delta.text
            return orjson.dumps({**self._chunk(delta.text, ()), "additional_kwargs": _FILLER})
        if delta.text:
            self._texts.append(delta.text)
        if not delta.tool_calls:
            return self._text_chunk(delta.text)
        chunks = [_tool_call_chunk(call, place) for place, call in enumerate(delta.tool_calls)]
        for chunk in chunks:
            self._add_call(chunk)
        return orjson.dumps(self._chunk(delta.text, chunks))

    def total(self) -> bytes:
        """The sum of the pieces so far."""
        text = self._filler + "".join(self._texts)
        if not self._calls:
            return self._text_chunk(text)
        return orjson.dumps(self._chunk(text, [self._calls[index] for index in sorted(self._calls)]))

    def rest(self, answer: Answer) -> Delta | None:
        """What of the answer no piece has carried: all of it when a stored answer came whole."""
        sent = "".join(self._texts)
        text = answer.text[len(sent) :] if answer.text.startswith(sent) else ""
        calls = () if self._calls else tuple({"index": i, **call} for i, call in enumerate(answer.tool_calls))
        return Delta(text=text, tool_calls=calls) if text or calls else None

    def last(self, answer: Answer) -> bytes:
        """The empty last piece, with usage and metadata."""
        return orjson.dumps(self._closing(answer, "", []))

    def whole(self, answer: Answer) -> bytes:
        """The sum of all pieces, the last one included: the reply."""
        calls = [_tool_call_chunk(call, place) for place, call in enumerate(answer.tool_calls)]
        return orjson.dumps(self._closing(answer, answer.text, calls))

    def _closing(self, answer: Answer, text: str, calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        chunk = self._chunk(text, calls)
        if calls:
            chunk["tool_calls"], chunk["invalid_tool_calls"] = tool_calls(answer.tool_calls)
        latency_ms = round((perf_counter() - self._run.started) * 1000, 3)
        chunk["response_metadata"] = response_metadata(answer, ReplyValues.of(answer, self._run.run_id, latency_ms))
        chunk["additional_kwargs"] = provider_state(answer)
        chunk["usage_metadata"] = usage_metadata(answer.usage)
        chunk["chunk_position"] = "last"
        return chunk

    def _text_chunk(self, text: str) -> bytes:
        return b'{"content":' + orjson.dumps(text) + self._after_text

    def _chunk(self, text: str, calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {
            "content": text,
            "additional_kwargs": {},
            "response_metadata": {},
            "type": "AIMessageChunk",
            "name": None,
            "id": self._id,
            "tool_calls": [],
            "invalid_tool_calls": [],
            "usage_metadata": None,
            "tool_call_chunks": calls,
            "chunk_position": None,
        }

    def _add_call(self, chunk: dict[str, Any]) -> None:
        known = self._calls.setdefault(chunk["index"], dict(chunk, name=None, args=None, id=None))
        known["id"] = known["id"] or chunk["id"]
        for key in ("name", "args"):
            if chunk[key]:
                known[key] = (known[key] or "") + chunk[key]


def _tool_call_chunk(call: Mapping[str, Any], place: int) -> dict[str, Any]:
    """A piece of a tool call (OpenAI delta) as LangChain's; pieces of one call share their `index`."""
    function = call.get("function") or {}
    return {
        "name": function.get("name"),
        "args": function.get("arguments"),
        "id": call.get("id"),
        "index": call.get("index", place),
        "type": "tool_call_chunk",
    }
