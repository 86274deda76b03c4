"""What live answers scored, cost and took, summed over windows of 5 minutes per model, spectrum and prompt version.

Of each measure a row has count, sum and sum of squares, so that rows are added up without loss, from several
processes and over time. What is added goes into the window of 5 minutes, the hour, the day and the four weeks that it
belongs to; `roll_up` forgets the narrow ones first. So a query reads few rows whatever span it is about.

The overall scores themselves are logged as well, in the order in which they came, until the tests that look at each
of them have consumed them. Nothing here holds what a customer said or what a record holds.
"""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Float,
    Index,
    PrimaryKeyConstraint,
    String,
    Table,
    delete,
    func,
    literal,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.store.repository import Repository, read_row
from tilores_core.store.schema import PREFIX, fit_row, metadata, upsert
from tilores_core.store.windows import (
    COUNTS,
    DAY_MS,
    DIMENSIONS,
    HOUR_MS,
    MEASURES,
    PARTS,
    WIDTHS,
    WINDOW_MS,
    Cell,
    Dimension,
    LoggedScores,
    Window,
)

_KEY: Final = ("width_ms", "start_ms", "model", "spectrum", "prompt_version")
_SUMS: Final = tuple(f"{measure}_{part}" for measure in MEASURES for part in PARTS)

_KEEP_MS: Final = {WINDOW_MS: 12 * HOUR_MS, HOUR_MS: 8 * DAY_MS}
_CLOSED_AFTER_MS: Final = 2 * WINDOW_MS
_KEEP_SCORES_MS: Final = 6 * HOUR_MS
MOST_SCORES: Final = 1000
"""Scores in one row of the log."""

score_windows = Table(
    f"{PREFIX}score_windows",
    metadata,
    # In the order of time: most queries are about a span of one width.
    Column("width_ms", BigInteger, autoincrement=False),
    Column("start_ms", BigInteger, autoincrement=False),
    Column("model", String(200)),
    Column("spectrum", String(64)),
    Column("prompt_version", String(100)),
    *(Column(name, BigInteger, nullable=False) for name in COUNTS),
    *(Column(name, Float, nullable=False) for name in _SUMS),
    PrimaryKeyConstraint(*_KEY, name=f"pk_{PREFIX}score_windows_by_time"),
    Index(f"ix_{PREFIX}score_windows_cell", "model", "spectrum", "prompt_version", "width_ms", "start_ms"),
    sqlite_with_rowid=False,
)

score_log = Table(
    f"{PREFIX}score_log",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("model", String(200), nullable=False),
    Column("spectrum", String(64), nullable=False),
    Column("prompt_version", String(100), nullable=False),
    Column("scores", JSON, nullable=False),
    Index(None, "at_ms"),
)


class ScoreWindows(Repository):
    """All methods raise `StoreError`. Times are milliseconds since 1970."""

    async def add(
        self,
        sums: Mapping[tuple[Cell, int], Mapping[str, float]],
        scores: Mapping[Cell, Sequence[float]] | None = None,
        *,
        now_ms: int,
    ) -> None:
        """Add to windows, all or nothing. Keys: the cell and any time of the window. `scores`: overall ones, in
        order.

        `sums`: of the names in `COUNTS` and `MEASURES` with `_count`, `_sum`, `_squares`; what is left out is 0.
        """
        rows = _rows(sums)
        logged = [
            {**cell._asdict(), "at_ms": now_ms, "scores": list(values[start : start + MOST_SCORES])}
            for cell, values in sorted((scores or {}).items())
            for start in range(0, len(values), MOST_SCORES)
        ]
        async with self._database.write() as connection:
            if rows:
                await upsert(connection, score_windows, rows, add=(*COUNTS, *_SUMS))
            if logged:
                await connection.execute(score_log.insert(), with_ids(score_log, logged, now_ms))
                await connection.execute(delete(score_log).where(score_log.c.at_ms < now_ms - _KEEP_SCORES_MS))

    async def query(
        self,
        since_ms: int,
        until_ms: int,
        *,
        now_ms: int | None = None,
        step_ms: int | None = None,
        by: Sequence[Dimension] = DIMENSIONS,
        measures: Sequence[str] = MEASURES,
        model: str | None = None,
        spectrum: str | None = None,
        prompt_version: str | None = None,
        without: Sequence[tuple[int, int]] = (),
        limit: int = 10_000,
    ) -> list[Window]:
        """Sums of a span, oldest first: one per step and cell, or one per cell.

        `step_ms`: None for the whole span, else a multiple of one of `WIDTHS`. `by`: the dimensions kept apart.
        `measures`: those that are read; fewer are faster. `now_ms`: default `until_ms`; tells which widths are still
        kept. The span is widened to whole windows: of the step, or else of the widest width that is half the span at
        most. `without`: spans whose windows are left out; the narrowest that are still kept are read then.
        """
        table = score_windows
        width = _width(since_ms, until_ms, until_ms if now_ms is None else now_ms, step_ms, narrow=bool(without))
        since_ms = _floor(since_ms, width)
        start: ColumnElement[int] = literal(since_ms)
        if step_ms is not None:
            start = table.c.start_ms if step_ms == width else table.c.start_ms - table.c.start_ms % step_ms
        kept = [table.c[name] for name in by]
        names = (*COUNTS, *(f"{measure}_{part}" for measure in measures for part in PARTS))
        statement = select(start.label("start"), *kept, *(func.sum(table.c[name]) for name in names)).where(
            table.c.width_ms == width, table.c.start_ms >= since_ms, table.c.start_ms < until_ms
        )
        for begin, end in without:
            statement = statement.where((table.c.start_ms >= end) | (table.c.start_ms + width <= begin))
        for column, wanted in zip(DIMENSIONS, (model, spectrum, prompt_version), strict=True):
            if wanted is not None:
                statement = statement.where(table.c[column] == wanted)
        grouped = [start, *kept] if step_ms is not None else kept
        statement = statement.group_by(*grouped).order_by(*grouped).limit(limit)
        rows = await self._rows(statement)
        first = 1 + len(kept)
        return [
            Window(
                start_ms=int(row[0]),
                **{name: "" for name in DIMENSIONS if name not in by},
                **dict(zip(by, row[1:first], strict=True)),
                sums=dict(zip(names, map(float, row[first:]), strict=True)),
            )
            for row in rows
            if row[first] is not None
        ]

    async def list_logged(self, *, limit: int = 2000) -> list[LoggedScores]:
        """The oldest scores that were not consumed yet (`QualityStates.put`); after six hours they are dropped."""
        statement = select(score_log).order_by(score_log.c.at_ms, score_log.c.id).limit(limit)
        return [
            read_row(LoggedScores, row, cell=Cell(row.model, row.spectrum, row.prompt_version))
            for row in await self._rows(statement)
        ]

    async def roll_up(self, *, now_ms: int, keep_ms: int = 400 * DAY_MS, reached: float = 0.9) -> None:
        """Count the windows that have closed, and forget what is too old.

        A window of 5 minutes is counted in `windows`, and in `reached`, ten minutes after its end. It is kept for 12
        hours, an hour for 8 days, a day and four weeks for `keep_ms`. Call it every few minutes.
        """
        table = score_windows.c
        async with self._database.write(seconds=self._database.limits.long) as connection:
            await _count_closed(connection, now_ms - _CLOSED_AFTER_MS, reached)
            for width in WIDTHS:
                before = now_ms - _KEEP_MS.get(width, max(keep_ms, width)) - width
                await connection.execute(
                    delete(score_windows).where(table.start_ms < before, table.width_ms == width)
                )


def with_ids(table: Table, rows: Sequence[Mapping[str, Any]], now_ms: int) -> list[dict[str, Any]]:
    """The rows, each with another `id`, about in the order of time, without a sequence that an import would have to
    set. Raises `StoreError` for a text that does not fit."""
    ids = secrets.SystemRandom().sample(range(1_000_000), len(rows))
    return [{**fit_row(table, row), "id": now_ms * 1_000_000 + one} for row, one in zip(rows, ids, strict=True)]


def _rows(sums: Mapping[tuple[Cell, int], Mapping[str, float]]) -> list[dict[str, Any]]:
    """A row for each cell and width, in one order, so that two writers never wait for each other."""
    added: defaultdict[tuple[Cell, int, int], Counter[str]] = defaultdict(Counter)
    for (cell, at_ms), values in sums.items():
        for width in WIDTHS:
            added[cell, width, _floor(at_ms, width)].update(values)
    return [
        {
            **cell._asdict(),
            "width_ms": width,
            "start_ms": start,
            **{name: values.get(name, 0) for name in (*COUNTS, *_SUMS)},
        }
        for (cell, width, start), values in sorted(added.items())
    ]


def _floor(value: int, step: int) -> int:
    return value - value % step


def _width(since_ms: int, until_ms: int, now_ms: int, step_ms: int | None, *, narrow: bool) -> int:
    """The width of the rows to read, which is wide enough to be kept for as long as the span goes back."""
    if narrow:
        fits = []
    elif step_ms is None:
        fits = [width for width in WIDTHS if width <= (until_ms - since_ms) // 2]
    else:
        fits = [width for width in WIDTHS if step_ms % width == 0]
    kept = [width for width in WIDTHS if now_ms - since_ms <= _KEEP_MS.get(width, now_ms)]
    return max([WINDOW_MS, *fits][-1], kept[0])


async def _count_closed(connection: AsyncConnection, before_ms: int, reached: float) -> None:
    """Note of each window that has closed whether its mean is high enough, once, in all widths that hold it."""
    table = score_windows.c
    closed = (
        (table.width_ms == WINDOW_MS)
        & (table.start_ms + WINDOW_MS <= before_ms)
        & (table.windows == 0)
        & (table.overall_count > 0)
    )
    statement = select(*(table[name] for name in DIMENSIONS), table.start_ms, table.overall_sum, table.overall_count)
    counts = {
        (Cell(row.model, row.spectrum, row.prompt_version), row.start_ms): {
            "windows": 1,
            "reached": int(row.overall_sum >= reached * row.overall_count - 1e-9),
        }
        for row in await connection.execute(statement.where(closed))
    }
    if counts:
        await upsert(connection, score_windows, _rows(counts), add=(*COUNTS, *_SUMS))
