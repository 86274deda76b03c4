"""A trace as LangSmith's runs: plain dictionaries, as its ingest API takes them.

A `RunTree` of two spans costs three times the CPU of these. Ids of inner runs are the trace's with other last
bits, so that a batch that is sent twice is stored once.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import count
from typing import Any, Final

from tilores_core import Span, Trace

Run = dict[str, Any]

_RUN_TYPE: Final = {
    "request": "chain",
    "customer": "retriever",
    "prompt": "prompt",
    "model": "llm",
    "tool": "tool",
    "answer": "parser",
    "alert": "chain",
}


def runs_of(trace: Trace, project: str) -> list[Run]:
    """The root first, then its children in the order of time."""
    trace_id, numbers = uuid_of(trace.id), count(1)

    def runs(span: Span, parent: uuid.UUID | None, above: str) -> Iterator[Run]:
        run_id = trace_id if parent is None else uuid.UUID(int=trace_id.int ^ next(numbers))
        started = datetime.fromtimestamp(span.started, UTC)
        order = f"{above}{started.strftime('%Y%m%dT%H%M%S%fZ')}{run_id}"
        run: Run = {
            "id": run_id,
            "trace_id": trace_id,
            "dotted_order": order,
            "name": span.name,
            "run_type": _RUN_TYPE[span.kind],
            "start_time": started,
            "end_time": datetime.fromtimestamp(span.ended, UTC),
            "inputs": _as_mapping(span.inputs) or {},
            "outputs": _as_mapping(span.outputs),
            "error": span.error,
            "extra": {"metadata": _metadata(trace, span)},
            "session_name": project,
        }
        if parent is None:
            run["tags"] = list(trace.tags)
        else:
            run["parent_run_id"] = parent
        if span.kind == "model" and (first := span.attributes.get("first_token")) is not None:
            spoke = datetime.fromtimestamp(span.started + float(first), UTC)
            run["events"] = [{"name": "new_token", "time": spoke.isoformat()}]
        yield run
        for child in sorted(span.children, key=lambda child: child.started):
            yield from runs(child, run_id, f"{order}.")

    return list(runs(trace.root, None, ""))


def uuid_of(trace_id: str) -> uuid.UUID:
    """LangSmith takes no other ids: of one that is not a UUID, always the same."""
    try:
        return uuid.UUID(trace_id)
    except ValueError:
        return uuid.UUID(bytes=blake2b(trace_id.encode("utf-8", "replace"), digest_size=16).digest(), version=4)


def _metadata(trace: Trace, span: Span) -> dict[str, Any]:
    metadata: dict[str, Any] = dict(span.attributes)
    if span is trace.root:
        metadata |= trace.metadata
    session = trace.session_id
    if session is not None:  # on each run: LangSmith sums up a thread's tokens and cost by it
        metadata |= {"session_id": session, "thread_id": session}
    if span.kind == "model":
        metadata |= _model_metadata(span)
    return metadata


def _model_metadata(span: Span) -> dict[str, Any]:
    told = span.attributes
    asked, said = int(told.get("input_tokens", 0)), int(told.get("output_tokens", 0))
    usage: dict[str, Any] = {"input_tokens": asked, "output_tokens": said, "total_tokens": asked + said}
    if "cost" in told:
        usage["total_cost"] = told["cost"]
    provider, _, model = span.name.partition(":")
    return {"ls_provider": provider, "ls_model_name": model, "ls_model_type": "chat", "usage_metadata": usage}


def _as_mapping(value: Any) -> dict[str, Any] | None:
    if value is None or isinstance(value, dict):
        return value
    return {"output": value}
