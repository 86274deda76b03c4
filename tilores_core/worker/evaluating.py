"""Evaluations as people ask for them: by `tilores evaluate`, or over HTTP and then in the worker process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tilores_core.chat.prompts import build_prompt
from tilores_core.contracts import Prompt
from tilores_core.errors import InvalidRequestError, UnknownModelError
from tilores_core.metrics import catalogue
from tilores_core.metrics.family import Sample
from tilores_core.quality.evaluation import (
    AnswerResult,
    Comparison,
    Evaluation,
    EvaluationPlan,
    Evaluator,
    compare,
    score_table,
)
from tilores_core.quality.evaluation.alerting import baseline, update_alerts
from tilores_core.quality.evaluation.evaluator import Progress
from tilores_core.quality.evaluation.plan import EvaluationRequest, build_plan
from tilores_core.quality.evaluation.queue import MARK, EvaluationQueue
from tilores_core.quality.evaluation.results import means
from tilores_core.services import Services
from tilores_core.settings.nearest import suggest
from tilores_core.spectrums import current_spectrums
from tilores_core.store.evaluations import Evaluations

_LEASE_SECONDS: Final = 30.0


async def check_names(services: Services, request: EvaluationRequest) -> None:
    """Raise `InvalidRequestError` that names the field, for a name of the request that there is not. Whether a
    spectrum has questions is seen when they are made."""
    field, models = "models", services.engine.models
    try:
        for model in request.models:
            await models.require(models.resolve(model))
        field = "judge"
        if request.judge is not None:
            await models.require(models.resolve(request.judge))
        field, known = "spectrums", [spectrum.name for spectrum in current_spectrums().spectrums]
        for name in request.spectrums:
            if name not in known:
                raise InvalidRequestError(f"there is no spectrum '{name[:64]}'", fix=suggest(name, known))
        field = "prompt"
        if request.prompt is not None:
            await prompt_of(services, request.prompt)
        field = "compare"
        if request.compare is not None:
            await find_run((await services.store.get()).evaluations, request.compare)
    except (InvalidRequestError, UnknownModelError) as error:
        raise InvalidRequestError(f"{field}: {error.message}", param=field, fix=error.fix) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """A run that has ended. `comparison`: with the run that was named; `alerts`: how many were raised."""

    run: Evaluation
    simulated: bool
    comparison: Comparison | None
    alerts: int


async def plan_of(services: Services, request: EvaluationRequest, questions: Path | None = None) -> EvaluationPlan:
    """Raises as `build_plan`, and `StoreError`."""
    return await build_plan(
        request,
        source=services.source,
        models=services.engine.models,
        prompt=None if request.prompt is None else await prompt_of(services, request.prompt),
        questions=questions,
    )


def evaluator_of(services: Services, *, concurrent: int = 8) -> Evaluator:
    return Evaluator(
        engine=services.engine,
        source=services.source,
        store=services.store,
        concurrent=concurrent,
        note=services.tracing.note_scores,
    )


def simulated(services: Services, plan: EvaluationPlan) -> bool:
    """Whether every model of the plan is a simulated one."""
    return all(getattr(services.engine.models.info(model), "simulated", False) for model in plan.models)


async def run_evaluation(
    services: Services,
    request: EvaluationRequest,
    plan: EvaluationPlan,
    *,
    progress: Progress | None = None,
    resume: bool = True,
    run_id: str | None = None,
    concurrent: int = 8,
) -> Evaluated:
    """Evaluate, compare, note the means with the prompt version, and raise the alerts of a fall.

    Raises as `Evaluator.evaluate`; `InvalidRequestError` while another process does the same, or for an unknown run
    to compare with.
    """
    store = await services.store.get()
    evaluator = evaluator_of(services, concurrent=concurrent)
    named = None if request.compare is None else await find_run(store.evaluations, request.compare)
    lease = await store.leases.take(f"evaluation {evaluator.digest(plan)}", seconds=_LEASE_SECONDS)
    if lease is None:
        raise InvalidRequestError(
            "another process does this evaluation already, and nothing is paid for twice",
            fix="wait for its end and read it under /admin/evaluations, or give another --seed",
        )
    async with lease:
        run = await lease.run(
            evaluator.evaluate(plan, budget=request.budget, progress=progress, resume=resume, run_id=run_id)
        )
    await store.leases.forget(lease.name)
    is_done, against = run.state == "done", named
    if is_done and request.prompt is not None:
        scores = {"golden questions": {"run": run.id, "answers": len(run.results), **means(run.results)}}
        await store.prompts.add_scores(await services.prompts.versions.number_of(request.prompt), scores)
    if is_done and against is None:
        against = await baseline(store.evaluations, run)
    comparison = None if against is None else compare(against[1], run.results)
    if is_done and comparison is not None and against is not None:
        summary = {**run.summary(), "against": against[0], "fell": [*comparison.falls()]}
        await store.evaluations.end(run.id, state=run.state, summary=summary)
    is_simulated_run, raised = simulated(services, plan), 0
    if request.alerts:
        raised = update_alerts(
            services.alerts,
            run,
            services.host.config.quality,
            simulated=is_simulated_run,
            against=None if against is None else against[0],
            comparison=comparison,
        )
    shown = comparison if named is not None else None
    return Evaluated(run=run, simulated=is_simulated_run, comparison=shown, alerts=raised)


async def find_run(evaluations: Evaluations, name: str) -> tuple[str, list[AnswerResult]]:
    """A run by its id, or `last`, with its answers. Raises `InvalidRequestError`, `StoreError`."""
    if name == "last":
        run = next((run for run in await evaluations.recent(limit=100) if run.state == "done"), None)
    else:
        run = await evaluations.get(name)
    if run is None:
        raise InvalidRequestError(
            f"there is no evaluation '{name[:64]}'",
            param="compare",
            fix="name a run that `tilores evaluate` has printed, or last",
        )
    return run.id, [AnswerResult.of_row(row) for row in await evaluations.results(run.id)]


async def prompt_of(services: Services, name: str) -> Prompt:
    """The prompt of a version's number or label. Raises `InvalidRequestError`, `StoreError`."""
    versions = services.prompts.versions
    version = await versions.get(await versions.number_of(name))
    return build_prompt(version.number, version.parts)


# --- in the worker process -------------------------------------------------------------------------------


async def run_evaluations(services: Services) -> None:
    """Do what was asked for over HTTP, one at a time, until cancelled, whenever no other process does."""
    queue, figures = EvaluationQueue(services.store, services.work_mark(MARK)), _Figures()
    if services.metrics is not None:
        labels = services.metrics.labels
        services.metrics.watch(lambda: figures.samples(labels.of))

    async def run(run_id: str, request: EvaluationRequest) -> None:
        plan = await plan_of(services, request)
        figures.add((await run_evaluation(services, request, plan, run_id=run_id)).run)

    await queue.work(run)


class _Figures:
    """What the evaluations of this process came to, for metrics."""

    def __init__(self) -> None:
        self.answers = {"ok": 0, "failed": 0}
        self.scores: dict[tuple[str, str], float] = {}

    def add(self, run: Evaluation) -> None:
        self.answers["failed"] += run.errors
        self.answers["ok"] += len(run.results) - run.errors
        for where, cell in score_table(run.results).cells.items():
            if cell.mean is not None:
                self.scores[where] = cell.mean

    def samples(self, labels: Any) -> Iterator[Sample]:
        for result, number in self.answers.items():
            yield Sample(catalogue.EVALUATION_ANSWERS, (result,), number)
        for (model, spectrum), mean in self.scores.items():
            yield Sample(catalogue.EVALUATION_SCORE, (*labels(model), spectrum), mean)
