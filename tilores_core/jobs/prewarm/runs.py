"""Who is warmed when: the customers of lists by priority, and callers as soon as their call begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Final, cast

import structlog
from cachetools import LRUCache, TTLCache

from tilores_core.contracts import Identifiers
from tilores_core.errors import SourceError, SourceUnavailableError
from tilores_core.identity import Locale, normalise_email, normalise_phone, parse_date
from tilores_core.jobs.prewarm.plan import CallPlan, CustomerReference, WarmList
from tilores_core.jobs.prewarm.stats import HourlyBudget, WarmStats
from tilores_core.jobs.prewarm.warmer import Warmer, WarmTask, until_next
from tilores_core.resilience import cancel_tasks

log = structlog.get_logger(part="prewarm")

CALL_SECONDS: Final = 600.0
"""An answer must last for so long from the beginning of a call."""

_OUTAGE: Final = 5
"""The number of customers in a row without an answer of the source that ends the run; finished ones are kept."""

_REMEMBERED: Final = 100_000
_CALLS_REMEMBERED: Final = 10_000
_LONGEST: Final = 256

Work = Callable[[], Awaitable[None]]
Drop = Callable[[], None]


class WorkerPool:
    """Runs at most `size` pieces of work at one time, the most urgent first; the rest wait, at most `most` of them.

    Of equal urgency the first that came goes first. Tasks exist only while there is work.
    """

    def __init__(self, size: int, *, most: int | None = None) -> None:
        self._size = size
        self._most = most
        self._waiting: list[tuple[float, int, Work, Drop]] = []
        self._numbers = count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        return len(self._tasks)

    def submit(self, work: Work, *, priority: float = 0, dropped: Drop = lambda: None) -> None:
        """Queue a piece of work. `dropped` is called instead when the queue is full and this one has waited
        longest."""
        if self._closed:
            dropped()
            return
        heappush(self._waiting, (-priority, next(self._numbers), work, dropped))
        if self._most is not None and len(self._waiting) > self._most:
            heappop(self._waiting)[3]()
        if len(self._tasks) < self._size:
            self._tasks.add(asyncio.create_task(self._run()))

    async def _run(self) -> None:
        try:
            while self._waiting:
                _, _, work, _ = heappop(self._waiting)
                try:
                    await work()
                except Exception as error:  # a mistake of ours; the text may hold anything
                    log.error("prewarm.task_failed", error=type(error).__name__)
                await asyncio.sleep(0)  # callers are answered also between pieces of work that wait for nothing
        finally:
            # At once, and not in a callback: what is submitted meanwhile needs a new task.
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def aclose(self) -> None:
        self._closed = True
        waiting, self._waiting = self._waiting, []
        for *_, dropped in waiting:
            dropped()
        await cancel_tasks(*self._tasks)


@dataclass(slots=True)
class _ListRun:
    """One round through a list."""

    one: WarmList
    task: WarmTask
    stats: WarmStats
    budget: HourlyBudget
    left: int
    done: asyncio.Event = field(default_factory=asyncio.Event)
    unanswered: int = 0
    """How many customers in a row the source did not answer for."""

    @property
    def is_over(self) -> bool:
        return self.unanswered >= _OUTAGE


class ListRuns:
    """Rounds through lists. A list whose round is in progress is joined, not started again."""

    def __init__(self, warmer: Warmer, pool: WorkerPool) -> None:
        self._warmer = warmer
        self._pool = pool
        self._running: dict[str, tuple[WarmList, asyncio.Task[WarmStats]]] = {}
        # The customers that identifiers meant when the source answered last.
        self._found: LRUCache[Identifiers, None] = LRUCache(_REMEMBERED)

    @property
    def running(self) -> tuple[str, ...]:
        return tuple(self._running)

    async def run(self, one: WarmList, budget: HourlyBudget) -> WarmStats:
        """The statistics of a round through the list."""
        name, (known, task) = one.name, self._running.get(one.name, (None, None))
        if task is None or known is not one:
            task = asyncio.create_task(self._go(one, budget))
            self._running[name] = one, task
            task.add_done_callback(lambda ended: self._on_ended(name, ended))
        return await asyncio.shield(task)

    def _on_ended(self, name: str, task: asyncio.Task[WarmStats]) -> None:
        if (running := self._running.get(name)) is not None and running[1] is task:
            del self._running[name]
        if not task.cancelled():
            task.exception()

    async def _go(self, one: WarmList, budget: HourlyBudget) -> WarmStats:
        began = time.perf_counter()
        lasting = until_next(self._warmer.interval(one.refresh))
        task = WarmTask(questions=one.opening_questions, min_remaining_ttl=lasting, refresh_records=True, pin=True)
        run = _ListRun(one, task, WarmStats(customers=len(one.customers)), budget, len(one.customers))
        for who in one.customers:
            self._pool.submit(
                lambda who=who: self._customer(run, who),  # type: ignore[misc]
                priority=one.priority,
                dropped=lambda: self._leave(run),
            )
        await run.done.wait()
        run.stats.seconds = time.perf_counter() - began
        run.stats.ended_at = time.time()
        self._log(run)
        return run.stats

    async def _customer(self, run: _ListRun, customer: CustomerReference) -> None:
        who, stats = customer.identifiers, run.stats
        try:
            if run.is_over:
                stats.add("outage")
                return
            for customer_id in await self._warmer.find_few(who, run.one.most_matches, stats):
                self._found[who] = None
                answered = await self._warmer.warm(customer_id, who, run.task, stats, run.budget)
                run.unanswered = 0 if answered else run.unanswered + 1
        except SourceUnavailableError:
            run.unanswered += 1
            stats.add("kept" if who in self._found else "failed", error="source_unavailable")
        except SourceError:
            stats.add("failed", error="source_error")
        except Exception as error:  # a plugin's mistake; its text may hold anything
            stats.add("failed", error="internal_error")
            log.error("prewarm.customer_failed", list=run.one.name, error=type(error).__name__)
        finally:
            self._leave(run)

    def _leave(self, run: _ListRun) -> None:
        run.left -= 1
        if run.left <= 0:
            run.done.set()

    def _log(self, run: _ListRun) -> None:
        plain = run.stats.as_plain()
        fields = {name: plain[name] for name in ("customers", "warmed", "failed", "kept", "skipped", "seconds")}
        log.info("prewarm.list_finished", list=run.one.name, **fields)
        if plain["kept"] or run.is_over:
            skipped = run.stats.results["outage"]
            log.warning("prewarm.limit_reached", list=run.one.name, kept=plain["kept"], left_out=skipped)

    async def aclose(self) -> None:
        await cancel_tasks(*(task for _, task in self._running.values()))


class CallWarming:
    """The application's `CallEvents`: a caller is warmed before the greeting is over.

    Callers wait in a bounded queue with tasks of its own, because a phone rings now. When too many wait, the one that
    has waited longest is dropped, as that greeting is nearly over. Replies do not say whether a caller is known.
    """

    def __init__(
        self,
        *,
        warmer: Warmer,
        budget: HourlyBudget,
        plan: CallPlan,
        locale: Locale,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin without any run. `locale`: how phone numbers and dates are read."""
        self._warmer = warmer
        self._budget = budget
        self._plan = plan
        self._locale = locale
        self._clock = clock
        self._pool = WorkerPool(plan.concurrency, most=plan.queue)
        self._recent: TTLCache[tuple[Identifiers, str], None] = TTLCache(_CALLS_REMEMBERED, plan.joined, timer=clock)
        self.stats = WarmStats()
        self.joined = 0
        self.unusable = 0

    def begins(self, identifiers: Identifiers, *, scope: str | None = None) -> bool:
        """Warm this caller soon, in the background. False when the identifiers identify no one."""
        who = self.normalise(identifiers)
        if who is None:
            self.unusable += 1
            return False
        name = (who, scope or "default")
        if name in self._recent:
            self.joined += 1
            return True
        self._recent[name] = None
        began = self._clock()
        self.stats.customers += 1
        self._pool.submit(lambda: self._warm(*name, began), dropped=lambda: self.stats.add("late"))
        return True

    def normalise(self, given: Identifiers) -> Identifiers | None:
        """As a source is asked; None when nothing usable is left, as with a caller who withholds the number."""
        texts = (given.customer_id, given.email, given.phone, given.name, given.date_of_birth)
        if any(text is not None and len(text) > _LONGEST for text in texts):
            return None
        who = Identifiers(
            customer_id=given.customer_id or None,
            email=normalise_email(given.email) if given.email else None,
            phone=normalise_phone(given.phone, self._locale.region) if given.phone else None,
            name=given.name or None,
            date_of_birth=parse_date(given.date_of_birth, day_first=self._locale.day_first, birth=True)
            if given.date_of_birth
            else None,
        )
        return who if who.customer_id or who.email or who.phone or who.name else None

    async def _warm(self, who: Identifiers, scope: str, began: float) -> None:
        stats, questions = self.stats, self._plan.opening_questions
        if self._clock() - began > self._plan.LATE_SECONDS:
            stats.add("late")
            return
        started = time.perf_counter()
        task = WarmTask(questions=questions, min_remaining_ttl=CALL_SECONDS, scope=scope)
        try:
            for customer_id in await self._warmer.find_few(who, self._plan.most_matches, stats):
                await self._warmer.warm(customer_id, who, task, stats, self._budget)
        except SourceError:
            stats.add("failed", error="source_unavailable")
            self._recent.pop((who, scope), None)  # reported again, it is tried again
        except Exception as error:  # a plugin's mistake; its text may hold anything
            stats.add("failed", error="internal_error")
            log.error("prewarm.call_failed", error=type(error).__name__)
        stats.seconds += time.perf_counter() - started
        stats.ended_at = time.time()

    def as_plain(self) -> dict[str, object]:
        return {
            **self.stats.as_plain(),
            "joined": self.joined,
            "unusable": self.unusable,
            "waiting": len(self._pool),
        }

    async def aclose(self) -> None:
        await self._pool.aclose()
