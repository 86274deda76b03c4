"""Which trace a run belongs to, and the ids of its spans.

A run that came with a `traceparent` goes on in its caller's trace. Any other is a trace of its own, whose id is the
run's UUID without hyphens. Ids of spans follow from the run's id, so that a batch sent twice has the same spans twice
and a score finds the span that it is for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final
from uuid import UUID

# https://www.w3.org/TR/trace-context/#traceparent-header: what a later version adds comes after a hyphen.
_TRACEPARENT: Final = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)


@dataclass(frozen=True, slots=True)
class Origin:
    """A trace, and the caller's span in it: empty when the trace begins here."""

    trace_id: bytes
    parent_id: bytes = b""


def origin_of(run_id: str, traceparent: str | None) -> Origin:
    return (read_traceparent(traceparent) if traceparent else None) or Origin(_trace_id(run_id))


def read_traceparent(header: str) -> Origin | None:
    """None when the header is not as W3C says."""
    found = _TRACEPARENT.fullmatch(header)
    if found is None or (found[1] == "00" and found[5] is not None):
        return None
    trace_id, parent_id = bytes.fromhex(found[2]), bytes.fromhex(found[3])
    return None if trace_id == _NO_TRACE or parent_id == _NO_SPAN else Origin(trace_id, parent_id)


def span_id(run_id: str, *place: str | int) -> bytes:
    """Eight bytes for the span at `place` in its run; the root has no place."""
    return blake2b("\0".join((run_id, *map(str, place))).encode("utf-8", "replace"), digest_size=8).digest()


def _trace_id(run_id: str) -> bytes:
    try:
        trace_id = UUID(run_id).bytes
    except ValueError:
        trace_id = _NO_TRACE
    return trace_id if trace_id != _NO_TRACE else blake2b(run_id.encode("utf-8", "replace"), digest_size=16).digest()
