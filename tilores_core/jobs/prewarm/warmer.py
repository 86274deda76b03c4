"""Warm one customer: the records first, which every question needs, then the questions.

Everything goes the way of a live question, through the engine, so that what is stored is what such a question looks
for; with purpose "prewarm", so that sources and providers let live ones go before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import structlog
from msgspec.structs import replace

from tilores_core.cache.keys import customer_key, fingerprint_key
from tilores_core.chat.engine import ChatEngine
from tilores_core.chat.messages import text_of
from tilores_core.chat.stored import is_cacheable
from tilores_core.contracts import (
    DEFAULT_CACHE_POLICY,
    CachePolicy,
    Caller,
    CustomerSource,
    Identifiers,
    Message,
    Turn,
    current_purpose,
)
from tilores_core.errors import SourceError, SourceUnavailableError, TiloresError, error_code
from tilores_core.jobs.prewarm.entries import WarmedEntries
from tilores_core.jobs.prewarm.plan import OpeningQuestion
from tilores_core.jobs.prewarm.publish import PublishedEntries
from tilores_core.jobs.prewarm.stats import HourlyBudget, WarmStats
from tilores_core.settings import Config
from tilores_core.spectrums import classify

log = structlog.get_logger(part="prewarm")

_SLACK = 5.0
_SHORTER = 0.8
_JUST_NOW = 2.0  # what is not older counts as new: storing takes a moment
_NO_QUESTION: tuple[Message, ...] = ({"role": "user", "content": ""},)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmTask:
    """What is to be done for one customer. `refresh_records`: read the records again though they are cached.

    `min_remaining_ttl`: seconds for which an answer must still last, or it is renewed. `pin`: keep it in memory.
    """

    questions: tuple[OpeningQuestion, ...]
    min_remaining_ttl: float
    scope: str = "default"
    refresh_records: bool = False
    pin: bool = False


class Warmer:
    """Answers the opening questions of one customer so that they are in the cache."""

    def __init__(
        self,
        *,
        engine: ChatEngine,
        source: CustomerSource,
        config: Config,
        entries: WarmedEntries | PublishedEntries,
    ) -> None:
        self._engine = engine
        self._source = source
        self._source_name = config.use.source
        self._table = config.cache
        self._entries = entries
        self._source_seconds = config.chat.source_seconds
        self._seconds = config.chat.deadline_seconds

    @property
    def shortest_life(self) -> float:
        """Seconds that every answer lasts at least."""
        return min((self._table.answers.ttl_seconds, *self._table.spectrums.values())) * (1.0 - self._table.jitter)

    def interval(self, refresh: float) -> float:
        """Seconds between two rounds of a list: never so many that an answer ends in between."""
        return min(refresh, _SHORTER * self.shortest_life)

    async def find_few(self, who: Identifiers, most: int, stats: WarmStats) -> tuple[str, ...]:
        """The ids of the customers that fit; none where there are more than `most`. Raises `SourceError`."""
        current_purpose.set("prewarm")
        if who.customer_id is not None and who == Identifiers(customer_id=who.customer_id):
            return (who.customer_id,)
        try:
            async with asyncio.timeout(self._source_seconds):
                found = await self._source.find(who, limit=most + 1)
        except TimeoutError:
            raise SourceUnavailableError("the customer source did not answer in time", fix="try again") from None
        ids = tuple(dict.fromkeys(customer.id for customer in found))
        if 0 < len(ids) <= most:
            return ids
        stats.add("too_many" if ids else "unknown")
        return ()

    async def warm(
        self, customer_id: str, who: Identifiers, task: WarmTask, stats: WarmStats, budget: HourlyBudget
    ) -> bool:
        """Whether the source answered. WarmStats tell what became of it; nothing is raised but a cancellation."""
        current_purpose.set("prewarm")
        there, answered, name = await self._records(customer_id, task, stats)
        if there:
            known = {
                "customer_id": customer_id,
                "phone": who.phone,
                "email": who.email,
                "name": name or who.name,
                "date_of_birth": who.date_of_birth,
            }
            for question in task.questions:
                await asyncio.sleep(0)  # callers are answered also between questions whose answers are known
                await self._answer(customer_id, question, known, task, stats, budget)
        return answered

    async def _records(self, customer_id: str, task: WarmTask, stats: WarmStats) -> tuple[bool, bool, str | None]:
        """Whether there are records, whether the source answered, and the customer's name."""
        policy = CachePolicy(max_age=_JUST_NOW) if task.refresh_records else DEFAULT_CACHE_POLICY
        turn = Turn(messages=_NO_QUESTION, customer_id=customer_id, purpose="prewarm", cache=policy)
        try:
            match = await self._engine.find_customer(turn)
        except TiloresError as error:
            stats.add("failed", error=error_code(error))
            return False, not isinstance(error, SourceUnavailableError), None
        if match.outcome.kind != "one":
            stats.add("unknown")
            return False, True, None
        customer_id = match.outcome.customer_id or customer_id
        stats.add("kept" if match.overdue else "warmed" if task.refresh_records else "fresh")
        name = None
        with suppress(SourceError):  # while the old answers last, the records are not needed
            records = (await self._engine.load_records(turn, match)).records
            name = None if records is None else records.customer.name
        if task.pin:
            keys = (fingerprint_key(self._source_name, customer_id), customer_key(self._source_name, customer_id))
            self._entries.pin(keys)
        return True, not match.overdue, name

    async def _answer(
        self,
        customer_id: str,
        question: OpeningQuestion,
        known: Mapping[str, str | None],
        task: WarmTask,
        stats: WarmStats,
        budget: HourlyBudget,
    ) -> None:
        filled = question.fill(known)
        if filled is None:
            stats.add("unnamed")
            return
        turn = self._turn(customer_id, filled, task)
        # A second time, as an invalidation may have come in between: then the first answer was not stored.
        if await self._try(turn, task, stats, budget, last=False):
            return
        await self._try(turn, task, stats, budget, last=True)

    async def _try(self, turn: Turn, task: WarmTask, stats: WarmStats, budget: HourlyBudget, *, last: bool) -> bool:
        """False when another try may leave what this one has not."""
        if not budget.take():
            stats.add("budget")
            return True
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._engine.answer(turn)
        except TimeoutError:
            stats.add("failed", error="deadline_exceeded")
            return True
        except TiloresError as error:
            stats.add("failed", error=error_code(error))
            return True
        if answer.cache_tier == "miss" and answer.customer.kind in ("one", "unnamed"):
            budget.spend(answer.cost or 0.0)
        else:
            budget.give_back()  # found, or asked back: no model was called
        if answer.stale:
            stats.add("kept")
        elif await self._note(turn, task):
            stats.add("warmed" if answer.cache_tier == "miss" else "fresh")
        elif last or not is_cacheable(turn, answer, asked_model=self._engine.models.resolve(turn.model)):
            # Asked back, cut off, said by a fallback, a tool call: nothing that is stored.
            stats.add("failed", error="not_stored")
        else:
            return False
        return True

    def _turn(self, customer_id: str, question: OpeningQuestion, task: WarmTask) -> Turn:
        life = self._table.spectrums.get(classify(text_of(question.messages[-1])), self._table.answers.ttl_seconds)
        oldest = max(_JUST_NOW, life * (1.0 - self._table.jitter) - task.min_remaining_ttl)
        return Turn(
            messages=question.messages,
            model=question.model,
            customer_id=None if question.by_text else customer_id,
            parameters=question.parameters,
            caller=Caller(name="prewarm", scope=question.scope or task.scope),
            request_id="prewarm",
            deadline=time.monotonic() + self._seconds,
            purpose="prewarm",
            cache=CachePolicy(max_age=oldest),
        )

    async def _note(self, turn: Turn, task: WarmTask) -> bool:
        """Watch, and where wanted hold, the entry that a live question will look for; False when it is not there."""
        live = replace(turn, request_id="", deadline=None, purpose="live", cache=DEFAULT_CACHE_POLICY)
        key = await self._engine.find_stored(live)
        if key is None:
            return False
        self._entries.watch(key)
        if task.pin:
            self._entries.pin((key,))
        return True


def until_next(every: float) -> float:
    """Seconds an answer must last so as to be there until the next round is over; `every`: from round to round."""
    return every * 1.1 + _SLACK
