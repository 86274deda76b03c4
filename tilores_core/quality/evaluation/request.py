"""What a person asks for, by names, as a plan: from the command line, or over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tilores_core.chat.models import Models
from tilores_core.contracts import CustomerSource, ModelInfo, Prompt
from tilores_core.errors import InvalidRequestError
from tilores_core.quality.evaluation.budget import Budget
from tilores_core.quality.evaluation.plan import EvaluationPlan
from tilores_core.quality.questions import GoldenSet, MakeOptions, make_questions
from tilores_core.quality.questions.files import read_questions
from tilores_core.quality.scoring import GoldenQuestion
from tilores_core.settings.nearest import suggest

PromptOf = Callable[[str], Awaitable[Prompt]]
"""The prompt of a version's number or label."""

_Name = Annotated[str, Field(min_length=1, max_length=200)]
_FEWEST_CUSTOMERS = 12
_MOST_MODELS = 7


class EvaluationRequest(BaseModel):
    """An evaluation as it is asked for; what is left out has the default of `tilores evaluate`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: Annotated[tuple[_Name, ...], Field(max_length=50, description="full names")] = ()
    spectrums: Annotated[tuple[_Name, ...], Field(max_length=100, description="of these alone")] = ()
    per_spectrum: Annotated[
        int | None, Field(strict=True, ge=1, le=500, description="questions of each spectrum")
    ] = None
    split: Annotated[Literal["training", "validation", "held-out"], Field(description="which customers")] = (
        "validation"
    )
    prompt: Annotated[_Name | None, Field(description="number or label of a prompt version")] = None
    judge: Annotated[_Name | None, Field(description="a model that grades the answers as well")] = None
    seed: Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31, description="runs of one seed are paired")] = 0
    compare: Annotated[_Name | None, Field(description="id of a run to compare with, or last")] = None
    alerts: Annotated[bool, Field(strict=True, description="raise alerts for what is below its level, or fell")] = (
        True
    )
    max_calls: Annotated[int | None, Field(strict=True, ge=1, description="most model calls")] = None
    max_dollars: Annotated[float | None, Field(ge=0, strict=True, description="most US dollars")] = None

    @property
    def budget(self) -> Budget:
        return Budget(calls=self.max_calls, dollars=self.max_dollars)


async def build_plan(
    request: EvaluationRequest,
    *,
    source: CustomerSource,
    models: Models,
    prompt_of: PromptOf,
    questions: Path | None = None,
) -> EvaluationPlan:
    """The plan; `questions`: a file of golden questions instead of those made of the source.

    Raises `ConfigError`, `UnknownModelError`, `InvalidRequestError` for a spectrum without questions, `SourceError`.
    """
    names = tuple(models.resolve(name) for name in request.models) or default_models(models.listing())[0]
    judge = None if request.judge is None else models.resolve(request.judge)
    await models.require(*names, *(() if judge is None else (judge,)))
    golden = await _golden(request, source, questions)
    return EvaluationPlan(
        models=names,
        questions=_choose(request, golden, own=questions is not None),
        prompt=None if request.prompt is None else await prompt_of(request.prompt),
        seed=request.seed,
        judge=judge,
    )


async def _golden(request: EvaluationRequest, source: CustomerSource, questions: Path | None) -> GoldenSet:
    if questions is not None:
        return read_questions(questions)
    options = MakeOptions()
    if request.per_spectrum is not None:
        few = max(_FEWEST_CUSTOMERS, 6 * request.per_spectrum)  # a few questions need no more customers
        options = MakeOptions(per_spectrum=request.per_spectrum, customers=min(options.customers, few))
    return await make_questions(source, options)


def _choose(request: EvaluationRequest, golden: GoldenSet, *, own: bool) -> tuple[GoldenQuestion, ...]:
    parts = {"training": golden.training, "validation": golden.validation}
    questions = golden.held_out() if request.split == "held-out" else parts[request.split]
    known = {question.spectrum for question in questions}
    for name in request.spectrums:
        if name not in known:
            raise InvalidRequestError(
                f"no question has the spectrum '{name}'", param="spectrums", fix=suggest(name, sorted(known))
            )
    taken: dict[str, int] = {}
    chosen: list[GoldenQuestion] = []
    for question in questions:
        if request.spectrums and question.spectrum not in request.spectrums:
            continue
        taken[question.spectrum] = taken.get(question.spectrum, 0) + 1
        if not own or request.per_spectrum is None or taken[question.spectrum] <= request.per_spectrum:
            chosen.append(question)
    return tuple(chosen)


def default_models(listing: Iterable[tuple[str, ModelInfo]]) -> tuple[tuple[str, ...], bool]:
    """The full names of seven models at most, for when none are named, and whether they are simulated.

    One per provider that can be used: the first that it lists. Where none can, as there are no keys, the simulated
    ones that have a weakness each, in the order in which they are listed.
    """
    real: dict[str, str] = {}
    simulated: list[str] = []
    for provider, info in listing:
        if info.unavailable is not None:
            continue
        name = f"{provider}:{info.id}"
        if info.simulated:
            simulated.append(name)
        else:
            real.setdefault(provider, name)
    if real:
        return tuple(real.values())[:_MOST_MODELS], False
    return tuple(simulated[-_MOST_MODELS:]), True
