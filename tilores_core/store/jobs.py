"""Jobs of the worker process: what was asked for, how far it is, how it ended. Inputs and results of batches and
pre-warmings are in files; those of releases in `options` and `totals`.

    queued -> running -> done | failed
       |         |
       v         v
    cancelled <- cancelling

Who runs a job holds a lease and writes with the lease's fence. A replica that lost its lease writes nothing more:
the job has a higher fence by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from sqlalchemy import DefaultClause, Index, String, case, delete, func, select, text as sqltext, update
from sqlalchemy.sql.dml import ReturningUpdate, Update

from tilores_core.errors import StoreError
from tilores_core.store.changes import bump
from tilores_core.store.repository import Repository, read_row
from tilores_core.store.schema import fit_row, insert, make_table, now_ms
from tilores_core.store.topics import BATCH

ERROR_CHARACTERS: Final = 2000

Kind = Literal["batch", "prewarm", "release"]
State = Literal["queued", "running", "cancelling", "done", "failed", "cancelled"]
OPEN: Final[tuple[State, ...]] = ("queued", "running", "cancelling")
ENDED: Final[tuple[State, ...]] = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A background job in the store.

    `lines` is how many there are to do, None until they are counted. `totals` is what the runner counts.
    """

    id: Annotated[str, String(64)]
    kind: Annotated[Kind, String(16), DefaultClause(sqltext("'batch'"))]
    state: Annotated[State, String(16)]
    owner: Annotated[str, String(200)]
    fence: int
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    lines: int | None = None
    totals: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


jobs = make_table("batch_jobs", Job, Index(None, "created_ms", "id"), Index(None, "state"))


class Jobs(Repository):
    """Each write is committed before its method returns, with the topic `batch` raised by those that change a job's
    state. All raise `StoreError`."""

    async def create(
        self,
        job_id: str,
        *,
        owner: str,
        kind: Kind = "batch",
        options: Mapping[str, Any] | None = None,
        lines: int | None = None,
    ) -> Job:
        """A queued job. `owner`: the name of the key that asked for it. Raises `StoreError` when the id is taken."""
        row = {"id": job_id, "kind": kind, "state": "queued", "owner": owner, "fence": 0, "lines": lines}
        row = fit_row(jobs, row | {"totals": {}, "options": dict(options or {})})
        async with self._database.write() as connection:
            statement = insert(connection, jobs).values(**row, created_ms=now_ms())
            made = (await connection.execute(statement.on_conflict_do_nothing().returning(*jobs.c))).first()
            if made is None:
                raise StoreError(f"there is a batch job '{job_id}' already", fix="give the new one another id")
            await bump(connection, BATCH)
            return read_row(Job, made)

    async def get(self, job_id: str) -> Job | None:
        return await self._first(Job, select(jobs).where(jobs.c.id == job_id))

    async def recent(self, *, kind: Kind | None = None, ended: bool | None = None, limit: int = 100) -> list[Job]:
        """The newest first. `ended`: those that have, or have not."""
        statement = select(jobs).order_by(jobs.c.created_ms.desc(), jobs.c.id.desc()).limit(limit)
        if ended is not None:
            statement = statement.where(jobs.c.state.in_(ENDED if ended else OPEN))
        if kind is not None:
            statement = statement.where(jobs.c.kind == kind)
        return await self._all(Job, statement)

    async def start(self, job_id: str, fence: int, *, lines: int | None = None) -> Job | None:
        """Take a queued job, or one that was left by a holder with a lower fence; None when it is not to be had."""
        statement = _open_job(job_id).where(jobs.c.fence < fence)
        values: dict[str, Any] = {
            "state": case((jobs.c.state == "queued", "running"), else_=jobs.c.state),
            "fence": fence,
            "started_ms": func.coalesce(jobs.c.started_ms, now_ms()),
        }
        if lines is not None:
            values["lines"] = lines
        return await self._change_job(statement.values(**values))

    async def progress(
        self, job_id: str, fence: int, totals: Mapping[str, Any], *, lines: int | None = None
    ) -> Job | None:
        """Write down how far it is. None: the job is not this holder's any more. `cancelling`: it should end.

        The topic is not raised: no process has to act on it, and it is written twice a second.
        """
        values: dict[str, Any] = {"totals": dict(totals)} | ({} if lines is None else {"lines": lines})
        return await self._change_job(_open_job(job_id).where(jobs.c.fence == fence).values(**values), raised=False)

    async def finish(
        self,
        job_id: str,
        fence: int,
        state: Literal["done", "failed", "cancelled"],
        *,
        totals: Mapping[str, Any],
        error: str | None = None,
    ) -> Job | None:
        """End a job. None: it has ended already, or is not this holder's any more."""
        said = None if error is None else error.replace("\0", "")[:ERROR_CHARACTERS]
        statement = _open_job(job_id).where(jobs.c.fence == fence)
        return await self._change_job(
            statement.values(state=state, ended_ms=now_ms(), totals=dict(totals), error=said)
        )

    async def cancel(self, job_id: str) -> Job | None:
        """A queued job ends at once, a running one is asked to. None: it has ended, or there is none."""
        waiting = jobs.c.state == "queued"
        return await self._change_job(
            _open_job(job_id).values(
                state=case((waiting, "cancelled"), else_="cancelling"),
                ended_ms=case((waiting, now_ms()), else_=jobs.c.ended_ms),
            )
        )

    async def delete(self, job_id: str) -> bool:
        """Forget a job that has ended."""
        return await self._change(delete(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(ENDED)), BATCH) > 0

    async def _change_job(self, statement: Update, *, raised: bool = True) -> Job | None:
        """Carry the statement out. `raised`: with the topic, so that others look."""
        returning: ReturningUpdate[Any] = statement.returning(*jobs.c)
        async with self._database.write() as connection:
            row = (await connection.execute(returning)).first()
            if row is None:
                return None
            if raised:
                await bump(connection, BATCH)
            return read_row(Job, row)


def _open_job(job_id: str) -> Update:
    return update(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(OPEN))
