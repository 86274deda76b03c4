"""Feedback that waits for the process that knows its run id: scores and ids, without a word of what was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from sqlalchemy import Index, String, delete, select

from tilores_core.store.changes import bump
from tilores_core.store.repository import Repository
from tilores_core.store.schema import make_table
from tilores_core.store.score_windows import with_ids
from tilores_core.store.topics import FEEDBACK

_KEEP_MS: Final = 3_600_000
MOST_WAITING: Final = 1000


@dataclass(frozen=True, slots=True)
class WaitingFeedback:
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
            await connection.execute(delete(waiting_feedback).where(waiting_feedback.c.at_ms < now_ms - _KEEP_MS))
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
