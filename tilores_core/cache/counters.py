"""Counters and times of the tiering, cheap enough for the path of a hit."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_KEPT_TIMES = 1024


@dataclass(slots=True)
class TierCounters:
    """One tier's part in one namespace."""

    hits: int = 0
    misses: int = 0
    promotions: int = 0
    stores: int = 0
    damaged: int = 0


@dataclass(slots=True)
class NamespaceCounters:
    """What happened to one namespace above the tiers."""

    coalesced: int = 0
    made: int = 0
    failed: int = 0
    refreshes: int = 0
    served_stale: int = 0
    served_on_error: int = 0
    dropped: int = 0


class Times:
    """The latest durations of one tier's reads."""

    __slots__ = ("_seconds",)

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_KEPT_TIMES)

    def add(self, seconds: float) -> None:
        self._seconds.append(seconds)

    def quantiles(self) -> dict[str, float | None]:
        """Return the two quantiles: `p50_us` and `p99_us`, microseconds; None before the first."""
        ordered = sorted(self._seconds)
        if not ordered:
            return {"p50_us": None, "p99_us": None}
        last = len(ordered) - 1
        return {
            "p50_us": round(ordered[last // 2] * 1e6, 2),
            "p99_us": round(ordered[min(last, int(len(ordered) * 0.99))] * 1e6, 2),
        }
