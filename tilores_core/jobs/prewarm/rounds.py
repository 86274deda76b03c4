"""One round through a list: its customers a few at a time, beside other lists by priority."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import structlog
from cachetools import LRUCache

from tilores_core.contracts import Identifiers
from tilores_core.errors import SourceError, SourceUnavailableError
from tilores_core.jobs.prewarm.budget import Budget
from tilores_core.jobs.prewarm.figures import Figures
from tilores_core.jobs.prewarm.plan import WarmList
from tilores_core.jobs.prewarm.pool import Pool
from tilores_core.jobs.prewarm.warmer import Errand, Warmer, until_next

log = structlog.get_logger(part="prewarm")

_OUTAGE = 5
"""So many customers in a row for whom the source does not answer end the round: what is there is kept."""

_REMEMBERED = 100_000


@dataclass(slots=True)
class _Round:
    one: WarmList
    figures: Figures
    budget: Budget
    left: int
    done: asyncio.Event = field(default_factory=asyncio.Event)
    in_a_row: int = 0

    @property
    def is_over(self) -> bool:
        return self.in_a_row >= _OUTAGE


class Rounds:
    """Lists on their way. A list that is on its way already is joined, not begun again."""

    def __init__(self, warmer: Warmer, pool: Pool) -> None:
        self._warmer = warmer
        self._pool = pool
        self._running: dict[str, tuple[WarmList, asyncio.Task[Figures]]] = {}
        # Whom identifiers meant when the source answered last.
        self._found: LRUCache[Identifiers, tuple[str, ...]] = LRUCache(_REMEMBERED)

    @property
    def running(self) -> tuple[str, ...]:
        return tuple(self._running)

    async def run(self, one: WarmList, budget: Budget) -> Figures:
        """The figures of a round through the list."""
        name, (held, task) = one.name, self._running.get(one.name, (None, None))
        if task is None or held is not one:
            task = asyncio.create_task(self._go(one, budget))
            self._running[name] = one, task
            task.add_done_callback(lambda ended: self._ended(name, ended))
        return await asyncio.shield(task)

    def _ended(self, name: str, task: asyncio.Task[Figures]) -> None:
        if (held := self._running.get(name)) is not None and held[1] is task:
            del self._running[name]
        if not task.cancelled():
            task.exception()

    async def _go(self, one: WarmList, budget: Budget) -> Figures:
        began = time.perf_counter()
        round_ = _Round(one, Figures(customers=len(one.customers)), budget, len(one.customers))
        ahead = until_next(self._warmer.every(one.refresh))
        errand = Errand(openings=one.openings, ahead=ahead, anew=True, hold=True)
        for who in one.customers:
            self._pool.submit(
                lambda who=who: self._customer(round_, who, errand),  # type: ignore[misc]
                priority=one.priority,
                dropped=lambda: self._leave(round_),
            )
        await round_.done.wait()
        round_.figures.seconds = time.perf_counter() - began
        round_.figures.ended_at = time.time()
        self._tell(round_)
        return round_.figures

    async def _customer(self, round_: _Round, who: Identifiers, errand: Errand) -> None:
        try:
            if round_.is_over:
                round_.figures.add("outage")
                return
            ids = await self._who(round_, who)
            if ids is None:
                return
            for customer_id in ids:
                answered = await self._warmer.warm(customer_id, who, errand, round_.figures, round_.budget)
                round_.in_a_row = 0 if answered else round_.in_a_row + 1
        except Exception as error:  # a plugin's mistake; its text may hold anything
            round_.figures.add("failed", error="internal_error")
            log.error("prewarm.customer_failed", list=round_.one.name, error=type(error).__name__)
        finally:
            self._leave(round_)

    async def _who(self, round_: _Round, who: Identifiers) -> tuple[str, ...] | None:
        figures, most = round_.figures, round_.one.most_matches
        try:
            ids = await self._warmer.find(who, most=most)
        except SourceUnavailableError:
            round_.in_a_row += 1
            figures.add("kept" if who in self._found else "failed", error="source_unavailable")
            return None
        except SourceError:
            figures.add("failed", error="source_error")
            return None
        if not ids or len(ids) > most:
            figures.add("too_many" if ids else "unknown")
            return None
        self._found[who] = ids
        return ids

    def _leave(self, round_: _Round) -> None:
        round_.left -= 1
        if round_.left <= 0:
            round_.done.set()

    def _tell(self, round_: _Round) -> None:
        told = round_.figures.as_plain()
        fields = {name: told[name] for name in ("customers", "warmed", "failed", "kept", "skipped", "seconds")}
        log.info("prewarm.list_finished", list=round_.one.name, **fields)
        if told["kept"] or round_.is_over:
            log.warning(
                "prewarm.limit_reached",
                list=round_.one.name,
                kept=told["kept"],
                left_out=round_.figures.results["outage"],
            )

    async def aclose(self) -> None:
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
