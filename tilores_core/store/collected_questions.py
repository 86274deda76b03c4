"""Questions of live turns that got feedback, where `[quality] collect_questions` is on; else the table is empty.

Kept are the text of the question, the id of its customer, and names: model, spectrum, prompt version, the fields
whose values the answer stated. No answer, and no value of a record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Final

from sqlalchemy import Index, String, delete, select

from tilores_core.store.repository import Repository
from tilores_core.store.schema import make_table, upsert

KEPT: Final = 5_000
KEPT_DAYS: Final = 90
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedQuestion:
    """A rated question.

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
            oldest = select(table.c.at_ms).order_by(table.c.at_ms.desc()).offset(KEPT).limit(1)
            limit = max(now_ms - KEPT_DAYS * _DAY_MS, (await connection.execute(oldest)).scalar() or 0)
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
