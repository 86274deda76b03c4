"""What an evaluation asks, what it may spend, and what a person asks for by names, as a plan."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from tilores_core.chat.models import Models
from tilores_core.contracts import CustomerSource, ModelInfo, Prompt
from tilores_core.errors import InvalidRequestError
from tilores_core.quality.questions.files import read_questions
from tilores_core.quality.questions.golden import GoldenQuestion, GoldenSet, digest_of
from tilores_core.quality.questions.make import MakeOptions, make_questions
from tilores_core.settings.nearest import suggest

_SCORER: Final = 1
"""Raise it when the same answer comes to be scored otherwise: runs from before are not gone on with."""

Purpose = Literal["evaluation", "improvement"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan:
    """Every question is put to every model.

    `models`: full names. `prompt`: None for the one in use. `seed`: goes to the models that take one; two plans with
    the same seed are paired. `purpose`: `improvement` refuses held-out questions. `judge`: full name of a model that
    grades each answer as well.
    """

    models: tuple[str, ...]
    questions: tuple[GoldenQuestion, ...]
    prompt: Prompt | None = None
    seed: int = 0
    purpose: Purpose = "evaluation"
    judge: str | None = None

    @property
    def calls(self) -> int:
        """How many answers there are to be."""
        return len(self.models) * len(self.questions)

    def digest(self, prompt_version: str) -> str:
        """Hex digits that are the same for plans that would have the same results."""
        template = None if self.prompt is None else (self.prompt.template, sorted(self.prompt.parts.items()))
        what: list[Any] = [
            _SCORER,
            sorted(self.models),
            digest_of(self.questions),
            prompt_version,
            template,
            self.seed,
            self.judge,
        ]
        return hashlib.sha256(orjson.dumps(what)).hexdigest()[:32]


def new_run_id(now: datetime | None = None) -> str:
    """An id that begins with the time, by default this moment."""
    return f"{now or datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"


ANSWER_TOKENS: Final = 80
"""Tokens of an answer, for estimates: two or three short sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Most model calls and most US dollars; None: no limit. Calls that a run before has paid for do not count."""

    calls: int | None = None
    dollars: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What an evaluation will cost. `dollars`: None when the price of a model is not known (`unpriced`)."""

    calls: int
    finished: int
    input_tokens: int
    output_tokens: int
    dollars: float | None
    unpriced: tuple[str, ...] = ()


class Spending:
    """Counts what a run spends, with a reserve for the calls that are under way."""

    def __init__(self, budget: Budget, price: Callable[[str], float | None]) -> None:
        self._budget = budget
        self._price = price
        self.calls = 0
        self.dollars = 0.0
        self._reserved = 0.0

    def take(self, model: str) -> bool:
        """Whether one more call may begin; it is counted then, with its estimated price."""
        price = self._price(model) or 0.0
        if self._budget.calls is not None and self.calls >= self._budget.calls:
            return False
        if self._budget.dollars is not None and self.dollars + self._reserved + price > self._budget.dollars:
            return False
        self.calls += 1
        self._reserved += price
        return True

    def settle(self, model: str, cost: float | None) -> None:
        """A call has ended, at a cost that is known, or else at its estimated price."""
        price = self._price(model) or 0.0
        self._reserved -= price
        self.dollars += price if cost is None else cost


def price_of(info: ModelInfo | None, input_tokens: int, output_tokens: int = ANSWER_TOKENS) -> float | None:
    """US dollars of one call; None where no price is known."""
    if info is None or info.input_price is None or info.output_price is None:
        return None
    return (input_tokens * info.input_price + output_tokens * info.output_price) / 1_000_000


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
    prompt: Prompt | None,
    questions: Path | None = None,
) -> EvaluationPlan:
    """The plan. `prompt`: the one that the request names. `questions`: a file of golden questions instead of those
    made of the source.

    Raises `ConfigError`, `UnknownModelError`, `InvalidRequestError` for a spectrum without questions, `SourceError`.
    """
    names = tuple(models.resolve(name) for name in request.models) or default_models(models.listing())
    judge = None if request.judge is None else models.resolve(request.judge)
    await models.require(*names, *(() if judge is None else (judge,)))
    return EvaluationPlan(
        models=names,
        questions=_choose(request, await _golden(request, source, questions), own=questions is not None),
        prompt=prompt,
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


def default_models(listing: Iterable[tuple[str, ModelInfo]]) -> tuple[str, ...]:
    """The full names of seven models at most, for when none are named.

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
    return tuple(real.values())[:_MOST_MODELS] or tuple(simulated[-_MOST_MODELS:])
