"""`/health/detailed`: each part with its state, since when it is so, its last error, and how long it takes to answer.

All parts are checked at the same time, each for at most a second, and a report is reused for a second. It does not
decide whether the server is ready: with a cache tier, a tracer or even a model down it still serves.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, perf_counter
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from tilores_core import __version__
from tilores_core.cache.guard import GuardedTier
from tilores_core.cache.tiered import TieredCache
from tilores_core.chat.engine import ChatEngine
from tilores_core.contracts import CustomerSource, SupportsReport
from tilores_core.errors import SourceError
from tilores_core.hookspecs import HealthCheck
from tilores_core.host.host import PluginHost
from tilores_core.resilience import Condition
from tilores_core.resilience.presence import WorkersSeen

Status = Literal["ok", "starting", "degraded", "failed", "off"]

SECONDS_PER_CHECK = 1.0
_SECONDS_PER_TIER = 0.25
_SHARED_SECONDS = 1.0
_SECONDS_OF_LOSS = 300.0
_ESSENTIAL = ("source", "model")


NO_WORKER: Final = (
    "no worker process is running, so jobs wait: run `tilores worker` with the same TILORES_DATA_DIR, "
    "or `tilores serve` without --no-worker"
)


class Fault(BaseModel):
    """A fault of one part. `code`: an error's code or class, never its text."""

    code: str
    at: datetime


class Part(BaseModel):
    """One part of the server. `detail` never holds secrets or customers' data."""

    status: Status
    since: datetime | None = Field(None, description="when it was first seen in this state")
    last_error: Fault | None = Field(None, description="the last one, which may be over")
    latency_ms: float | None = Field(None, description="of its last good call, or of this check")
    detail: dict[str, Any] = Field(default_factory=dict)


class DetailedHealth(BaseModel):
    """The state of each part.

    `failed`: the customer source or all models of `[use]`; `degraded`: anything else that is on and not ok.
    """

    status: Literal["ok", "degraded", "failed"]
    version: str = __version__
    parts: dict[str, Part]


Parts = Mapping[str, Part]
Check = Callable[[], Awaitable[Parts]]


async def no_customers(source: CustomerSource) -> str | None:
    """Why no question can be answered, where the source says that it holds no customer."""
    if not isinstance(source, SupportsReport):
        return None
    with contextlib.suppress(TimeoutError, SourceError):  # not known yet: /health/detailed says how the source is
        async with asyncio.timeout(_SECONDS_PER_TIER):
            if not (await source.report()).customers:
                return "the customer source serves no customer: tilores doctor says why"
    return None


@dataclass(kw_only=True, eq=False)
class HealthReport:
    """Asks the parts. `tracers`: what `Tracing.report` says; `store`: asks the database, and is False while none is
    open; `prompts`: what `ProductionPromptManager.report` says; `workers`: None where none are expected; `checks`:
    those that plugins registered.
    """

    host: PluginHost
    cache: TieredCache
    engine: ChatEngine
    tracers: Callable[[], Mapping[str, Any]]
    store: Callable[[], Awaitable[bool]]
    prompts: Callable[[], Mapping[str, Any]]
    workers: Callable[[], WorkersSeen] | None
    checks: Sequence[tuple[str, HealthCheck]] = ()
    _since: dict[str, tuple[Status, datetime]] = field(default_factory=dict, init=False)
    _losses: dict[str, tuple[int, float]] = field(default_factory=dict, init=False)
    _asked: asyncio.Task[DetailedHealth] | None = field(default=None, init=False)
    _good_until: float = field(default=0.0, init=False)

    async def get(self) -> DetailedHealth:
        """The report, at most a second old."""
        if self._asked is None or (self._asked.done() and monotonic() >= self._good_until):
            self._asked = asyncio.get_running_loop().create_task(self._ask())
        return await asyncio.shield(self._asked)

    async def _ask(self) -> DetailedHealth:
        checks: list[tuple[str, Check]] = [
            ("cache", self._cache_part),
            ("source", self._source_part),
            ("store", self._store_part),
            ("parts", self._collect_parts),
            *((name, _of_plugin(name, check)) for name, check in self.checks),
        ]
        found = await asyncio.gather(*(_within(name, check) for name, check in checks))
        parts = {name: self._add_since(name, part) for told in found for name, part in told.items()}
        self._good_until = monotonic() + _SHARED_SECONDS
        return DetailedHealth(status=_overall(parts), parts=parts)

    def _add_since(self, name: str, part: Part) -> Part:
        """With the time since when it is so, where the part does not know it by itself."""
        status, since = self._since.get(name, (None, None))
        if status != part.status or since is None:
            since = datetime.now(UTC)
            self._since[name] = (part.status, since)
        return part if part.since is not None else part.model_copy(update={"since": since})

    # --- what is asked -----------------------------------------------------------------------------------

    async def _cache_part(self) -> Parts:
        tiers = {tier.label: _tier(tier) for tier in await self.cache.probe(_SECONDS_PER_TIER)}
        good = all(part.status == "ok" for part in tiers.values())
        shown = {label: _to_plain(part) | part.detail for label, part in tiers.items()}
        return {"cache": Part(status="ok" if good else "degraded", detail={"tiers": shown})}

    async def _source_part(self) -> Parts:
        in_time = await self.engine.probe_source(SECONDS_PER_CHECK / 2)
        condition = self.engine.source_condition
        status: Status = "failed" if condition.failing else "ok" if in_time else "degraded"
        return {"source": _part(status, condition, {"name": self.host.config.use.source})}

    async def _store_part(self) -> Parts:
        started = perf_counter()
        if not await self.store():
            return {"store": Part(status="off", detail={"reason": "nothing has needed it yet"})}
        return {"store": Part(status="ok", latency_ms=_ms(perf_counter() - started))}

    async def _collect_parts(self) -> Parts:
        """What needs no asking."""
        unneeded = self._find_unneeded_plugins()
        problems = {
            plugin.id: plugin.state
            for plugin in self.host.plugins
            if plugin.state not in ("active", "disabled") and plugin.id not in unneeded
        }
        return {
            "plugins": Part(status="degraded" if problems else "ok", detail={"problems": problems}),
            "model": self._model_part(),
            "grounding": self._grounding_part(),
            "observers": self._queue("observers", **self.engine.statistics()["observers"]),
            "prompts": self._prompts_part(),
            **self._tracer_parts(),
            **self._worker_part(),
            **{
                role: Part(status="off", detail={"reason": reason})
                for role, reason in self.host.disabled_roles.items()
            },
        }

    def _find_unneeded_plugins(self) -> set[str]:
        """Plugins that do not work here and need not: those of disabled roles, which are `off` in parts of their own,
        and providers that `[use]` does not name and whose library is not installed."""
        titles = (*self.host.disabled_roles, *(f"llm/{name}" for name in self.host.idle_providers))
        return {plugin for title in titles if (plugin := self.host.provider_plugin(title))}

    def _model_part(self) -> Part:
        """Degraded while a model is left alone, failed when that is so of all that `[use]` names."""
        models = self.engine.models
        conditions = self.engine.conditions()
        asked: dict[str, dict[str, Any]] = {}
        left_alone: set[str] = set()
        for name, known in self.engine.routes().items():
            open_, condition = known["breaker"] != "closed", conditions[name]
            part = _part("failed" if open_ else "degraded" if condition.failing else "ok", condition, {})
            shown = models.display_name(name)  # one for all that are not listed: the one that is left alone is shown
            if open_ or shown not in asked or asked[shown]["breaker"] == "closed":
                asked[shown] = {**known, **_to_plain(part)}
            if open_:
                left_alone.add(name)
        chain = {models.default, *models.fallbacks}
        use = self.host.config.use
        return Part(
            status="failed" if chain <= left_alone else "degraded" if left_alone else "ok",
            detail={"default": use.model, "fallbacks": [*use.fallbacks], "asked": asked},
        )

    def _grounding_part(self) -> Part:
        """What the guard has seen since the start, by kind; never a value."""
        grounding = self.engine.statistics()["grounding"]
        if grounding["mode"] == "off":
            return Part(status="off", detail={"reason": "[chat] grounding"})
        return Part(status="ok", detail=grounding)

    def _prompts_part(self) -> Part:
        """Degraded while the store does not answer and the last known version serves."""
        known = self.prompts()
        detail = {key: known[key] for key in ("production", "labels", "origin")}
        detail["known_at"] = _to_datetime(known["known_at"]).isoformat(timespec="seconds")
        if known["stale"] is not None:
            detail["reason"] = f"the store does not answer ({known['stale']}): the last known version serves"
        return Part(status="ok" if known["stale"] is None else "degraded", detail=detail)

    def _tracer_parts(self) -> Parts:
        parts = {}
        for name, report in self.tracers().items():
            since = None if report["since"] is None else _to_datetime(report["since"])
            error = report["error"]
            parts[f"tracer/{name}"] = Part(
                status="ok" if report["state"] == "ok" else "degraded",
                since=since,
                last_error=Fault(code=error, at=since) if error and since else None,
                detail={what: report[what] for what in ("waiting", "sent", "dropped", "failures")},
            )
        return parts

    def _worker_part(self) -> Parts:
        """Degraded when there was a worker process and it is not there now; off when there was none."""
        if self.workers is None:
            return {}
        seen = self.workers()
        detail: dict[str, Any] = {"running": seen.running, "last_seen": None, "restarts": seen.restarts}
        if seen.last_seen is not None:
            detail["last_seen"] = _to_datetime(seen.last_seen).isoformat(timespec="seconds")
        if seen.missing:
            detail["reason"] = NO_WORKER
        status: Status = "ok" if seen.running else "off" if seen.last_seen is None else "degraded"
        return {"worker": Part(status="starting" if seen.starting else status, detail=detail)}

    def _queue(self, name: str, *, waiting: int, dropped: int, failed: int) -> Part:
        """Degraded for five minutes after something was lost."""
        lost, now = dropped + failed, monotonic()
        before, grew = self._losses.get(name, (0, -_SECONDS_OF_LOSS))
        if lost > before:
            grew = now
        self._losses[name] = (lost, grew)
        return Part(
            status="degraded" if lost and now - grew < _SECONDS_OF_LOSS else "ok",
            detail={"waiting": waiting, "dropped": dropped, "failed": failed},
        )


def _tier(tier: GuardedTier) -> Part:
    breakers = {"breaker": tier.breaker, "write_breaker": tier.write_breaker}
    states = {name: None if breaker is None else breaker.state for name, breaker in breakers.items()}
    pending = len(tier.pending_invalidations)
    troubled = "open" in states.values() or pending > 0
    detail = {"name": tier.name, **states, "errors": tier.errors, "pending_invalidations": pending}
    if tier.condition.failing or troubled:
        detail |= tier.fault
    return _part("failed" if tier.condition.failing else "degraded" if troubled else "ok", tier.condition, detail)


def _part(status: Status, condition: Condition, detail: dict[str, Any]) -> Part:
    error, at = condition.error, condition.error_at
    return Part(
        status=status,
        since=_to_datetime(condition.since),
        last_error=None if error is None or at is None else Fault(code=error, at=_to_datetime(at)),
        latency_ms=None if condition.seconds is None else _ms(condition.seconds),
        detail=detail,
    )


def _to_plain(part: Part) -> dict[str, Any]:
    """A part within another."""
    return part.model_dump(mode="json", exclude={"detail"})


def _of_plugin(name: str, check: HealthCheck) -> Check:
    async def run() -> Parts:
        started = perf_counter()
        said = await check()
        detail = {key: value for key, value in said.items() if key != "status"}
        return {name: Part(status=said.get("status", "ok"), latency_ms=_ms(perf_counter() - started), detail=detail)}

    return run


async def _within(name: str, check: Check) -> Parts:
    now = datetime.now(UTC)
    try:
        async with asyncio.timeout(SECONDS_PER_CHECK):
            return await check()
    except TimeoutError:
        said = f"no answer within {SECONDS_PER_CHECK:g} s"
        return {name: Part(status="failed", last_error=Fault(code="timeout", at=now), detail={"error": said})}
    except Exception as error:  # perhaps a stranger's code; its message may hold anything
        kind = type(error).__name__
        return {name: Part(status="failed", last_error=Fault(code=kind, at=now), detail={"error": kind})}


def _overall(parts: Parts) -> Literal["ok", "degraded", "failed"]:
    if any(name in parts and parts[name].status == "failed" for name in _ESSENTIAL):
        return "failed"
    return "ok" if all(part.status in ("ok", "off", "starting") for part in parts.values()) else "degraded"


def _to_datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
