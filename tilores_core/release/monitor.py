"""What is in production, watched: figures for a dashboard, and a regression after a deployment, rolled back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from tilores_core.chat.prompts import build_prompt
from tilores_core.contracts import Alert, AlertSink, NoAlerts
from tilores_core.errors import InvalidRequestError
from tilores_core.release.prompts import ProductionPromptManager
from tilores_core.settings.improve import MonitorTable
from tilores_core.statistics import MeanSPRT, Moments
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import PRODUCTION
from tilores_core.store.windows import DIMENSIONS, HOUR_MS, WINDOW_MS, Window

if TYPE_CHECKING:
    from tilores_core.store.prompts import PromptLabel

log = structlog.get_logger(part="release")

ACTOR: Final = "monitor"
_BEFORE_MS: Final = 7 * 24 * HOUR_MS
_FINE_MS: Final = 11 * HOUR_MS
_ALPHA: Final = 0.02
"""Two-sided, so that the side that counts has 1 % for each of the two figures that are watched."""
_TAU: Final = 0.04
_MINIMUM: Final = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """A version that is worse than the one before it, `previous`, for sure: in all or in one spectrum. `by`: at least
    so much, in points of the figure."""

    version: int
    previous: int
    spectrum: str | None
    figure: str
    before: float
    after: float
    by: float

    def describe(self) -> str:
        where = "" if self.spectrum is None else f" in {self.spectrum}"
        return (
            f"{self.figure}{where} went from {self.before:.1%} to {self.after:.1%} (worse by at least {self.by:.1%})"
        )


class ProductionPerformanceMonitor:
    """Watches the prompt in production after a deployment, and rolls back on a regression.

    `clock`: seconds since the epoch.
    """

    def __init__(
        self,
        store: LazyStore,
        prompts: ProductionPromptManager,
        table: MonitorTable,
        *,
        alerts: AlertSink | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._prompts = prompts
        self._table = table
        self._alerts = alerts or NoAlerts()
        self._clock = clock
        self.watching = False
        """Whether the last look found a deployment that is recent enough to be watched."""

    async def performance(self, *, hours: float = 24.0, step_hours: float | None = None) -> list[dict[str, Any]]:
        """Figures of the last hours by model, spectrum and prompt version, and by step: whole windows of five
        minutes, at least one. Raises `StoreError`.

        `quality`, `feedback` in [0, 1], None without any; `achievement`: share of windows with scores that reached
        90 %; `errors`, `cached`: shares of turns; `latency` in seconds and `cost` in US dollars per answer that a
        model made. `code_rollout`: there was one in this span, so that what changed may be the code's doing.
        """
        now = int(self._clock() * 1000)
        step = None if step_hours is None else max(1, round(step_hours * HOUR_MS / WINDOW_MS)) * WINDOW_MS
        store = await self._store.get()
        spans = [rollout.span for rollout in await store.rollouts.recent()]

        def describe(window: Window) -> dict[str, Any]:
            until = now if step is None else window.start_ms + step
            return {
                "start_ms": window.start_ms,
                **window.cell._asdict(),
                "turns": round(window.sums["turns"]),
                "quality": window.mean("overall"),
                "achievement": window.share("reached", "windows"),
                "errors": window.share("errors", "turns") or 0.0,
                "cached": window.share("hits", "turns") or 0.0,
                "latency": window.mean("latency"),
                "cost": window.mean("cost"),
                "feedback": window.mean("feedback"),
                "code_rollout": any(begin < until and end > window.start_ms for begin, end in spans),
            }

        windows = await store.windows.query(now - int(hours * HOUR_MS), now, step_ms=step, by=DIMENSIONS)
        return [describe(window) for window in windows]

    async def watch(self) -> Regression | None:
        """Compare the version in production with the one before, for a while after a deployment; roll back a
        regression. Nothing is decided during a code roll-out, and the windows of one are left out.

        Call it under a lease. Raises `StoreError`."""
        found = await self.find_regression()
        return found if found is not None and await self.roll_back(found) else None

    async def find_regression(self, spectrum: str | None = None) -> Regression | None:
        """Compare only, in all spectrums together or in one; None also while nothing is watched. Raises
        `StoreError`."""
        label = await self._get_watched()
        self.watching = label is not None
        if label is None or await (await self._store.get()).rollouts.current() is not None:
            return None
        deployed_ms, now_ms = int(label.changed.timestamp() * 1000), int(self._clock() * 1000)
        old = await self._sums(label.previous[-1], deployed_ms - _BEFORE_MS, deployed_ms, now_ms, spectrum)
        new = await self._sums(label.number, deployed_ms, now_ms + 1, now_ms, spectrum)
        if old is None or new is None:
            return None
        figures: dict[str, Callable[[Window], Moments]] = {
            "quality": lambda window: window.moments("overall"),
            "errors": lambda window: Moments.of_rate(window.sums["turns"], window.sums["errors"]),
        }
        for figure, of in figures.items():
            control, treatment = of(old), of(new)
            look = MeanSPRT(tau=_TAU, alpha=_ALPHA, minimum=_MINIMUM).look(control, treatment)
            worse = -look.high if figure == "quality" else look.low
            if worse > self._table.tolerance:
                return Regression(
                    version=label.number,
                    previous=label.previous[-1],
                    spectrum=spectrum,
                    figure=figure,
                    before=control.mean,
                    after=treatment.mean,
                    by=worse,
                )
        return None

    async def roll_back(self, found: Regression, *, actor: str = ACTOR) -> bool:
        """Put the version before into production again; False when someone was faster. Raises `StoreError`."""
        try:
            await self._prompts.roll_back(
                actor=actor, reason=found.describe(), expected=found.version, detail=asdict(found)
            )
        except InvalidRequestError:
            return False
        log.warning("prompts.regression_rolled_back", version=found.version, figure=found.figure)
        self._alerts.raise_alert(
            Alert(
                kind="prompt.regression",
                severity="HIGH",
                title=f"Prompt version {found.version} was worse and was rolled back to {found.previous}",
                detail=found.describe(),
                source="release.monitor",
                spectrum=found.spectrum,
                labels={"version": str(found.version)},
                values={"before": found.before, "after": found.after},
            )
        )
        return True

    async def version_name(self, number: int) -> str:
        """What answers and windows call a version. Raises `InvalidRequestError`, `StoreError`."""
        return build_prompt(number, (await self._prompts.versions.get(number)).parts).version

    async def _get_watched(self) -> PromptLabel | None:
        """The label in production while what it points at is new; None after a roll-back, which serves what was
        served before."""
        if not self._table.roll_back:
            return None
        label = (await (await self._store.get()).prompts.get_labelled()).labels.get(PRODUCTION)
        if label is None or not label.previous or label.number in label.previous:
            return None
        age = self._clock() - label.changed.timestamp()
        return label if age <= self._table.watch_hours * 3600 else None

    async def _sums(
        self, number: int, since_ms: int, until_ms: int, now_ms: int, spectrum: str | None
    ) -> Window | None:
        """All windows of a version, perhaps of one spectrum, but those of code roll-outs."""
        store, version = await self._store.get(), await self.version_name(number)
        rollouts = await store.rollouts.recent()
        without = [rollout.span for rollout in rollouts if rollout.begin_ms < until_ms and rollout.end_ms > since_ms]
        # A week is read by the hour; where code was rolled out in all hours that there are, the windows of five
        # minutes that are still kept say more.
        for since in (since_ms, max(since_ms, now_ms - _FINE_MS)):
            found = await store.windows.query(
                since,
                until_ms,
                now_ms=now_ms,
                by=("prompt_version",),
                prompt_version=version,
                spectrum=spectrum,
                without=without,
            )
            if found or not without:
                break
        return found[0] if found else None
