"""Side by side: every candidate in every round, in turn, so that a slow moment of the machine hits all of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 15


def compare(candidates: Mapping[str, Callable[[], int]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median microseconds per operation. A candidate does its work once through and returns how many operations."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for work in candidates.values():
        work()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, work in candidates.items():
                started = time.perf_counter()
                operations = work()
                times[name].append((time.perf_counter() - started) / operations * 1e6)
    finally:
        gc.enable()
    return {name: statistics.median(found) for name, found in times.items()}


def report(title: str, figures: Mapping[str, float], base: str, limit: tuple[str, float] | None = None) -> None:
    print(f"\n{title}")
    for name, figure in figures.items():
        print(f"  {name:<44}{figure:>9.3f} us   {figure / figures[base]:>6.2f} x")
    if limit:
        name, most = limit
        ratio = figures[name] / figures[base]
        print(f"  -> {name}: {ratio:.2f} x {base}, at most {most:g} x wanted: {'yes' if ratio <= most else 'NO'}")
