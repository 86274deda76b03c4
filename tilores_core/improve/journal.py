"""Every paid call of a cycle: kept in the store before it counts, and counted against the budget.

A process that takes a cycle over goes through the same steps; a call that is in the journal is not made again, but
counts as it did, so that the budget ends at the same place.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tilores_core.chat.prompts import build_prompt
from tilores_core.errors import BudgetSpentError
from tilores_core.quality.evaluation import AnswerResult, Budget, EvaluationPlan, Evaluator
from tilores_core.quality.evaluation.plan import Purpose
from tilores_core.quality.questions.golden import GoldenQuestion

if TYPE_CHECKING:
    from tilores_core.store.improvement import Improvement

_REFLECTION = "reflection"


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleBudget:
    """Most that one cycle may spend: model calls, tokens, US dollars, and seconds in one process; None: no limit."""

    calls: int | None = None
    tokens: int | None = None
    dollars: float | None = None
    seconds: float | None = None


@dataclass(slots=True, kw_only=True)
class CycleSpending:
    """What a cycle has spent. `reflections`: the calls of the reflection model, which `calls` includes."""

    calls: int = 0
    tokens: int = 0
    dollars: float = 0.0
    reflections: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReply:
    """What the reflection model said, and what it took. `dollars`: 0 where it is not known."""

    text: str
    tokens: int = 0
    dollars: float = 0.0


class CycleJournal:
    """What a cycle has finished, kept in the store so that it resumes after a crash and pays no call twice.

    `models`, `seed`: of every evaluation. `await load()` first.
    """

    def __init__(
        self,
        store: Improvement,
        cycle_id: str,
        budget: CycleBudget,
        evaluator: Evaluator,
        *,
        models: tuple[str, ...],
        seed: int,
    ) -> None:
        self.models = models
        self.spent = CycleSpending()
        self.known: dict[tuple[str, str], dict[str, Any]] = {}
        self._store = store
        self._cycle_id = cycle_id
        self._budget = budget
        self._evaluator = evaluator
        self._seed = seed
        self._used: set[tuple[str, str]] = set()
        self._begun = time.monotonic()
        self._asked: dict[str, int] = {}
        self.ended: str | None = None
        """Why the budget did not allow what was wanted, None while it did."""
        self.reserved = 0
        """Calls that what comes later needs: a search may not spend them."""

    @property
    def seconds_left(self) -> float | None:
        """Of the budget, for this process; None: no limit."""
        limit = self._budget.seconds
        return None if limit is None else max(0.0, limit - (time.monotonic() - self._begun))

    async def load(self) -> None:
        """Take over what an earlier process has finished of the cycle. Raises `StoreError`."""
        self.known = await self._store.calls(self._cycle_id)

    def restore(self, spent: Mapping[str, Any], *, present: Mapping[str, str] | None = None) -> None:
        """What the finished phases have spent. `present`: the prompt whose answers in the journal that includes."""
        self.spent = CycleSpending(**spent)
        if present is not None:
            subject = prompt_key(present)
            self._used.update(key for key in self.known if key[0] == subject)

    async def _add(self, subject: str, calls: Mapping[str, Mapping[str, Any]]) -> None:
        """Returns when they are committed."""
        await self._store.add_calls(self._cycle_id, subject, calls)
        self.known.update({(subject, key): dict(body) for key, body in calls.items()})

    async def evaluate(
        self, parts: Mapping[str, str], questions: Iterable[GoldenQuestion], *, purpose: Purpose = "improvement"
    ) -> dict[tuple[str, str], AnswerResult]:
        """The answers with a prompt of these parts, by model and question; those in the journal are not asked again.

        Raises `BudgetSpentError`: before the first call when they are more than may be asked, else when the time or
        the money is over.
        """
        subject, asked = prompt_key(parts), tuple(questions)
        plan = EvaluationPlan(
            models=self.models, questions=asked, prompt=build_prompt(0, parts), seed=self._seed, purpose=purpose
        )
        keys = [(subject, cell_key(model, question.id)) for question in asked for model in self.models]
        self._require(sum(key not in self._used for key in keys))
        left = None if self._budget.dollars is None else max(0.0, self._budget.dollars - self.spent.dollars)

        def list_known() -> list[dict[str, Any]]:
            return [self.known[key] for key in keys if key in self.known]

        async def keep(rows: Iterable[Mapping[str, Any]]) -> None:  # but for errors: they are asked again
            good = {cell_key(row["model"], row["question_id"]): row for row in rows if row["error"] is None}
            await self._add(subject, good)

        limit = asyncio.timeout(self.seconds_left)
        try:
            async with limit:
                run = await self._evaluator.evaluate(
                    plan, budget=Budget(dollars=left), run_id=subject, finished=list_known(), keep=keep
                )
        except TimeoutError:
            if not limit.expired():
                raise
            self._use(subject, map(AnswerResult.of_row, list_known()))
            raise self._time_over() from None
        self._use(subject, run.results)
        if run.state == "stopped":
            raise self._spent("the budget in money ends here", "max_dollars")
        return {(row.model, row.question_id): row for row in run.results}

    async def reply(self, prompt: str, ask: Callable[[str], Awaitable[ModelReply]]) -> str:
        """What the reflection model says; the same prompt asked again is another call."""
        digest = hashlib.sha256(prompt.encode()).hexdigest()[:48]
        number = self._asked[digest] = self._asked.get(digest, 0) + 1
        key = f"{digest}-{number}"
        self._require(1)
        if (_REFLECTION, key) not in self.known:
            await self._add(_REFLECTION, {key: asdict(await ask(prompt))})
        reply = ModelReply(**self.known[_REFLECTION, key])
        self.spent.reflections += 1
        self._count(reply.tokens, reply.dollars)
        return reply.text

    def _use(self, subject: str, rows: Iterable[AnswerResult]) -> None:
        for row in rows:
            if (subject, key := cell_key(row.model, row.question_id)) not in self._used:
                self._used.add((subject, key))
                self._count(row.input_tokens + row.output_tokens, row.cost or 0.0)

    def _count(self, tokens: int, dollars: float) -> None:
        self.spent.calls += 1
        self.spent.tokens += tokens
        self.spent.dollars += dollars

    def _require(self, calls: int) -> None:
        limits, spent = self._budget, self.spent
        if calls and limits.calls is not None and spent.calls + calls + self.reserved > limits.calls:
            reserved = f", {self.reserved} of which are reserved" if self.reserved else ""
            message = f"{calls} more calls would be more than the {limits.calls} of the budget{reserved}"
            raise self._spent(message, "max_calls (--max-calls), or ask fewer questions or models")
        # As many tokens and dollars for each call as so far.
        expected = (calls + self.reserved) / max(1, spent.calls)
        tokens = max(spent.tokens + 1, spent.tokens * (1 + expected))
        if calls and limits.tokens is not None and tokens > limits.tokens:
            raise self._spent(f"{calls} more calls would be more than the budget in tokens", "max_tokens")
        if calls and limits.dollars is not None and spent.dollars * (1 + expected) > limits.dollars:
            raise self._spent(f"{calls} more calls would be more than the budget in money", "max_dollars")
        if calls and self.seconds_left == 0:
            raise self._time_over()

    def _time_over(self) -> BudgetSpentError:
        return self._spent("the time is over", "max_seconds")

    def _spent(self, message: str, setting: str) -> BudgetSpentError:
        self.ended = message
        return BudgetSpentError(message, fix=f"raise [improve] {setting}")


def prompt_key(parts: Mapping[str, str]) -> str:
    """40 hex digits that change with any part."""
    return hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:40]


def cell_key(model: str, question_id: str) -> str:
    """40 hex digits for a model and a question."""
    return hashlib.sha256(repr((model, question_id)).encode()).hexdigest()[:40]
