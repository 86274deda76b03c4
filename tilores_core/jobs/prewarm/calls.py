"""A call begins: who calls is warmed before the greeting is over.

Callers wait in a bounded queue, which has workers of its own beside the lists': a phone rings now. When too many
wait, who has waited longest is let go, as that greeting is nearly over. Who it is, and whether it is anybody, is told
to nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from cachetools import TTLCache

from tilores_core.contracts import Identifiers
from tilores_core.errors import SourceError
from tilores_core.identity import normalise_email, normalise_phone, parse_date
from tilores_core.jobs.prewarm.budget import Budget
from tilores_core.jobs.prewarm.figures import Figures
from tilores_core.jobs.prewarm.plan import CallPlan
from tilores_core.jobs.prewarm.pool import Pool
from tilores_core.jobs.prewarm.warmer import Errand, Warmer

log = structlog.get_logger(part="prewarm")

CALL_SECONDS = 600.0
"""For so long an answer must last from the call's beginning on."""

_REMEMBERED = 10_000
_LONGEST = 256


class Calls:
    """The application's `CallEvents`. `region`: of phone numbers without a country code."""

    def __init__(
        self,
        *,
        warmer: Warmer,
        budget: Budget,
        plan: CallPlan,
        region: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._warmer = warmer
        self._budget = budget
        self._plan = plan
        self._region = region
        self._clock = clock
        self._pool = Pool(plan.concurrency, most=plan.queue)
        self._recent: TTLCache[tuple[Identifiers, str], None] = TTLCache(
            _REMEMBERED, plan.joined_seconds, timer=clock
        )
        self.figures = Figures()
        self.joined = 0
        self.unusable = 0

    def begins(self, identifiers: Identifiers, *, scope: str | None = None) -> bool:
        """Warm this caller, soon and behind whoever asks. False when the identifiers identify nobody."""
        who = self.normalised(identifiers)
        if who is None:
            self.unusable += 1
            return False
        name = (who, scope or "default")
        if name in self._recent:
            self.joined += 1
            return True
        self._recent[name] = None
        began = self._clock()
        self.figures.customers += 1
        self._pool.submit(lambda: self._warm(*name, began), dropped=lambda: self.figures.add("late"))
        return True

    def normalised(self, given: Identifiers) -> Identifiers | None:
        """As a source is asked; None when nothing usable is left, as with a caller who withholds the number."""
        texts = (given.customer_id, given.email, given.phone, given.name, given.date_of_birth)
        if any(text is not None and len(text) > _LONGEST for text in texts):
            return None
        who = Identifiers(
            customer_id=given.customer_id or None,
            email=normalise_email(given.email) if given.email else None,
            phone=normalise_phone(given.phone, self._region) if given.phone else None,
            name=given.name or None,
            date_of_birth=parse_date(given.date_of_birth) if given.date_of_birth else None,
        )
        return who if who.customer_id or who.email or who.phone or who.name else None

    async def _warm(self, who: Identifiers, scope: str, began: float) -> None:
        figures = self.figures
        if self._clock() - began > self._plan.seconds:
            figures.add("late")
            return
        started = time.perf_counter()
        try:
            await self._caller(who, scope)
        except SourceError:
            figures.add("failed", error="source_unavailable")
            self._recent.pop((who, scope), None)  # reported again, it is tried again
        except Exception as error:  # a plugin's mistake; its text may hold anything
            figures.add("failed", error="internal_error")
            log.error("prewarm.call_failed", error=type(error).__name__)
        figures.seconds += time.perf_counter() - started
        figures.ended_at = time.time()

    async def _caller(self, who: Identifiers, scope: str) -> None:
        ids = await self._warmer.find(who, most=self._plan.most_matches)
        if not ids or len(ids) > self._plan.most_matches:
            self.figures.add("too_many" if ids else "unknown")
            return
        errand = Errand(openings=self._plan.openings, ahead=CALL_SECONDS, scope=scope)
        for customer_id in ids:
            await self._warmer.warm(customer_id, who, errand, self.figures, self._budget)

    def as_plain(self) -> dict[str, object]:
        return {
            **self.figures.as_plain(),
            "joined": self.joined,
            "unusable": self.unusable,
            "waiting": len(self._pool),
        }

    async def aclose(self) -> None:
        await self._pool.aclose()
