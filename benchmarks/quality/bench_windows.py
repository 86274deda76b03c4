"""A year of windows of live scores in SQLite: size of the file after roll-up, time of roll-up and of each query.

python -m benchmarks.quality.bench_windows [--models 7 --spectrums 7 --versions 5]

The rows are written as the store holds them: 12 hours in windows of 5 minutes, 8 days by the hour, the year by the
day and by four weeks, every cell active all the time. Ends with status 1 when the file is 300 MB or more, or a query
takes 50 ms or more (median of 5).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from tilores_core.store.address import store_address
from tilores_core.store.score_windows import score_windows
from tilores_core.store.store import Store
from tilores_core.store.windows import COUNTS, DAY_MS, FOUR_WEEKS_MS, HOUR_MS, MEASURES, WINDOW_MS, Cell

NOW = 1_790_000_000_000 - 1_790_000_000_000 % DAY_MS + 13 * HOUR_MS
YEAR_MS = 365 * DAY_MS
LARGEST, SLOWEST_MS = 300_000_000, 50.0


def rows(cells: list[Cell], draw: random.Random) -> Iterator[dict[str, Any]]:
    spans = (WINDOW_MS, 12 * HOUR_MS), (HOUR_MS, 8 * DAY_MS), (DAY_MS, YEAR_MS), (FOUR_WEEKS_MS, YEAR_MS)
    for width, back in spans:
        for start in range((NOW - back) // width * width, NOW, width):
            for cell in cells:
                count = width // 60_000
                row: dict[str, Any] = {
                    "model": cell.model,
                    "spectrum": cell.spectrum,
                    "prompt_version": cell.prompt_version,
                    "width_ms": width,
                    "start_ms": start,
                }
                row |= dict.fromkeys(COUNTS, count)
                for measure in MEASURES:
                    mean = draw.uniform(0.8, 1.0)
                    row |= {
                        f"{measure}_count": count,
                        f"{measure}_sum": mean * count,
                        f"{measure}_squares": mean * mean * count * 1.01,
                    }
                yield row


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, default in (("models", 7), ("spectrums", 7), ("versions", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    cells = [
        Cell(
            f"provider-{model}:model-of-usual-length-{model}", f"spectrum_name_{spectrum}", f"builtin-{version:012x}"
        )
        for model, spectrum, version in product(range(given.models), range(given.spectrums), range(given.versions))
    ]
    with tempfile.TemporaryDirectory() as folder:
        address = store_address(None, Path(folder))
        store = await Store.open(address)
        number = await fill(store, cells)
        began = time.perf_counter()
        await store.windows.roll_up(now_ms=NOW + HOUR_MS)
        rolled = time.perf_counter() - began
        size = sum(file.stat().st_size for file in address.path.parent.glob(f"{address.path.name}*"))
        print(f"{len(cells)} cells, {number:,} rows: {size / 1e6:.0f} MB (< 300); roll-up of an hour {rolled:.2f} s")
        slow = await queries(store, cells[len(cells) // 2])
        add = await timed(lambda: store.windows.add({(cell, NOW): {"turns": 1} for cell in cells}, now_ms=NOW))
        print(f"| adding to every cell | {len(cells)} | {add:.1f} | |")
        await store.aclose()
    return 1 if slow or size >= LARGEST else 0


async def fill(store: Store, cells: list[Cell]) -> int:
    number, part = 0, []
    made = rows(cells, random.Random(1))
    while part := [row for _, row in zip(range(20_000), made, strict=False)]:
        async with store.database.write(seconds=600) as connection:
            await connection.execute(score_windows.insert(), part)
        number += len(part)
    return number


async def queries(store: Store, cell: Cell) -> list[str]:
    query = partial(store.windows.query, measures=("overall", "latency"))
    one: dict[str, Any] = {"model": cell.model, "spectrum": cell.spectrum, "prompt_version": cell.prompt_version}
    asked: list[tuple[str, Callable[[], Awaitable[list[Any]]]]] = [
        ("one cell, an hour by 5 minutes", lambda: query(NOW - HOUR_MS, NOW, step_ms=WINDOW_MS, **one)),
        ("one cell, 12 hours by 5 minutes", lambda: query(NOW - 12 * HOUR_MS, NOW, step_ms=WINDOW_MS, **one)),
        ("one cell, a week by the hour", lambda: query(NOW - 7 * DAY_MS, NOW, step_ms=HOUR_MS, **one)),
        ("one cell, a year by the day", lambda: query(NOW - YEAR_MS, NOW, step_ms=DAY_MS, **one)),
        ("every cell, an hour in all", lambda: query(NOW - HOUR_MS, NOW)),
        ("models by spectrums, an hour in all", lambda: query(NOW - HOUR_MS, NOW, by=("model", "spectrum"))),
        ("models by spectrums, a day in all", lambda: query(NOW - DAY_MS, NOW, by=("model", "spectrum"))),
        ("every cell, a week in all", lambda: query(NOW - 7 * DAY_MS, NOW)),
        ("models by spectrums, a year in all", lambda: query(NOW - YEAR_MS, NOW, by=("model", "spectrum"))),
        ("all, a day by the hour", lambda: query(NOW - DAY_MS, NOW, step_ms=HOUR_MS, by=())),
        (
            "one model, a year by the day",
            lambda: query(NOW - YEAR_MS, NOW, step_ms=DAY_MS, by=("model",), model=cell.model),
        ),
    ]
    print("| query | rows | median ms | < 50 |\n| --- | --- | --- | --- |")
    slow = []
    for name, ask in asked:
        found = await ask()
        taken = await timed(ask)
        print(f"| {name} | {len(found)} | {taken:.1f} | {'yes' if taken < SLOWEST_MS else 'NO'} |")
        if taken >= SLOWEST_MS:
            slow.append(name)
    return slow


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - began) * 1000)
    return median(taken)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
