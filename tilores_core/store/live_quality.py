"""What live quality keeps beside its windows of scores: the states of its watch, feedback that waits for the process
that knows its run id, and the questions that got feedback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

from sqlalchemy import JSON, BigInteger, Column, Index, String, Table, delete, select

from tilores_core.store.changes import bump
from tilores_core.store.leases import require_lease
from tilores_core.store.repository import Repository
from tilores_core.store.schema import PREFIX, make_table, metadata, upsert
from tilores_core.store.score_windows import score_log, with_ids
from tilores_core.store.topics import FEEDBACK
from tilores_core.store.windows import DAY_MS, HOUR_MS, Cell

LEASE: Final = "quality"

quality_states = Table(
    f"{PREFIX}quality_states",
    metadata,
    Column("model", String(200), primary_key=True),
    Column("spectrum", String(64), primary_key=True),
    Column("prompt_version", String(100), primary_key=True),
    Column("state", JSON, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)


class QualityStates(Repository):
    """What the watch knows of each model, spectrum and prompt version, kept over restarts.

    All methods raise `StoreError`. Only the holder of the lease `quality` writes; another fence is refused.
    """

    async def get_all(self) -> dict[Cell, dict[str, Any]]:
        rows = await self._rows(select(quality_states))
        return {Cell(row.model, row.spectrum, row.prompt_version): row.state for row in rows}

    async def put(
        self, states: Mapping[Cell, Mapping[str, Any]], *, consumed: Sequence[int] = (), now_ms: int, fence: int
    ) -> None:
        """Replace these states, and remove the logged scores with these ids, which they include: all or nothing."""
        async with self._database.write() as connection:
            await require_lease(connection, LEASE, fence)
            rows = [
                {**cell._asdict(), "state": dict(state), "changed_ms": now_ms}
                for cell, state in sorted(states.items())
            ]
            if rows:
                await upsert(connection, quality_states, rows, replace=["state", "changed_ms"])
            await connection.execute(delete(score_log).where(score_log.c.id.in_(consumed)))

    async def forget(self, before_ms: int, *, fence: int) -> None:
        """Remove what has not changed since then."""
        async with self._database.write() as connection:
            await require_lease(connection, LEASE, fence)
            await connection.execute(delete(quality_states).where(quality_states.c.changed_ms < before_ms))


# --- feedback --------------------------------------------------------------------------------------------

MOST_WAITING: Final = 1000


@dataclass(frozen=True, slots=True)
class WaitingFeedback:
    """A score and the id of its run, without a word of what was said."""

    id: int
    run_id: Annotated[str, String(64)]
    score: float
    at_ms: int


waiting_feedback = make_table("waiting_feedback", WaitingFeedback, Index(None, "at_ms"))


class FeedbackQueue(Repository):
    """All methods raise `StoreError`."""

    async def put(self, feedback: Sequence[tuple[str, float]], *, now_ms: int) -> None:
        """Show these run ids and scores to other processes; forget those of an hour ago. Bumps `feedback`."""
        async with self._database.write() as connection:
            rows = [{"run_id": run_id, "score": score, "at_ms": now_ms} for run_id, score in feedback]
            await connection.execute(waiting_feedback.insert(), with_ids(waiting_feedback, rows, now_ms))
            await connection.execute(delete(waiting_feedback).where(waiting_feedback.c.at_ms < now_ms - HOUR_MS))
            await bump(connection, FEEDBACK)

    async def waiting(self) -> list[WaitingFeedback]:
        """The latest, at most `MOST_WAITING`."""
        statement = select(waiting_feedback).order_by(waiting_feedback.c.at_ms.desc()).limit(MOST_WAITING)
        return await self._all(WaitingFeedback, statement)

    async def claim(self, ids: Sequence[int]) -> set[int]:
        """Remove these; the ids that this call has removed, each of which no other process gets."""
        table = waiting_feedback
        statement = delete(table).where(table.c.id.in_(ids)).returning(table.c.id)
        async with self._database.write() as connection:
            return set((await connection.execute(statement)).scalars())


# --- questions -------------------------------------------------------------------------------------------

MOST_QUESTIONS: Final = 5_000
_QUESTION_DAYS: Final = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedQuestion:
    """A question of a live turn that got feedback, where `[quality] collect_questions` is on; else there is none.

    Kept are its text, the id of its customer, and names. No answer, and no value of a record.
    `fields`: those whose values the answer stated; `abstained`: the answer said that the records do not hold it;
    `score`: of the feedback, from 0 to 1.
    """

    run_id: Annotated[str, String(64)]
    at_ms: int
    customer_id: Annotated[str, String(500)]
    question: str
    spectrum: Annotated[str, String(64)]
    model: Annotated[str, String(200)]
    prompt_version: Annotated[str, String(100)]
    fields: tuple[str, ...]
    abstained: bool
    score: float


collected_questions = make_table(
    "collected_questions", CollectedQuestion, Index(None, "at_ms"), Index(None, "customer_id"), key=("run_id",)
)


class CollectedQuestions(Repository):
    """All methods raise `StoreError`."""

    async def put(self, rows: Sequence[CollectedQuestion], *, now_ms: int) -> None:
        """Keep these; a later score of a run replaces the one before. What is too old or too much goes."""
        table = collected_questions
        async with self._database.write() as connection:
            await upsert(connection, table, [asdict(row) for row in rows], replace=["score"])
            oldest = select(table.c.at_ms).order_by(table.c.at_ms.desc()).offset(MOST_QUESTIONS).limit(1)
            limit = max(now_ms - _QUESTION_DAYS * DAY_MS, (await connection.execute(oldest)).scalar() or 0)
            await connection.execute(delete(table).where(table.c.at_ms <= limit))

    async def list_since(self, since_ms: int) -> list[CollectedQuestion]:
        """The newest first."""
        table = collected_questions
        statement = select(table).where(table.c.at_ms >= since_ms).order_by(table.c.at_ms.desc(), table.c.run_id)
        return await self._all(CollectedQuestion, statement)

    async def forget(self, customer_id: str) -> int:
        """Remove the questions about a customer; how many there were."""
        table = collected_questions
        return await self._change(delete(table).where(table.c.customer_id == customer_id))
