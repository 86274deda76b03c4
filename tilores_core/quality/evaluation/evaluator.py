"""Asks golden questions through the chat engine, scores the answers, and keeps what was paid for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import structlog

from tilores_core.chat.engine import ChatEngine
from tilores_core.contracts import CustomerSource, Prompt, Turn, current_purpose
from tilores_core.errors import ConfigError
from tilores_core.quality.evaluation.asking import Note, QuestionAsker
from tilores_core.quality.evaluation.plan import (
    ANSWER_TOKENS,
    Budget,
    Estimate,
    EvaluationPlan,
    Spending,
    new_run_id,
    price_of,
)
from tilores_core.quality.evaluation.results import AnswerResult, agreement, means, score_table
from tilores_core.quality.questions.golden import HELD_OUT, GoldenQuestion, digest_of, split_of

if TYPE_CHECKING:
    from tilores_core.store.evaluations import Evaluations
    from tilores_core.store.lazy import LazyStore

log = structlog.get_logger(part="quality")

Progress = Callable[[int, int], None]
Row = Mapping[str, Any]
"""Of `AnswerResult`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A run that has ended. `state`: `done`, or `stopped` when the budget was spent before all was asked.

    `results` are ordered by model and question. `resumed`: how many an earlier, interrupted run had finished.
    `calls` and `dollars`: spent by this run alone, the judge's calls included.
    """

    id: str
    state: Literal["done", "stopped"]
    prompt_version: str
    results: tuple[AnswerResult, ...]
    planned: int
    resumed: int
    calls: int
    dollars: float
    seconds: float

    @property
    def errors(self) -> int:
        """Calls that ended without an answer."""
        return sum(result.error is not None for result in self.results)

    def summary(self) -> dict[str, Any]:
        """Means and counts, as the store keeps them; no values of customers."""
        table, kappa = score_table(self.results), agreement(self.results)
        return {
            "scores": means(self.results),
            "weighted": table.weighted,
            "models": {name: cell.mean for name, cell in table.by_model.items()},
            "spectrums": {name: cell.mean for name, cell in table.by_spectrum.items()},
            "answers": len(self.results),
            "planned": self.planned,
            "errors": self.errors,
            "calls": self.calls,
            "dollars": self.dollars,
            "kappa": None if kappa is None else {"value": kappa[0], "answers": kappa[1]},
        }


class Evaluator:
    """Evaluates prompts and models. Used by `tilores evaluate`, by the worker and by what improves prompts.

        evaluator = Evaluator(engine=services.engine, source=services.source, store=services.store)
        run = await evaluator.evaluate(EvaluationPlan(models=models, questions=golden.validation, prompt=prompt))

    `store` None: nothing is kept, and nothing can be resumed. `concurrent`: calls at once. `note`: hears the
    scores of an answer by its run id, for its trace.
    """

    def __init__(
        self,
        *,
        engine: ChatEngine,
        source: CustomerSource,
        store: LazyStore | None = None,
        concurrent: int = 8,
        note: Note = lambda run_id, scores: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._engine = engine
        self._store = store
        self._concurrent = max(1, concurrent)
        self._asker = QuestionAsker(engine, source, note=note, sleep=sleep)

    async def estimate(self, plan: EvaluationPlan, *, resume: bool = True) -> Estimate:
        """What the plan will take, without asking a model. Raises as `evaluate`."""
        prompt = self._prompt(plan)
        finished = {}
        if resume and self._store is not None:
            evaluations = (await self._store.get()).evaluations
            if (run := await evaluations.find_unfinished(plan.digest(prompt.version))) is not None:
                finished = _without_errors(await evaluations.results(run.id))
        left = [(m, q) for q in plan.questions for m in plan.models if (m, q.id) not in finished]
        tokens = dict.fromkeys(plan.models, 0)
        for model, question in left:
            tokens[model] += await self._asker.count_input_tokens(question, prompt)
        calls = {model: sum(one == model for one, _ in left) for model in plan.models}
        prices = {
            model: price_of(self._engine.models.info(model), tokens[model], calls[model] * ANSWER_TOKENS)
            for model in plan.models
        }
        unpriced = tuple(model for model, price in prices.items() if price is None)
        judged = 2 if plan.judge else 1
        return Estimate(
            calls=len(left) * judged,
            finished=len(finished),
            input_tokens=sum(tokens.values()),
            output_tokens=len(left) * ANSWER_TOKENS,
            dollars=None if unpriced else sum(price or 0.0 for price in prices.values()),
            unpriced=unpriced,
        )

    async def evaluate(
        self,
        plan: EvaluationPlan,
        *,
        budget: Budget | None = None,
        progress: Progress | None = None,
        resume: bool = True,
        run_id: str | None = None,
        finished: Iterable[Row] = (),
        keep: Callable[[Iterable[Row]], Awaitable[None]] | None = None,
    ) -> Evaluation:
        """Ask what the plan says, within the budget; `resume`: go on with an interrupted run of the same plan.

        `run_id`: of a run that the store has already; what it has finished is not asked again. `keep`: keeps answers
        instead of a run of the store, and has `finished` these. `progress` gets how many answers there are and how
        many there are to be.
        Raises `ConfigError` for a plan that cannot be run, `UnknownModelError`, `SourceError`, `StoreError`.
        """
        prompt, begun = self._prompt(plan), time.monotonic()
        digest = plan.digest(prompt.version)
        keeps = None if keep is not None or self._store is None else (await self._store.get()).evaluations
        if keeps is not None:
            run_id = await self._begin(keeps, plan, prompt, digest, run_id=run_id, resume=resume)
            finished, keep = await keeps.results(run_id), partial(keeps.add, run_id)
        run_id = run_id or new_run_id()
        known = _without_errors(finished)
        spending = Spending(budget or Budget(), await self._prices(plan, prompt, budget or Budget()))
        results = dict(known)
        work = ((m, q) for q in plan.questions for m in plan.models if (m, q.id) not in known)
        stopped = False
        journal = None if keep is None else _Journal(keep)

        async def ask(pending: Iterator[tuple[str, GoldenQuestion]]) -> None:
            nonlocal stopped
            for model, question in pending:
                if stopped or not spending.take(model):
                    stopped = True
                    return
                result = await self._asker.ask(plan, prompt, model, question, spending)
                if journal is not None:
                    await journal.add(result)
                results[model, question.id] = result
                if progress is not None:
                    progress(len(results), plan.calls)

        token = current_purpose.set(plan.purpose)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(self._concurrent):
                    tasks.create_task(ask(work))
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            current_purpose.reset(token)
        run = Evaluation(
            id=run_id,
            state="stopped" if stopped else "done",
            prompt_version=prompt.version,
            results=tuple(results[key] for key in sorted(results)),
            planned=plan.calls,
            resumed=len(known),
            calls=spending.calls,
            dollars=spending.dollars,
            seconds=time.monotonic() - begun,
        )
        if keeps is not None:
            await keeps.end(run_id, state=run.state, summary=run.summary())
        log.info("quality.evaluated", run=run_id, state=run.state, answers=len(results), errors=run.errors)
        return run

    def digest(self, plan: EvaluationPlan) -> str:
        """Of the plan with the prompt that is in use now: runs that have it are one. Raises as `evaluate`."""
        return plan.digest(self._prompt(plan).version)

    # --- the run -----------------------------------------------------------------------------------------

    def _prompt(self, plan: EvaluationPlan) -> Prompt:
        """The prompt of the whole run, after the plan was checked."""
        if not plan.models or not plan.questions:
            raise ConfigError("there is nothing to evaluate", where="evaluation", fix="name models and questions")
        if plan.purpose == "improvement" and any(split_of(q.customer_id) == HELD_OUT for q in plan.questions):
            raise ConfigError(
                "held-out questions must not be seen by what improves prompts",
                where="evaluation",
                fix="use the training and validation questions of the golden set",
            )
        for model in (*plan.models, *((plan.judge,) if plan.judge else ())):
            self._engine.models.resolve(model)
        turn = Turn(messages=({"role": "user", "content": "?"},), purpose=plan.purpose, prompt=plan.prompt)
        return self._engine.begin(turn).prompt

    @staticmethod
    async def _begin(
        keeps: Evaluations, plan: EvaluationPlan, prompt: Prompt, digest: str, *, run_id: str | None, resume: bool
    ) -> str:
        """The id of the run that is asked for, of an interrupted one of the same digest, or of another one."""
        given: dict[str, Any] = {"digest": digest, "prompt_version": prompt.version, "options": _options(plan)}
        if run_id is not None:
            await keeps.start(run_id, **given)
            return run_id
        run = await keeps.find_unfinished(digest) if resume else None
        return (run or await keeps.begin(new_run_id(), **given)).id

    async def _prices(self, plan: EvaluationPlan, prompt: Prompt, budget: Budget) -> Callable[[str], float | None]:
        """The estimated price of one call by model. Raises `ConfigError` where a budget in money cannot be kept."""
        tokens = await self._asker.count_input_tokens(plan.questions[0], prompt)
        models = (*plan.models, *((plan.judge,) if plan.judge else ()))
        prices = {model: price_of(self._engine.models.info(model), tokens) for model in models}
        unknown = [model for model, price in prices.items() if price is None]
        if budget.dollars is not None and unknown:
            raise ConfigError(
                f"the price of {unknown[0]} is not known, so a budget in money cannot be kept",
                where="evaluation",
                fix="give the model a price in its provider's settings, leave it out, or limit the calls instead",
            )
        return prices.get


class _Journal:
    """Keeps results in groups: a caller that adds one continues when it is kept.

    Callers that come while a group is being written are the next group.
    """

    def __init__(self, keep: Callable[[Iterable[Row]], Awaitable[None]]) -> None:
        self._keep = keep
        self._waiting: list[AnswerResult] = []
        self._writing = asyncio.Lock()

    async def add(self, result: AnswerResult) -> None:
        """Raises `StoreError`."""
        self._waiting.append(result)
        async with self._writing:
            group, self._waiting = self._waiting, []
            if not group:  # the caller before has written it
                return
            try:
                await self._keep([one.row() for one in group])
            except BaseException:
                self._waiting = group + self._waiting  # its other callers write it, or fail as this one
                raise


def _options(plan: EvaluationPlan) -> dict[str, Any]:
    """A plan as listings of runs show it."""
    return {
        "models": sorted(plan.models),
        "questions": len(plan.questions),
        "questions_digest": digest_of(plan.questions),
        "spectrums": sorted({question.spectrum for question in plan.questions}),
        "splits": sorted({split_of(question.customer_id) for question in plan.questions}),
        "seed": plan.seed,
        "purpose": plan.purpose,
        "judge": plan.judge,
    }


def _without_errors(rows: Iterable[Row]) -> dict[tuple[str, str], AnswerResult]:
    """What is not asked again, by model and question."""
    results = [AnswerResult.of_row(row) for row in rows]
    return {(result.model, result.question_id): result for result in results if result.error is None}


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended a run: the first of those that happened at once."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
