"""Golden questions from live traffic with feedback, where `[quality] collect_questions` is on.

an answer of a model -> held in memory -> feedback comes -> a row of the store: the question, ids and names
  -> `tilores questions collect` -> a question whose facts are read from the records as they are then
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache

from tilores_core.chat.grounding.names import words_of
from tilores_core.contracts import Customer, CustomerSource, Outcome
from tilores_core.quality.questions.fields import facts_of
from tilores_core.quality.questions.files import check_questions
from tilores_core.quality.questions.golden import Fact, GoldenQuestion, GoldenSet
from tilores_core.quality.scoring.clauses import clauses_of
from tilores_core.quality.scoring.matching import matches
from tilores_core.quality.scoring.wording import abstention
from tilores_core.store.lazy import LazyStore

if TYPE_CHECKING:
    from tilores_core.store.live_quality import CollectedQuestion

_HELD: Final = 500
_LONGEST: Final = 1_000
_MOST_FIELDS: Final = 5
_GOOD: Final = 0.7


class QuestionCollector:
    """Holds the latest answers of a web process until feedback comes; then their question goes into the store.

    Held are the latest 500 answers that a model made to a conversation of one question about one customer, with their
    records, by reference. `clock`: seconds since the epoch.
    """

    def __init__(self, store: LazyStore, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._held: LRUCache[str, Outcome] = LRUCache(_HELD)
        self._rated: dict[str, tuple[Outcome, float]] = {}

    def remember(self, outcome: Outcome) -> None:
        """An answer was given; quick."""
        asked = [message for message in outcome.turn.messages if message.get("role") == "user"]
        text = asked[0].get("content") if len(asked) == 1 else None
        answer = outcome.answer
        if answer is None or not answer.text or answer.tool_calls or outcome.customer is None:
            return
        if isinstance(text, str) and 0 < len(text) <= _LONGEST:
            self._held[outcome.turn.run_id] = outcome

    def rate(self, run_id: str, score: float) -> None:
        """Feedback has come; quick. The last score of a run counts."""
        outcome = self._held.get(run_id)
        if outcome is not None and (run_id in self._rated or len(self._rated) < _HELD):
            self._rated[run_id] = outcome, score

    async def flush(self) -> None:
        """Put what was rated into the store; it is kept when that fails. Raises `StoreError`."""
        if not self._rated:
            return
        rated, self._rated = self._rated, {}
        try:
            now_ms = round(self._clock() * 1000)
            rows = await asyncio.to_thread(lambda: [_row(*row, now_ms) for row in rated.values()])
            await (await self._store.get()).questions.put(rows, now_ms=now_ms)
        except BaseException:
            self._rated = rated | self._rated
            raise


def _row(outcome: Outcome, score: float, at_ms: int) -> CollectedQuestion:
    from tilores_core.store.live_quality import CollectedQuestion

    answer, customer = outcome.answer, outcome.customer
    assert answer is not None
    assert customer is not None
    question = next(str(message["content"]) for message in outcome.turn.messages if message.get("role") == "user")
    fields = find_stated_fields(question, answer.text, customer)
    return CollectedQuestion(
        run_id=outcome.turn.run_id,
        at_ms=at_ms,
        customer_id=customer.id,
        question=question.replace("\0", ""),
        spectrum=answer.spectrum,
        model=answer.model,
        prompt_version=answer.prompt_version,
        fields=fields,
        abstained=not fields and abstention(answer.text) == "yes",
        score=score,
    )


def find_stated_fields(question: str, answer: str, customer: Customer) -> tuple[str, ...]:
    """The names of the fields that were asked for and whose values the answer states, at most five.

    Asked for is a field of whose name the question has a word. Where several hold the same value, it is the one of
    whose name the question has the largest share.
    """
    asked = words_of(question)
    clauses = clauses_of(answer, datetime.now(UTC).date())
    best: dict[tuple[Fact, ...] | tuple[str, ...], tuple[float, str]] = {}
    for field in sorted({name for record in customer.records for name in record.fields}):
        name = words_of(field.replace("_", " "))
        found = facts_of(customer, field) if name & asked else None
        if found is None or not all(
            any(matches(fact, clause) == "exact" for clause in clauses) for fact in found.facts
        ):
            continue
        key = tuple(fact.value for fact in found.facts)
        best[key] = max(best.get(key, (0.0, "")), (len(name & asked) / len(name), field))
    return tuple(field for _, field in sorted(best.values(), reverse=True)[:_MOST_FIELDS])


@dataclass(frozen=True, slots=True)
class Collected:
    """Questions that pass `questions check`, those of bad feedback, and how many of the rest could not be used."""

    good: tuple[GoldenQuestion, ...]
    bad: tuple[CollectedQuestion, ...]
    unusable: int


async def collect_questions(rows: Iterable[CollectedQuestion], source: CustomerSource) -> Collected:
    """Golden questions of rated ones, with the facts of the records as they are now.

    Well rated (0.7 or more) are made: of the fields that the answer stated, or "not in the records" where it said
    so. Of a badly rated one the right answer is not known. Of equal questions about a customer the newest counts.
    Raises `SourceError`.
    """
    made: dict[tuple[str, str], GoldenQuestion] = {}
    bad: list[CollectedQuestion] = []
    unusable = 0
    for row in rows:
        if row.score < _GOOD:
            bad.append(row)
            continue
        facts = await _read_facts(row, source)
        if facts is None:
            unusable += 1
            continue
        made.setdefault(
            (row.customer_id, row.question),
            GoldenQuestion(
                id=f"live.{row.run_id}",
                customer_id=row.customer_id,
                spectrum=row.spectrum,
                text=row.question,
                facts=facts,
                answerable=bool(facts),
                origin="feedback",
            ),
        )
    problems, _ = await check_questions(GoldenSet(made.values()), source) if made else ([], [])
    wrong = {problem.partition(":")[0] for problem in problems}
    good = tuple(question for question in made.values() if question.id not in wrong)
    return Collected(good, tuple(bad), unusable + len(made) - len(good))


async def _read_facts(row: CollectedQuestion, source: CustomerSource) -> tuple[Fact, ...] | None:
    """Of the fields; empty where the answer rightly said that the records do not hold it; None without any."""
    customer = await source.get(row.customer_id)
    if customer is None or not (row.fields or row.abstained):
        return None
    found: Sequence[Fact] = [
        fact for field in row.fields if (held := facts_of(customer, field)) is not None for fact in held.facts
    ]
    return tuple(found) if found or row.abstained else None
