"""What live answers scored, cost and took, summed over windows of 5 minutes per model, spectrum and prompt version.

Of each measure a row has count, sum and sum of squares, so that rows are added up without loss, from several
processes and over time. `roll_up` moves old windows into hours, and old hours into days: each observation is in one
row at any time. The overall scores themselves are logged as well, in the order in which they came, until the tests
that look at each of them have consumed them. Nothing here holds what a customer said or what a record holds.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import JSON, BigInteger, Column, Float, Index, String, Table, case, delete, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.statistics import Moments
from tilores_core.store.database import Database
from tilores_core.store.schema import PREFIX, fitting, insert, metadata

WINDOW_MS: Final = 300_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000

COUNTS: Final = ("turns", "errors", "hits", "windows", "reached")
"""`turns`: all of the window, `hits` among them answered from the cache. `windows`: how many windows of 5 minutes a
row of an hour or a day has scores of, `reached`: of those, how many whose mean overall score reached the level that
`roll_up` was given."""
MEASURES: Final = ("overall", "groundedness", "abstention", "format", "latency", "cost", "feedback")
"""Scores and feedback are in [0, 1], latency in seconds and cost in US dollars per answer that a model made."""
_PARTS: Final = ("count", "sum", "squares")
_SUMS: Final = tuple(f"{measure}_{part}" for measure in MEASURES for part in _PARTS)

_KEEP_WINDOWS_MS: Final = 12 * HOUR_MS
_KEEP_HOURS_MS: Final = 8 * DAY_MS
_KEEP_SCORES_MS: Final = 6 * HOUR_MS
MOST_SCORES: Final = 1000
"""Scores in one row of the log."""

Dimension = Literal["model", "spectrum", "prompt_version"]
DIMENSIONS: Final[tuple[Dimension, ...]] = ("model", "spectrum", "prompt_version")

score_windows = Table(
    f"{PREFIX}score_windows",
    metadata,
    Column("model", String(200), primary_key=True),
    Column("spectrum", String(64), primary_key=True),
    Column("prompt_version", String(100), primary_key=True),
    Column("width_ms", BigInteger, primary_key=True),
    Column("start_ms", BigInteger, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in COUNTS),
    *(Column(name, Float, nullable=False) for name in _SUMS),
    Index(None, "start_ms"),
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


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """What scores are kept apart by."""

    model: str
    spectrum: str
    prompt_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Sums over a span of time. `start_ms`: of the span; the dimensions that were summed over are ""."""

    start_ms: int
    model: str
    spectrum: str
    prompt_version: str
    sums: Mapping[str, float]

    def moments(self, measure: str) -> Moments:
        """Count, mean and variance of one of `MEASURES`."""
        count, total, squares = (self.sums[f"{measure}_{part}"] for part in _PARTS)
        return Moments.of_sums(count=count, total=total, squares=squares)

    @property
    def cell(self) -> Cell:
        return Cell(self.model, self.spectrum, self.prompt_version)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedScores:
    """Overall scores of one cell, in the order in which they came."""

    id: int
    at_ms: int
    cell: Cell
    scores: Sequence[float]


class ScoreWindows:
    """All methods raise `StoreError`. Times are milliseconds since 1970."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
        # In one order, so that two writers never wait for each other.
        rows = [_row(cell, at_ms, values) for (cell, at_ms), values in sorted(sums.items())]
        logged = [
            {
                **_labels(cell),
                "id": new_row_id(now_ms),
                "at_ms": now_ms,
                "scores": list(values[start : start + MOST_SCORES]),
            }
            for cell, values in sorted((scores or {}).items())
            for start in range(0, len(values), MOST_SCORES)
        ]
        async with self._database.write() as connection:
            if rows:
                await _upsert(connection, rows)
            if logged:
                await connection.execute(score_log.insert(), logged)
                await connection.execute(delete(score_log).where(score_log.c.at_ms < now_ms - _KEEP_SCORES_MS))

    async def query(
        self,
        since_ms: int,
        until_ms: int,
        *,
        step_ms: int | None = None,
        by: Sequence[Dimension] = DIMENSIONS,
        model: str | None = None,
        spectrum: str | None = None,
        prompt_version: str | None = None,
        reached: float = 0.9,
        limit: int = 10_000,
    ) -> list[Window]:
        """Sums of the windows that begin in the span, oldest first: one per step and cell, or one per cell.

        `step_ms`: None for the whole span. Where windows were rolled up into hours or days, no step is finer than
        those. `by`: the dimensions that are kept apart. `reached`: see `COUNTS`, for windows not yet rolled up.
        """
        table = score_windows
        start = literal(since_ms) if step_ms is None else table.c.start_ms - table.c.start_ms % step_ms
        kept = [table.c[name] for name in by]
        sums = [func.sum(_summed(name, reached)).label(name) for name in (*COUNTS, *_SUMS)]
        statement = select(start.label("start"), *kept, *sums).where(
            table.c.start_ms >= since_ms, table.c.start_ms < until_ms
        )
        for column, wanted in zip(DIMENSIONS, (model, spectrum, prompt_version), strict=True):
            if wanted is not None:
                statement = statement.where(table.c[column] == wanted)
        grouped = ["start", *kept] if step_ms is not None else kept
        statement = statement.group_by(*grouped).order_by(*grouped).limit(limit)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        first = 1 + len(kept)
        return [
            Window(
                start_ms=int(row[0]),
                **{name: "" for name in DIMENSIONS if name not in by},
                **dict(zip(by, row[1:first], strict=True)),
                sums=dict(zip((*COUNTS, *_SUMS), map(float, row[first:]), strict=True)),
            )
            for row in rows
            if row[first] is not None
        ]

    async def logged(self, *, limit: int = 2000) -> list[LoggedScores]:
        """The oldest scores that were not consumed yet (`QualityStates.put`); after six hours they are dropped."""
        statement = select(score_log).order_by(score_log.c.at_ms, score_log.c.id).limit(limit)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [
            LoggedScores(
                id=row.id,
                at_ms=row.at_ms,
                cell=Cell(row.model, row.spectrum, row.prompt_version),
                scores=row.scores,
            )
            for row in rows
        ]

    async def roll_up(self, *, now_ms: int, keep_ms: int = 400 * DAY_MS, reached: float = 0.9) -> None:
        """Windows older than 12 hours into hours, hours older than 8 days into days; forget days older than
        `keep_ms`.

        Call it now and then; what arrives late is added by the next call.
        """
        async with self._database.write(seconds=self._database.limits.long) as connection:
            hours_before = _floor(now_ms - _KEEP_WINDOWS_MS, HOUR_MS)
            await _move(connection, WINDOW_MS, HOUR_MS, hours_before, reached)
            await _move(connection, HOUR_MS, DAY_MS, _floor(now_ms - _KEEP_HOURS_MS, DAY_MS), reached)
            await connection.execute(delete(score_windows).where(score_windows.c.start_ms < now_ms - keep_ms))


def new_row_id(now_ms: int) -> int:
    """An id for a row, about in the order of time, without a sequence that an import would have to set."""
    return now_ms * 1_000_000 + secrets.randbelow(1_000_000)


def _labels(cell: Cell) -> dict[str, str]:
    table = score_windows.c
    return {
        "model": fitting(table.model, cell.model),
        "spectrum": fitting(table.spectrum, cell.spectrum),
        "prompt_version": fitting(table.prompt_version, cell.prompt_version),
    }


def _row(cell: Cell, at_ms: int, values: Mapping[str, float]) -> dict[str, Any]:
    place = {**_labels(cell), "width_ms": WINDOW_MS, "start_ms": _floor(at_ms, WINDOW_MS)}
    return place | {name: values.get(name, 0) for name in (*COUNTS, *_SUMS)}


def _floor(value: int, step: int) -> int:
    return value - value % step


def _summed(name: str, reached: float) -> Any:
    """A column; for `windows` and `reached` of a window of 5 minutes: has it scores, and are they high enough."""
    columns = score_windows.c
    if name not in ("windows", "reached"):
        return columns[name]
    holds = columns.overall_count > 0
    if name == "reached":
        holds &= columns.overall_sum >= reached * columns.overall_count - 1e-9
    return case((columns.width_ms == WINDOW_MS, case((holds, 1), else_=0)), else_=columns[name])


async def _upsert(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    statement = insert(connection, score_windows)
    await connection.execute(_adding(statement), rows)


def _adding(statement: Any) -> Any:
    sums = {name: score_windows.c[name] + statement.excluded[name] for name in (*COUNTS, *_SUMS)}
    return statement.on_conflict_do_update(index_elements=list(score_windows.primary_key.columns), set_=sums)


async def _move(connection: AsyncConnection, narrow: int, wide: int, before_ms: int, reached: float) -> None:
    columns = score_windows.c
    old = (columns.width_ms == narrow) & (columns.start_ms < before_ms)
    start = columns.start_ms - columns.start_ms % wide
    labels = [columns[name] for name in DIMENSIONS]
    sums = [func.sum(_summed(name, reached)) for name in (*COUNTS, *_SUMS)]
    rows = select(*labels, literal(wide), start, *sums).where(old).group_by(*labels, start)
    names = [*DIMENSIONS, "width_ms", "start_ms", *COUNTS, *_SUMS]
    await connection.execute(_adding(insert(connection, score_windows).from_select(names, rows)))
    await connection.execute(delete(score_windows).where(old))
