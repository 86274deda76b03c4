"""Evaluations that are asked for over HTTP, in the worker process."""

from __future__ import annotations

from tilores_core.chat.prompts import build_prompt
from tilores_core.contracts import Prompt
from tilores_core.quality.evaluation import Evaluator
from tilores_core.quality.evaluation.queue import MARK, EvaluationQueue
from tilores_core.quality.evaluation.request import EvaluationRequest, build_plan
from tilores_core.services import Services


async def run_evaluations(services: Services) -> None:
    """Do them one at a time until cancelled, whenever no other process does."""
    await EvaluationQueue(services.store, services.work_mark(MARK)).work(
        lambda run_id, request: _run(services, run_id, request)
    )


async def _run(services: Services, run_id: str, request: EvaluationRequest) -> None:
    plan = await build_plan(
        request,
        source=services.source,
        models=services.engine.models,
        prompt_of=lambda name: prompt_of(services, name),
    )
    evaluator = Evaluator(engine=services.engine, source=services.source, store=services.store)
    await evaluator.evaluate(plan, budget=request.budget, run_id=run_id)


async def prompt_of(services: Services, name: str) -> Prompt:
    """The prompt of a version's number or label. Raises `InvalidRequestError`, `StoreError`."""
    versions = services.prompts.versions
    version = await versions.get(await versions.number_of(name))
    return build_prompt(version.number, version.parts)
