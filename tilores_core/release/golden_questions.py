"""The golden questions of the check before a deployment: made from the customer source, asked through the engine.

Two sets: the held-out questions, which nothing that improves prompts has seen, and those about the customers of
`[prompts] golden_customers`; by default that is Edwina Hawthorne, where the source has her.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from tilores_core.chat.engine import ChatEngine
from tilores_core.contracts import CustomerSource, Prompt
from tilores_core.errors import ConfigError, ProviderUnavailableError
from tilores_core.release.prompt_checks import PromptCase, PromptEvaluation
from tilores_core.statistics import average

if TYPE_CHECKING:
    from tilores_core.quality.questions.golden import GoldenQuestion

CUSTOMERS: Final = 15
PER_SPECTRUM: Final = 5
_MOST_UNANSWERED: Final = 0.05


async def prompt_cases(source: CustomerSource, questions: Iterable[GoldenQuestion]) -> list[PromptCase]:
    """The questions with their customers. Raises `SourceError`."""
    asked = list(questions)
    customers = {one: await source.get(one) for one in dict.fromkeys(question.customer_id for question in asked)}
    return [PromptCase(question=question.text, customer=customers[question.customer_id]) for question in asked]


class GoldenQuestions:
    """A `PromptEvaluator`. The questions are made when first needed and kept; the same records give the same ones.

    What makes and asks them is imported then: a server does not pay for it at its start.
    """

    def __init__(self, engine: ChatEngine, source: CustomerSource, customers: Sequence[str]) -> None:
        self._engine = engine
        self._source = source
        self._customers = tuple(customers)
        self._sets: Mapping[str, tuple[GoldenQuestion, ...]] | None = None
        self._making = asyncio.Lock()

    async def cases(self) -> Sequence[PromptCase]:
        questions = [question for asked in (await self._make()).values() for question in asked]
        return await prompt_cases(self._source, questions)

    async def evaluate_prompt(self, prompt: Prompt, model: str | None = None) -> PromptEvaluation:
        from tilores_core.quality.evaluation import EvaluationPlan, Evaluator

        sets = await self._make()
        plan = EvaluationPlan(
            models=(model or self._engine.models.default,),
            questions=tuple({question.id: question for asked in sets.values() for question in asked}.values()),
            prompt=prompt,
        )
        run = await Evaluator(engine=self._engine, source=self._source).evaluate(plan)
        unanswered = sum(result.scores is None for result in run.results)
        if unanswered > _MOST_UNANSWERED * len(run.results):  # which says nothing of the prompt
            raise ProviderUnavailableError(
                f"{unanswered} of {len(run.results)} golden questions got no answer",
                provider=plan.models[0].partition(":")[0],
                fix="try again when the model answers",
            )
        # Of the few others, a call that got no answer counts as a wrong one.
        scores = {result.question_id: result.scores.overall if result.scores else 0.0 for result in run.results}
        return PromptEvaluation(
            score=average([*scores.values()]),
            questions=len(scores),
            by_set={name: average([scores[question.id] for question in asked]) for name, asked in sets.items()},
        )

    async def _make(self) -> Mapping[str, tuple[GoldenQuestion, ...]]:
        from tilores_core.quality.questions.make import MakeOptions, make_questions

        options = MakeOptions(customers=CUSTOMERS, per_spectrum=PER_SPECTRUM)
        async with self._making:
            if self._sets is None:
                sets = {"held_out": (await make_questions(self._source, options)).held_out()}
                known = [
                    customer_id for customer_id in self._customers if await self._source.get(customer_id) is not None
                ]
                if known:
                    made = await make_questions(self._source, options, ids=known)
                    sets["golden_customers"] = (*made.training, *made.validation, *made.held_out())
                self._sets = {name: asked for name, asked in sets.items() if asked}
        if not self._sets:
            raise ConfigError("there are no golden questions", where="[use] source", fix="check the customer source")
        return self._sets
