"""Conditions of the process that raise alerts while they hold: models, customer source, cache tiers, the guard."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final, ParamSpec

import structlog

from tilores_core.cache.tiered import TieredCache
from tilores_core.chat.engine import ChatEngine
from tilores_core.contracts import Alert, AlertSink
from tilores_core.resilience import cancel_tasks
from tilores_core.resilience.presence import WorkersSeen
from tilores_core.settings import AlertsTable

log = structlog.get_logger(part="alerts")

P = ParamSpec("P")
Check = Callable[[], AsyncIterator[Alert]]
"""The alerts whose condition holds now. It is asked every five seconds, and has a few of them to answer."""

LOOK_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 60.0
EXPIRES_SECONDS: Final = 300.0
"""A condition is raised again every minute while it holds, so that one whose process was killed ends by itself."""
_PROBE_SECONDS: Final = 1.0
_CHECK_SECONDS: Final = 4.0
_SURE_SECONDS: Final = 10.0
_BLOCKED_WINDOW: Final = 300.0
_MOST_MODELS: Final = 50


class ConditionWatch:
    """Asks the checks, raises what holds, and clears what holds no more. `clock`: seconds, monotonic."""

    def __init__(self, sink: AlertSink, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._sink = sink
        self._clock = clock
        self._checks: list[Check] = []
        self._raised: dict[str, tuple[Check, float]] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, check: Callable[P, AsyncIterator[Alert]], *arguments: P.args, **options: P.kwargs) -> None:
        """Ask the check, with these arguments, from the next look on."""
        self._checks.append(partial(check, *arguments, **options))

    def start(self) -> None:
        """Begin to watch; once is enough."""
        if self._task is not None:
            return
        self._task = asyncio.create_task(self._run(), name="condition watch")

    async def aclose(self) -> None:
        """Conditions that hold are left open: the next process sees whether they still do, or they expire."""
        await cancel_tasks(self._task)
        self._task = None

    async def look(self) -> None:
        """Ask every check once."""
        for check in self._checks:
            try:
                async with asyncio.timeout(_CHECK_SECONDS):
                    holding = {alert.fingerprint: alert async for alert in check()}
            except Exception as error:  # the other checks go on, and what was raised stays as it is
                log.warning("alerts.check_failed", error=type(error).__name__)
                continue
            now = self._clock()
            for fingerprint, alert in holding.items():
                known = self._raised.get(fingerprint)
                if known is None or now - known[1] >= _AGAIN_SECONDS:
                    self._sink.raise_alert(alert)
                    self._raised[fingerprint] = (check, now)
            for fingerprint, (owner, _) in list(self._raised.items()):
                if owner is check and fingerprint not in holding:
                    self._sink.clear(fingerprint)
                    del self._raised[fingerprint]

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()


_holding = partial(Alert, expires_seconds=EXPIRES_SECONDS)


def worker_check(seen: Callable[[], WorkersSeen], *, clock: Callable[[], float] = time.monotonic) -> Check:
    """`worker.dead`: there was a worker process and there has been none for twenty seconds, or one died and was
    restarted. Without a worker nothing is delivered, so the first is for `/admin/alerts` and for later."""
    missing_since: float | None = None
    restarts: int | None = None

    async def check() -> AsyncIterator[Alert]:
        nonlocal missing_since, restarts
        now, workers = clock(), await asyncio.to_thread(seen)
        died = restarts is not None and workers.restarts > restarts
        restarts = workers.restarts
        is_missing = not workers.running and workers.last_seen is not None
        missing_since = (missing_since or now) if is_missing else None
        is_dead = missing_since is not None and now - missing_since >= _SURE_SECONDS * 2
        if died or is_dead:
            yield _holding(
                kind="worker.dead",
                severity="CRITICAL" if is_dead else "MEDIUM",
                title="No worker process is running" if is_dead else "A worker process died and was restarted",
                detail="Batches, schedules and alerts wait for one: tilores worker, or tilores serve without "
                "--no-worker."
                if is_dead
                else "The log says with which code.",
                source="worker",
                values={"restarts": float(workers.restarts)},
            )

    return check


async def model_check(engine: ChatEngine) -> AsyncIterator[Alert]:
    """`model.down`: its circuit breaker is open; CRITICAL when that is so of all models of `[use]`. `budget.spent`:
    the account at its provider is used up."""
    models, conditions = engine.models, engine.conditions()
    chain = (models.default, *models.fallbacks)
    down = [
        name
        for name, known in engine.routes().items()
        # Names that no provider lists come from callers.
        if known["breaker"] != "closed" and (name in chain or models.info(name) is not None)
    ][:_MOST_MODELS]
    all_down = set(chain) <= set(down)
    for name in down:
        error = conditions[name].error if name in conditions else None
        yield _holding(
            kind="model.down",
            severity="CRITICAL" if all_down and name in chain else "HIGH",
            title=f"Model {name} is not called: its last calls failed",
            detail=f"last error: {error}" if error else "",
            source="models",
            model=name,
        )
        if error == "provider_quota":
            yield _holding(
                kind="budget.spent",
                severity="HIGH",
                title=f"The account at {name.partition(':')[0]} is used up",
                detail="Add credit at the provider, or name another model in [use].",
                source="models",
                labels={"provider": name.partition(":")[0]},
            )


async def prewarm_budget_check(is_spent: Callable[[], bool]) -> AsyncIterator[Alert]:
    """`budget.spent`: the hourly budget of pre-warming is used up; answers are made when they are asked for."""
    if is_spent():
        yield _holding(
            kind="budget.spent",
            severity="LOW",
            title="The hourly budget of pre-warming is used up",
            detail="Customers are not warmed until the hour has passed; raise `budget` in the plan to warm more.",
            source="prewarm",
        )


async def source_check(
    engine: ChatEngine, name: str, *, clock: Callable[[], float] = time.time
) -> AsyncIterator[Alert]:
    """`source.down`: the customer source has failed for ten seconds. It is asked again before that is said."""
    condition = engine.source_condition
    if condition.failing and clock() - condition.since >= _SURE_SECONDS:
        await engine.probe_source(_PROBE_SECONDS)
    if condition.failing and clock() - condition.since >= _SURE_SECONDS:
        yield _holding(
            kind="source.down",
            severity="CRITICAL",
            title=f"The customer source {name} does not answer",
            detail=f"last error: {condition.error}",
            source="source",
            labels={"name": name},
        )


async def tier_check(cache: TieredCache, *, clock: Callable[[], float] = time.time) -> AsyncIterator[Alert]:
    """`cache.tier_down`: a shared tier has not answered for ten seconds. Answers go on, only slower."""
    for tier in await cache.probe(_PROBE_SECONDS):
        if tier.condition.failing and clock() - tier.condition.since >= _SURE_SECONDS:
            yield _holding(
                kind="cache.tier_down",
                severity="HIGH",
                title=f"Cache tier {tier.name} does not answer",
                detail=f"last error: {tier.condition.error}. Answers go on without it, only slower.",
                source="cache",
                labels={"tier": tier.label, "name": tier.name},
            )


def grounding_check(engine: ChatEngine, table: AlertsTable, *, clock: Callable[[], float] = time.monotonic) -> Check:
    """`grounding.blocked`: as many answers as set were blocked within five minutes, in this process."""
    seen: deque[tuple[float, int]] = deque([(clock(), 0)])

    async def check() -> AsyncIterator[Alert]:
        now, blocked = clock(), int(engine.statistics()["grounding"]["blocked"])
        seen.append((now, blocked))
        while len(seen) > 1 and seen[1][0] <= now - _BLOCKED_WINDOW:
            seen.popleft()
        number = blocked - seen[0][1]
        if number >= table.grounding_blocked:
            yield _holding(
                kind="grounding.blocked",
                severity="MEDIUM",
                title=f"{number} answers were blocked within five minutes",
                detail="They stated values that are neither in the customer's records nor in the conversation.",
                source="grounding",
                values={"blocked": float(number)},
            )

    return check
