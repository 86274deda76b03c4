"""The prompt in production: every process holds it in memory and follows the store.

A deployment is one transaction that moves a label. Other processes learn of it by a message through the shared cache
tier, or by the change counter, which they read twice a second. Each replaces its state as a whole, and a turn takes
its prompt once: no answer mixes versions. The prompt's version is part of every cached answer's key, so that a
version which comes back finds its answers again.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from tilores_core.chat.prompts import BUILTIN_PARTS, build_prompt
from tilores_core.contracts import Alert, AlertSink, NoAlerts, PromptChoice, Turn
from tilores_core.errors import (
    ConflictError,
    DeploymentRefusedError,
    InvalidRequestError,
    NewerSchemaError,
    StoreError,
    TiloresError,
)
from tilores_core.release.prompt_checks import Check, PromptChecks
from tilores_core.release.prompt_state import PromptState, StateFile, builtin_state, make_state
from tilores_core.release.prompt_versions import PromptVersions
from tilores_core.resilience import cancel_tasks, wait_for_event
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import PRODUCTION, PROMPTS

if TYPE_CHECKING:
    from tilores_core.release.experiments.assignment import Assignment

log = structlog.get_logger(part="release")

LABEL: Final = re.compile(r"[a-z][a-z0-9._-]{0,63}")
_START_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.5
_LONGEST_PAUSE: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A label that was moved, and the checks that the version passed before."""

    label: str
    number: int
    before: int | None
    checks: tuple[Check, ...] = ()

    def as_row(self) -> dict[str, Any]:
        """As plain JSON."""
        checks = [check.as_row() for check in self.checks]
        return {"label": self.label, "version": self.number, "before": self.before, "checks": checks}


class ProductionPromptManager:
    """The `PromptSource` of a process, and how prompts are made, deployed and rolled back.

    `assignment` may choose among the labelled versions of `state`, which every process holds in memory; labels other
    than `production` change nothing by themselves. A turn's own prompt goes before both.
    """

    def __init__(
        self,
        store: LazyStore,
        folder: Path,
        *,
        checks: PromptChecks | None = None,
        alerts: AlertSink | None = None,
    ) -> None:
        self.state = builtin_state()
        self.assignment: Assignment | None = None
        """Gives turns other prompts or models than those in production, while experiments run."""
        self.checks = checks or PromptChecks()
        self.versions = PromptVersions(store)
        self._store = store
        self._file = StateFile(folder)
        self._alerts = alerts or NoAlerts()
        self._wanted = asyncio.Event()
        self._loaded = asyncio.Event()
        self._loading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._failure: TiloresError | None = None
        self._said_stale = False
        self.deployments = {"deployed": 0, "refused": 0, "rolled_back": 0, "failed": 0}

    # --- serving -----------------------------------------------------------------------------------------

    def choose(self, turn: Turn, model: str) -> PromptChoice:
        assignment = self.assignment
        if turn.prompt is not None:
            return PromptChoice(turn.prompt)
        if assignment is None:
            return self.state.choice
        # In the path of every cached reply: as little as can be.
        known = assignment.sessions.get(turn.session_id)
        if known is not None and turn.purpose == "live":
            state, counts, choice = known
            if state is self.state:
                counts.turns += 1
                return choice
        return assignment(turn, model, self.state)

    @property
    def varies(self) -> bool:
        return self.assignment is not None

    @property
    def stale(self) -> str | None:
        """Why the state may be out of date: the code of the error that the store gave. None while it is not."""
        reached = self._loaded.is_set() and self._store.failing_since is None
        return type(self._failure).__name__ if self._failure else None if reached else "StoreUnavailableError"

    def report(self) -> Mapping[str, Any]:
        """Return the state for `/health/detailed` and commands. `production`: the version's name; `labels`:
        numbers; `origin`, `known_at` as in `PromptState`; `stale`."""
        state = self.state
        return {
            "production": state.production.version,
            "labels": dict(state.numbers),
            "origin": state.origin,
            "known_at": state.known_at,
            "stale": self.stale,
            "deployments": dict(self.deployments),
        }

    # --- following the store -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Load the state and follow it. Waits for the store for 5 seconds, then serves what was known last.

        Raises `NewerSchemaError`, which no waiting mends.
        """
        kept = await asyncio.to_thread(self._file.read)
        if kept is not None:
            self.state = kept
        self._store.listen(PROMPTS, lambda _: self._wanted.set())
        self._wanted.set()
        self._task = asyncio.create_task(self._follow(), name="tilores prompts")
        await wait_for_event(self._loaded, _START_SECONDS)
        if isinstance(self._failure, NewerSchemaError):
            raise self._failure

    async def aclose(self) -> None:
        await cancel_tasks(self._task)

    async def refresh(self) -> None:
        """Load the state now. Raises `StoreError`; what was known before is kept then."""
        async with self._loading:
            known_at = time.time()
            found = await self.versions.get_labelled()
            if found is None:
                if self.state.origin != "builtin":  # another database, or its file is gone
                    raise StoreError(
                        f"the database has no prompt versions, and version {self.state.number} was in production",
                        fix=f"restore it, or deploy a version; for the built-in prompt, remove {self._file.path}",
                    )
                await self._take(builtin_state())
                return
            numbers = {name: label.number for name, label in found.labels.items()}
            try:
                parts = {number: version.parts for number, version in found.versions.items()}
                state = make_state(numbers, parts, "store", known_at)
            except (KeyError, TypeError) as error:
                raise StoreError(
                    f"the prompt labels name a version that is not there ({type(error).__name__}: {error})",
                    fix="deploy a version that is there: tilores prompts deploy N",
                ) from None
            await self._take(state)

    async def _take(self, state: PromptState) -> None:
        before, self.state = self.state, state
        if dict(before.numbers) == dict(state.numbers) and before.production == state.production:
            if before.origin == state.origin:
                return
        elif before.production.version != state.production.version:  # and not another label alone
            log.info("prompts.changed", before=before.production.version, now=state.production.version)
        try:
            await asyncio.to_thread(self._file.write, state)
        except OSError as error:
            log.warning("prompts.file_not_written", file=str(self._file.path), error=error.strerror)

    async def _follow(self) -> None:
        pause = _LOOK_SECONDS
        while True:
            if await wait_for_event(self._wanted, pause) or self._failure is not None or self._store.opened is None:
                self._wanted.clear()
                pause = await self._load(pause)
            self._say_stale()

    async def _load(self, pause: float) -> float:
        """Load once; seconds until the next attempt."""
        try:
            await self.refresh()
        except TiloresError as error:
            self._failure = error
            self._loaded.set()
            return min(2 * pause, _LONGEST_PAUSE)
        self._failure = None
        self._loaded.set()
        return _LOOK_SECONDS

    def _say_stale(self) -> None:
        if (is_stale := self.stale is not None) == self._said_stale:
            return
        self._said_stale, origin, serving = is_stale, self.state.origin, self.state.production.version
        if is_stale:
            why = self._failure or StoreError("the database does not answer now", fix="see tilores doctor")
            log.warning("prompts.store_unavailable", error=why.message, fix=why.fix, serving=serving, origin=origin)
        else:
            log.info("prompts.store_recovered", serving=serving)

    # --- deploying ---------------------------------------------------------------------------------------

    async def check(
        self, number: int, *, skip_evaluation: bool = False, model: str | None = None
    ) -> tuple[Check, ...]:
        """The checks that `deploy` makes. Raises `InvalidRequestError`, `StoreError`."""
        prompt = build_prompt(number, (await self.versions.get(number)).parts)
        return await self.checks.run(prompt, skip_evaluation=skip_evaluation, model=model)

    async def deploy(
        self,
        number: int,
        *,
        actor: str,
        reason: str,
        label: str = PRODUCTION,
        skip_evaluation: bool = False,
        model: str | None = None,
        expected: int | None = None,
    ) -> Deployment:
        """Check a version, then point a label at it.

        `model`: answers the golden questions; None: the default one. `expected`: only while the label points at this
        version. Raises `DeploymentRefusedError` with the checks, `InvalidRequestError`, `StoreError`. Attempts that
        are refused are in the audit log, and raise an alert.
        """
        from tilores_core.store.prompts import moved_meanwhile  # with SQLAlchemy, when the store is needed

        check_label(label)
        store = await self._store.get()
        found = (await store.prompts.get_labelled()).labels.get(label)
        before = found.number if found is not None else None
        if label == PRODUCTION and number == (before or 1):  # without a deployment the built-in prompt serves
            raise ConflictError(
                f"version {number} is in production already", param="version", fix="make another: tilores prompts new"
            )
        if expected is not None and (before or 1) != expected:
            raise moved_meanwhile(label, before, expected)
        checks = await self.check(number, skip_evaluation=skip_evaluation, model=model)
        detail = {"checks": [check.as_row() for check in checks], "skip_evaluation": skip_evaluation}
        if said := "; ".join(f"{check.name}: {check.said}" for check in checks if check.refuses):
            self.deployments["refused"] += 1
            await store.audit.add(
                actor=actor,
                action="prompts.refuse",
                subject=f"prompts/{label}",
                reason=reason,
                detail={"from": before, "to": number, **detail},
            )
            self._raise_failed(label, number, said)
            raise DeploymentRefusedError(
                f"version {number} was not deployed. {said}",
                checks=checks,
                fix=f"make a version that passes: tilores prompts check {number} shows all checks",
            )
        try:
            # Version 1 is in the store after the first write, which also labels it.
            await store.prompts.move(
                label,
                number,
                actor=actor,
                reason=reason,
                builtin=BUILTIN_PARTS,
                expected=before,
                detail=detail,
                scores={
                    check.name if model is None else f"{check.name} {model}": check.as_row()
                    for check in checks
                    if check.name == "evaluation" and check.result == "passed"
                },
            )
        except StoreError as error:
            self.deployments["failed"] += 1
            self._raise_failed(label, number, error.message)
            raise
        self.deployments["deployed"] += 1
        self._alerts.clear(self._make_alert(label, number, "").fingerprint)
        await self._announce_change()
        return Deployment(label=label, number=number, before=before, checks=checks)

    async def roll_back(
        self,
        *,
        actor: str,
        reason: str,
        label: str = PRODUCTION,
        to: int | None = None,
        expected: int | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> Deployment:
        """Point a label at the version before, without checks: it has served already. `to`: at that earlier one.

        `expected`: only while the label points at this version. `detail`: figures for the audit log. Raises
        `InvalidRequestError`, `StoreError`.
        """
        check_label(label)
        store = await self._store.get()
        before = (await store.prompts.get_labelled()).labels.get(label)
        moved = await store.prompts.roll_back(
            label, actor=actor, reason=reason, to=to, expected=expected, detail=detail
        )
        self.deployments["rolled_back"] += 1
        await self._announce_change()
        self._alerts.raise_alert(
            Alert(
                kind="prompt.rolled_back",
                severity="MEDIUM",
                title=f"Prompt '{label}' was rolled back to version {moved.number}",
                detail=reason,
                source="release.prompts",
                labels={"label": label},
                values={"version": float(moved.number)},
            )
        )
        return Deployment(label=label, number=moved.number, before=None if before is None else before.number)

    async def remove_label(self, label: str, *, actor: str, reason: str) -> bool:
        """Whether there was one. Raises `InvalidRequestError` for `production`, `StoreError`."""
        check_label(label)
        removed = await (await self._store.get()).prompts.remove_label(label, actor=actor, reason=reason)
        await self._announce_change()
        return removed

    async def _announce_change(self) -> None:
        """The change is committed: tell the others, and serve it here."""
        self._store.notify(PROMPTS)
        try:
            await self.refresh()
        except StoreError:
            self._wanted.set()  # it was made; this process follows as soon as it can

    def _raise_failed(self, label: str, number: int, said: str) -> None:
        log.warning("prompts.deployment_failed", label=label, version=number, reason=said)
        self._alerts.raise_alert(self._make_alert(label, number, said))

    def _make_alert(self, label: str, number: int, said: str) -> Alert:
        return Alert(
            kind="deployment.failed",
            severity="HIGH",
            title=f"Prompt version {number} could not be deployed as '{label}'",
            detail=said,
            source="release.prompts",
            labels={"label": label},
            values={"version": float(number)},
        )


def check_label(label: str) -> None:
    if LABEL.fullmatch(label) is None:
        raise InvalidRequestError(
            "a label begins with a small letter and has up to 64 small letters, digits, dots, hyphens, underscores",
            param="label",
        )
