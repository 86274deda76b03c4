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
from tilores_core.jobs.prewarm.budget import Budget
from tilores_core.jobs.prewarm.entries import WarmedEntries
from tilores_core.jobs.prewarm.figures import Figures
from tilores_core.jobs.prewarm.plan import Opening
from tilores_core.jobs.prewarm.publish import PublishedEntries
from tilores_core.settings import CacheTable
from tilores_core.spectrums import classify

log = structlog.get_logger(part="prewarm")

_SLACK = 5.0
_SHORTER = 0.8
_JUST_NOW = 2.0  # what is no older is new; nothing at all would be said of what took a moment to be stored
_NOBODYS: tuple[Message, ...] = ({"role": "user", "content": ""},)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What is to be done for one customer. `anew`: read the records again though they are known.

    `ahead`: seconds for which an answer must last from now on, or it is renewed. `hold`: keep it in memory.
    """

    openings: tuple[Opening, ...]
    ahead: float
    scope: str = "default"
    anew: bool = False
    hold: bool = False


class Warmer:
    """`source_seconds`, `seconds`: the longest one search, and one question, may take."""

    def __init__(
        self,
        *,
        engine: ChatEngine,
        source: CustomerSource,
        source_name: str,
        table: CacheTable,
        entries: WarmedEntries | PublishedEntries,
        source_seconds: float,
        seconds: float,
    ) -> None:
        self._engine = engine
        self._source = source
        self._source_name = source_name
        self._table = table
        self._entries = entries
        self._source_seconds = source_seconds
        self._seconds = seconds

    @property
    def shortest_life(self) -> float:
        """Seconds that every answer lasts at least."""
        lives = (self._table.answers.ttl_seconds, *self._table.spectrums.values())
        return min(lives) * (1.0 - self._table.jitter)

    def every(self, refresh: float) -> float:
        """Seconds between two rounds of a list: never so many that an answer ends in between."""
        return min(refresh, _SHORTER * self.shortest_life)

    async def find(self, who: Identifiers, *, most: int) -> tuple[str, ...]:
        """The ids of those who fit; one more than `most` where there are too many. Raises `SourceError`."""
        current_purpose.set("prewarm")
        if who.customer_id is not None and who == Identifiers(customer_id=who.customer_id):
            return (who.customer_id,)
        try:
            async with asyncio.timeout(self._source_seconds):
                found = await self._source.find(who, limit=most + 1)
        except TimeoutError:
            raise SourceUnavailableError("the customer source did not answer in time", fix="try again") from None
        return tuple(dict.fromkeys(customer.id for customer in found))[: most + 1]

    async def warm(
        self, customer_id: str, who: Identifiers, errand: Errand, figures: Figures, budget: Budget
    ) -> bool:
        """Whether the source answered. Figures tell what became of it; nothing is raised but a cancellation."""
        current_purpose.set("prewarm")
        there, answered, name = await self._records(customer_id, errand, figures)
        if there:
            known = {
                "customer_id": customer_id,
                "phone": who.phone,
                "email": who.email,
                "name": name or who.name,
                "date_of_birth": who.date_of_birth,
            }
            for opening in errand.openings:
                await asyncio.sleep(0)  # a known answer waits for nothing; whoever else is there comes first
                await self._answer(customer_id, opening, known, errand, figures, budget)
        return answered

    async def _records(self, customer_id: str, errand: Errand, figures: Figures) -> tuple[bool, bool, str | None]:
        """Whether there are records, whether the source answered, and the customer's name."""
        policy = CachePolicy(max_age=_JUST_NOW) if errand.anew else DEFAULT_CACHE_POLICY
        turn = Turn(messages=_NOBODYS, customer_id=customer_id, purpose="prewarm", cache=policy)
        try:
            match = await self._engine.find_customer(turn)
        except TiloresError as error:
            figures.add("failed", error=error_code(error))
            return False, not isinstance(error, SourceUnavailableError), None
        if match.outcome.kind != "one":
            figures.add("unknown")
            return False, True, None
        customer_id = match.outcome.customer_id or customer_id
        figures.add("kept" if match.overdue else "warmed" if errand.anew else "fresh")
        name = None
        with suppress(SourceError):  # while the old answers last, the records are not needed
            records = (await self._engine.load_records(turn, match)).records
            name = None if records is None else records.customer.name
        if errand.hold:
            keys = (fingerprint_key(self._source_name, customer_id), customer_key(self._source_name, customer_id))
            self._entries.hold(keys)
        return True, not match.overdue, name

    async def _answer(
        self,
        customer_id: str,
        opening: Opening,
        known: Mapping[str, str | None],
        errand: Errand,
        figures: Figures,
        budget: Budget,
    ) -> None:
        filled = opening.filled(known)
        if filled is None:
            figures.add("unnamed")
            return
        turn = self._turn(customer_id, filled, errand)
        # A second time, as an invalidation may have come in between: then the first answer was not stored.
        if await self._try(turn, errand, figures, budget, last=False):
            return
        await self._try(turn, errand, figures, budget, last=True)

    async def _try(self, turn: Turn, errand: Errand, figures: Figures, budget: Budget, *, last: bool) -> bool:
        """False when another try may leave what this one has not."""
        if not budget.take():
            figures.add("budget")
            return True
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._engine.answer(turn)
        except TimeoutError:
            figures.add("failed", error="deadline_exceeded")
            return True
        except TiloresError as error:
            figures.add("failed", error=error_code(error))
            return True
        if answer.cache_tier == "miss" and answer.customer.kind in ("one", "unnamed"):
            budget.spend(answer.cost or 0.0)
        else:
            budget.give_back()  # found, or asked back: no model was called
        if answer.stale:
            figures.add("kept")
        elif await self._note(turn, errand):
            figures.add("warmed" if answer.cache_tier == "miss" else "fresh")
        elif last or not is_cacheable(turn, answer, asked_model=self._engine.models.resolve(turn.model)):
            # Asked back, cut off, said by a fallback, a tool call: nothing that is stored.
            figures.add("failed", error="not_stored")
        else:
            return False
        return True

    def _turn(self, customer_id: str, opening: Opening, errand: Errand) -> Turn:
        question = text_of(opening.messages[-1])
        life = self._table.spectrums.get(classify(question), self._table.answers.ttl_seconds)
        oldest = max(_JUST_NOW, life * (1.0 - self._table.jitter) - errand.ahead)
        return Turn(
            messages=opening.messages,
            model=opening.model,
            customer_id=None if opening.by_text else customer_id,
            parameters=opening.parameters,
            caller=Caller(name="prewarm", scope=opening.scope or errand.scope),
            request_id="prewarm",
            deadline=time.monotonic() + self._seconds,
            purpose="prewarm",
            cache=CachePolicy(max_age=oldest),
        )

    async def _note(self, turn: Turn, errand: Errand) -> bool:
        """Watch, and where wanted hold, the entry that a live question will look for; False when it is not there."""
        live = Turn(
            messages=turn.messages,
            model=turn.model,
            customer_id=turn.customer_id,
            parameters=turn.parameters,
            caller=turn.caller,
        )
        key = await self._engine.find_stored(live)
        if key is None:
            return False
        self._entries.watch(key)
        if errand.hold:
            self._entries.hold((key,))
        return True


def until_next(every: float) -> float:
    """Seconds an answer must last so as to be there until the next round is over; `every`: from round to round."""
    return every * 1.1 + _SLACK
