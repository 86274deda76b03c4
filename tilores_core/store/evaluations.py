"""Evaluations: what was run, and the scores of each answer. No question, no answer and no value of a customer.

A run that the worker is asked for is `queued`. It is `running` until it is `done`, `stopped` by its budget, or
`failed` as a whole. Each finished call of a model is a row, committed
before the next is counted, so that what was paid for is never asked again: a run with the same digest goes on from
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from sqlalchemy import JSON, BigInteger, Column, Float, Index, String, Table, delete, select, update

from tilores_core.store.repository import Repository, read_row
from tilores_core.store.schema import PREFIX, fit_row, make_table, metadata, now_ms, upsert

RunState = Literal["queued", "running", "done", "stopped", "failed"]
_WAITING: Final[tuple[RunState, ...]] = ("queued", "running")
KEPT_RUNS: Final = 500
"""Older runs are removed with their results when a new one begins."""
_MOST: Final = 1_000

evaluation_results = Table(
    f"{PREFIX}evaluation_results",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("model", String(200), primary_key=True),
    Column("question_id", String(200), primary_key=True),
    Column("spectrum", String(100), nullable=False),
    Column("scores", JSON, nullable=False),
    Column("judged", Float),
    Column("error", String(100)),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost", Float),
    Column("seconds", Float, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """An evaluation in the store.

    `options`: what was asked for (models, split, seed, …); `summary`: means and counts, empty while it runs.
    """

    id: Annotated[str, String(64)]
    digest: Annotated[str, String(64)]
    state: Annotated[RunState, String(16)]
    created: datetime
    ended: datetime | None = None
    prompt_version: Annotated[str, String(200)] = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)


evaluation_runs = make_table("evaluation_runs", StoredRun, Index(None, "digest"), Index(None, "created_ms"))


class Evaluations(Repository):
    """Every method raises `StoreError`; what has returned is committed."""

    async def begin(
        self,
        run_id: str,
        *,
        digest: str,
        prompt_version: str,
        options: Mapping[str, Any],
        state: RunState = "running",
    ) -> StoredRun:
        """A new run; the oldest are removed."""
        row = {"id": run_id, "digest": digest, "state": state, "prompt_version": prompt_version, "summary": {}}
        row = fit_row(evaluation_runs, row | {"options": dict(options)})
        async with self._database.write() as connection:
            statement = evaluation_runs.insert().values(**row, created_ms=now_ms())
            made = (await connection.execute(statement.returning(*evaluation_runs.c))).one()
            newest = select(evaluation_runs.c.id).order_by(evaluation_runs.c.created_ms.desc()).limit(KEPT_RUNS)
            kept = [row for (row,) in await connection.execute(newest)]
            if len(kept) == KEPT_RUNS:
                await connection.execute(delete(evaluation_results).where(evaluation_results.c.run_id.not_in(kept)))
                await connection.execute(delete(evaluation_runs).where(evaluation_runs.c.id.not_in(kept)))
            return read_row(StoredRun, made)

    async def start(self, run_id: str, *, digest: str, prompt_version: str, options: Mapping[str, Any]) -> None:
        """A queued run begins, or goes on. `options` are added to those that it has."""
        mine = evaluation_runs.c.id == run_id
        values = {"state": "running", "digest": digest, "prompt_version": prompt_version}
        async with self._database.write() as connection:
            had = (await connection.execute(select(evaluation_runs.c.options).where(mine))).scalar() or {}
            await connection.execute(update(evaluation_runs).where(mine).values(**values, options={**had, **options}))

    async def waiting(self) -> list[StoredRun]:
        """The runs that the worker has to do, the oldest first; a run that a command began is not among them."""
        statement = select(evaluation_runs).where(evaluation_runs.c.state.in_(_WAITING))
        runs = await self._all(StoredRun, statement.order_by(evaluation_runs.c.created_ms, evaluation_runs.c.id))
        return [run for run in runs if "asked" in run.options]

    async def find_unfinished(self, digest: str) -> StoredRun | None:
        """The latest run of this digest that is not done."""
        wanted = evaluation_runs.c.digest == digest, evaluation_runs.c.state.in_(("running", "stopped"))
        statement = select(evaluation_runs).where(*wanted).order_by(evaluation_runs.c.created_ms.desc()).limit(1)
        return await self._first(StoredRun, statement)

    async def get(self, run_id: str) -> StoredRun | None:
        return await self._first(StoredRun, select(evaluation_runs).where(evaluation_runs.c.id == run_id))

    async def recent(self, *, limit: int = 20) -> list[StoredRun]:
        """The latest runs, newest first."""
        statement = select(evaluation_runs).order_by(evaluation_runs.c.created_ms.desc(), evaluation_runs.c.id)
        return await self._all(StoredRun, statement.limit(min(limit, _MOST)))

    async def end(self, run_id: str, *, state: RunState, summary: Mapping[str, Any]) -> None:
        values = {"state": state, "summary": dict(summary), "ended_ms": now_ms()}
        await self._change(update(evaluation_runs).where(evaluation_runs.c.id == run_id).values(**values))

    async def add(self, run_id: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Finished calls, each with the columns of `evaluation_results`; one that is there stays as it is."""
        values = [{**row, "run_id": run_id} for row in rows]
        if not values:
            return
        async with self._database.write() as connection:
            await upsert(connection, evaluation_results, values)

    async def results(self, run_id: str) -> list[dict[str, Any]]:
        """The finished calls of a run, by model and question."""
        columns = [column for column in evaluation_results.c if column.name != "run_id"]
        order = evaluation_results.c.model, evaluation_results.c.question_id
        statement = select(*columns).where(evaluation_results.c.run_id == run_id).order_by(*order)
        return [row._asdict() for row in await self._rows(statement)]
