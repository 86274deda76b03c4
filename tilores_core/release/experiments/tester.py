"""Experiments on live traffic: started and stopped by people, looked at and decided by the worker process."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import structlog
from pydantic import ValidationError

from tilores_core.contracts import Alert, AlertSink, NoAlerts
from tilores_core.errors import (
    ConflictError,
    DeploymentRefusedError,
    InvalidRequestError,
    StoreError,
    UnknownNameError,
)
from tilores_core.release.experiments.analysis import ArmSums, Verdict, analyse
from tilores_core.release.experiments.assignment import Assignment, RunningExperiment, free_slice
from tilores_core.release.experiments.plan import ARMS, LABEL_PREFIX, ExperimentPlan, ExperimentRequirements, needs
from tilores_core.release.prompts import ProductionPromptManager
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import EXPERIMENTS, PRODUCTION
from tilores_core.store.windows import DAY_MS

if TYPE_CHECKING:
    from tilores_core.store.experiments import Experiment

log = structlog.get_logger(part="release")

ACTOR: Final = "experiments"
_MOST_LOOKS: Final = 200
_LEFTOVER_SECONDS: Final = 600.0
_LIKELY_SCORE: Final = 0.9


class ProductionABTester:
    """Starts, watches, decides and stops experiments on live traffic.

    `holdout`: the share of traffic that never takes part. `scored`: whether live answers are scored. `resolve`:
    the full name of a model, of None that of the default one; None where only what is stored is read. `clock`:
    seconds since the epoch.
    """

    def __init__(
        self,
        store: LazyStore,
        prompts: ProductionPromptManager,
        assignment: Assignment,
        *,
        holdout: float = 0.0,
        scored: bool = True,
        resolve: Callable[[str | None], str] | None = None,
        alerts: AlertSink | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._prompts = prompts
        self._assignment = assignment
        self._holdout = holdout
        self._scored = scored
        self._resolve = resolve
        self._alerts = alerts or NoAlerts()
        self._clock = clock
        self.looked: dict[str, Verdict] = {}
        """The last looks of this process at experiments that run, by name."""
        self.ended: Counter[str] = Counter()
        """Experiments that this process ended, by outcome."""

    # --- people ------------------------------------------------------------------------------------------

    async def plan(self, plan: ExperimentPlan) -> ExperimentRequirements:
        """What it would take at the traffic of the last seven days. Raises as `start`."""
        plan = self._resolved(plan)
        if plan.candidate is not None:
            await self._prompts.versions.get(plan.candidate)
        store = await self._store.get()
        now = int(self._clock() * 1000)
        windows = await store.windows.query(now - 7 * DAY_MS, now, by=())
        scored = windows[0].moments("overall") if windows else None
        base = scored.mean if scored is not None and scored.count else _LIKELY_SCORE
        return needs(plan, base=base, scored_per_day=scored.count / 7 if scored is not None else 0.0)

    async def start(
        self, plan: ExperimentPlan, *, actor: str, reason: str, skip_evaluation: bool = False
    ) -> Experiment:
        """Check the candidate as for a deployment, give it a label, and split traffic from the next turns on.

        Raises `InvalidRequestError`, `DeploymentRefusedError`, `StoreError`.
        """
        if not self._scored:
            raise InvalidRequestError(
                "live answers are not scored, so that no experiment can be decided: set [quality] live_cpu_percent"
            )
        plan = self._resolved(plan)
        store = await self._store.get()
        running = await store.experiments.list(state="running")
        if any(experiment.name == plan.name for experiment in running):
            raise ConflictError(
                f"the experiment '{plan.name}' runs already", param="name", fix="choose another name, or stop it"
            )
        await self._prompts.refresh()
        control = self._prompts.state.number
        candidate = plan.candidate or control
        if control == candidate and plan.model is None:
            raise ConflictError(
                f"version {control} is in production already", param="candidate", fix="name another version"
            )
        plan = plan.model_copy(update={"candidate": candidate})
        part = free_slice(plan.share, [experiment.slice for experiment in running], holdout=self._holdout)
        if part is None:
            names = ", ".join(experiment.name for experiment in running) or "none"
            raise ConflictError(
                f"less than {plan.share:.0%} of the traffic is free; experiments that run: {names}",
                param="share",
                fix="stop one of them, or take a smaller share",
            )
        await self._prompts.deploy(
            candidate,
            actor=actor,
            reason=reason,
            label=plan.label,
            skip_evaluation=skip_evaluation,
            model=plan.model,
        )
        now = datetime.fromtimestamp(self._clock(), UTC)
        from tilores_core.store.experiments import Experiment  # imported with the open store

        made = Experiment(
            id=f"{plan.name}-{uuid.uuid4().hex[:8]}",
            name=plan.name,
            state="running",
            plan=plan.model_dump(mode="json"),
            control=control,
            slice=part,
            weights=(plan.weights[0],),
            step_began=now,
            started=now,
        )
        await store.experiments.start(made, actor=actor, reason=reason)
        await self._announce_change()
        return made

    def _resolved(self, plan: ExperimentPlan) -> ExperimentPlan:
        """With full names of models. Raises `UnknownModelError`, `InvalidRequestError`."""
        if self._resolve is None:
            return plan
        models = tuple(map(self._resolve, plan.models))
        if plan.model is None:
            return plan.model_copy(update={"models": models})
        model, models = self._resolve(plan.model), models or (self._resolve(None),)
        if models == (model,):
            raise InvalidRequestError(
                f"{model} is compared with itself", param="model", fix="name another model: tilores models"
            )
        return plan.model_copy(update={"model": model, "models": models})

    async def stop(self, name: str, *, actor: str, reason: str, deploy: bool = False) -> Experiment:
        """End it; `deploy`: with the candidate in production, after its checks. Raises as `start`."""
        experiment = await self._require_running(name)
        plan = _plan_of(experiment)
        if deploy and plan.model is not None:
            raise InvalidRequestError(
                "which model is the default is a setting", param="deploy", fix=_how_to_deploy(plan)
            )
        number = plan.candidate or experiment.control
        await self._prompts.refresh()
        if deploy and self._prompts.state.number != number:
            await self._prompts.deploy(number, actor=actor, reason=reason)
        await self._end(experiment, "deployed" if deploy else "stopped", reason, experiment.verdict, actor=actor)
        return await (await self._store.get()).experiments.get(name) or experiment

    async def get(self, name: str) -> Experiment:
        """The newest one of this name. Raises `UnknownNameError`, `StoreError`."""
        experiments = (await self._store.get()).experiments
        found = await experiments.get(name)
        if found is None:
            known = ", ".join(dict.fromkeys(row.name for row in await experiments.list(limit=20))) or "none"
            raise UnknownNameError(
                f"there is no experiment '{name}'; there are: {known}",
                param="name",
                fix="list them: tilores experiments list",
            )
        return found

    async def recent(self, *, limit: int = 100) -> list[Experiment]:
        return await (await self._store.get()).experiments.list(limit=limit)

    async def status(self, name: str) -> tuple[Experiment, Verdict]:
        """What a look would say now; nothing is decided."""
        experiment = await self.get(name)
        return experiment, await self._analyse(experiment)

    # --- every process -----------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Load what runs, and split traffic so. Raises `StoreError`."""
        found = await (await self._store.get()).experiments.list(state="running")
        running = tuple(
            _as_assigned(experiment) for experiment in sorted(found, key=lambda experiment: experiment.id)
        )
        if any(experiment.plan.label not in self._prompts.state.numbers for experiment in running):
            await self._prompts.refresh()
        self._assignment.replace(running)
        # With nothing running a turn pays nothing for experiments.
        self._prompts.assignment = self._assignment if running else None

    # --- the worker --------------------------------------------------------------------------------------

    async def look(self) -> list[tuple[Experiment, Verdict]]:
        """Look at every running experiment, and do what the data say; during a code roll-out nothing.

        Call it under a lease. Raises `StoreError`.
        """
        store = await self._store.get()
        done = []
        paused = await store.rollouts.current() is not None
        await self._prompts.refresh()
        running = await store.experiments.list(state="running")
        for name in self.looked.keys() - {experiment.name for experiment in running}:
            del self.looked[name]
        await self._remove_leftover_labels(running)
        for experiment in running:
            verdict = await self._analyse(experiment)
            if paused:
                verdict = replace(verdict, action="continue", reason="nothing is decided during a code roll-out")
            self.looked[experiment.name] = verdict
            await store.experiments.keep_look(experiment, verdict.as_row(), _with_look(experiment, verdict))
            await self._act(experiment, verdict)
            done.append((experiment, verdict))
        return done

    async def _remove_leftover_labels(self, running: Sequence[Experiment]) -> None:
        """Of processes that were killed between an experiment's label and its beginning or end."""
        used = {_plan_of(experiment).label for experiment in running}
        left = [name for name in self._prompts.state.numbers if name.startswith(LABEL_PREFIX) and name not in used]
        if not left:
            return
        labels = (await (await self._store.get()).prompts.get_labelled()).labels
        for name in left:
            if name in labels and self._clock() - labels[name].changed.timestamp() > _LEFTOVER_SECONDS:
                await self._prompts.remove_label(name, actor=ACTOR, reason="its experiment does not run")

    async def _act(self, experiment: Experiment, verdict: Verdict) -> None:
        plan, row = _plan_of(experiment), verdict.as_row()
        production = self._prompts.state.number
        if production != experiment.control:
            outcome = "deployed" if production == plan.candidate else "superseded"
            reason = f"version {production} was put into production meanwhile"
            await self._end(experiment, outcome, reason, row)
        elif plan.model is not None and self._resolve is not None and self._resolve(None) == plan.model:
            await self._end(experiment, "deployed", f"{plan.model} is the default model now", row)
        elif verdict.action in ("stop_harm", "stop_mismatch"):
            await self._end(experiment, verdict.action.replace("stop_", ""), verdict.reason, row)
            self._raise(experiment, "experiment.stopped", "HIGH", verdict)
        elif verdict.action in ("deploy", "finish") and plan.model is None:
            await self._deploy(experiment, plan, verdict)
        elif verdict.action in ("propose", "deploy", "finish"):
            if verdict.action == "deploy":
                await self._end(experiment, "won", f"{verdict.reason}; {_how_to_deploy(plan)}", row)
            self._raise(experiment, "experiment.proposal", "INFO", verdict)
        elif verdict.action == "advance":
            weight = plan.weights[len(experiment.weights)]
            store = await self._store.get()
            if await store.experiments.advance(experiment, weight, actor=ACTOR, reason=verdict.reason):
                await self._announce_change()
        elif verdict.action == "no_difference":
            await self._end(experiment, "kept", verdict.reason, row)

    async def _deploy(self, experiment: Experiment, plan: ExperimentPlan, verdict: Verdict) -> None:
        """On the same path as any prompt: what fails a check there is not deployed."""
        number = plan.candidate or experiment.control
        try:
            await self._prompts.deploy(number, actor=ACTOR, reason=f"{experiment.name}: {verdict.reason}")
        except DeploymentRefusedError as error:
            await self._end(experiment, "refused", error.message, verdict.as_row())
            self._raise(experiment, "experiment.stopped", "HIGH", verdict)
            return
        await self._end(experiment, "deployed", verdict.reason, verdict.as_row())
        self._raise(experiment, "experiment.deployed", "INFO", verdict)

    async def _end(
        self, experiment: Experiment, outcome: str, reason: str, verdict: Mapping[str, Any], *, actor: str = ACTOR
    ) -> None:
        store = await self._store.get()
        if await store.experiments.end(experiment, outcome=outcome, actor=actor, reason=reason, verdict=verdict):
            log.info("experiments.ended", name=experiment.name, outcome=outcome)
            self.ended[outcome] += 1
            self.looked.pop(experiment.name, None)
            await self._prompts.remove_label(_plan_of(experiment).label, actor=actor, reason=reason)
        await self._announce_change()

    async def _analyse(self, experiment: Experiment) -> Verdict:
        sums = await (await self._store.get()).experiments.sums(experiment.id)
        now = self._clock() if experiment.ended is None else experiment.ended.timestamp()
        steps = range(len(experiment.weights))
        return analyse(
            _plan_of(experiment),
            {step: {arm: sums.get((step, arm), ArmSums()) for arm in ARMS} for step in steps},
            weights=dict(enumerate(experiment.weights)),
            hours=(now - experiment.started.timestamp()) / 3600,
            step_hours=(now - experiment.step_began.timestamp()) / 3600,
            best_p=float(experiment.verdict.get("p_value", 1.0)),
            mismatch_p=float(experiment.verdict.get("mismatch_p", 1.0)),
        )

    async def running(self, name: str) -> Experiment | None:
        """The experiment of this name that runs. Raises `StoreError`."""
        running = await (await self._store.get()).experiments.list(state="running")
        return next((experiment for experiment in running if experiment.name == name), None)

    async def _require_running(self, name: str) -> Experiment:
        experiment = await self.get(name)
        if experiment.state != "running":
            raise ConflictError(
                f"the experiment '{name}' has ended: {experiment.outcome}",
                param="name",
                fix="list those that run: tilores experiments list",
            )
        return experiment

    async def _announce_change(self) -> None:
        self._store.notify(EXPERIMENTS)
        try:
            await self.follow()
        except StoreError:
            log.warning("experiments.not_followed")

    def _raise(self, experiment: Experiment, kind: str, severity: Any, verdict: Verdict) -> None:
        self._alerts.raise_alert(
            Alert(
                kind=kind,
                severity=severity,
                title=f"Experiment '{experiment.name}': {kind.partition('.')[2]}",
                detail=verdict.reason,
                source="release.experiments",
                labels={"experiment": experiment.name, "prompt": PRODUCTION},
                values={"lift": verdict.lift.difference, "confidence": verdict.confidence},
            )
        )


def _how_to_deploy(plan: ExperimentPlan) -> str:
    """What a person does to put a candidate with another model into production."""
    return f"write model = {plan.model!r} into [use] of plugins.toml, restart the server, and deploy {plan.candidate}"


def _plan_of(experiment: Experiment) -> ExperimentPlan:
    """Raises `StoreError` for what another version of the program has kept: two run while one replaces the other."""
    try:
        return ExperimentPlan.model_validate(experiment.plan)
    except ValidationError:
        raise StoreError(
            f"the plan of the experiment '{experiment.name}' is not understood: another version has kept it",
            fix="run the version that started it, or one that is newer",
        ) from None


def _as_assigned(experiment: Experiment) -> RunningExperiment:
    return RunningExperiment(
        id=experiment.id,
        plan=_plan_of(experiment),
        slice=experiment.slice,
        weight=experiment.weights[-1],
        step=len(experiment.weights) - 1,
    )


def _with_look(experiment: Experiment, verdict: Verdict) -> list[Mapping[str, Any]]:
    """The looks for a chart: at most 200, thinned out evenly as there are more."""
    row = verdict.as_row()
    look: dict[str, Any] = {"scored": sum(verdict.scored.values())}
    look |= {name: row[name] for name in ("lift", "low", "high", "confidence") if name in row}
    looks: list[Mapping[str, Any]] = [*experiment.looks, look]
    return looks if len(looks) <= _MOST_LOOKS else looks[::2]
