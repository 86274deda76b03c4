"""What a cycle is made of: what is asked for, questions, evaluators, the reflection model."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter

from tilores_core.chat.engine import ChatEngine
from tilores_core.contracts import AlertSink, CustomerSource, NoAlerts, OptimizerStrategy
from tilores_core.errors import ConfigError, ProviderError
from tilores_core.improve.analysis import mask_questions
from tilores_core.improve.decision import AutomatedImprovementDeployment, Thresholds
from tilores_core.improve.journal import CycleBudget, ModelReply
from tilores_core.quality.questions.golden import GoldenQuestion, GoldenSet
from tilores_core.quality.questions.make import MakeOptions, make_questions
from tilores_core.release.golden_questions import prompt_cases
from tilores_core.release.prompt_checks import PromptCase

if TYPE_CHECKING:
    from tilores_core.store.lazy import LazyStore

_CUSTOMERS_PER_QUESTION: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleRequest:
    """What a cycle is to do. `parts`: the present prompt, of version `number`. `spectrums`: training questions of
    these alone; empty: all. `automatic`: a decision to deploy begins a guarded roll-out."""

    strategy: str
    models: tuple[str, ...]
    parts: Mapping[str, str]
    number: int = 1
    spectrums: tuple[str, ...] = ()
    seed: int = 1
    per_spectrum: int = 6
    automatic: bool = True
    budget: CycleBudget = field(default_factory=CycleBudget)
    thresholds: Thresholds = field(default_factory=Thresholds)
    reason: str = ""
    mock: bool = False

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> CycleRequest:
        """From `asdict` of one, as the store has it."""
        return TypeAdapter(cls).validate_python(state)


@dataclass(frozen=True, slots=True)
class CycleQuestions:
    """The golden questions of a cycle. `training`: of the spectrums that it is about; `texts`: masked, by id."""

    golden: GoldenSet
    training: tuple[GoldenQuestion, ...]
    texts: Mapping[str, str]
    forbidden: Sequence[PromptCase]

    @property
    def sizes(self) -> dict[str, int]:
        return {**self.golden.sizes, "training": len(self.training)}

    @property
    def answerable(self) -> dict[str, bool]:
        asked = (*self.golden.training, *self.golden.validation, *self.golden.held_out())
        return {question.id: question.answerable for question in asked}

    def held_out(self, seed: int) -> list[GoldenQuestion]:
        """In an order that mixes the spectrums, so that an early look is one at all of them."""
        questions = list(self.golden.held_out())
        random.Random(seed).shuffle(questions)  # noqa: S311 - the order of questions
        return questions


@dataclass(kw_only=True)
class CycleParts:
    """What the cycles of a process work with.

    `strategy_of`: builds a strategy by name; raises `ConfigError`. `max_tokens`: longest prompt. `ask`: what is asked
    instead of `reflection_model`. `concurrent`: calls at once.
    """

    engine: ChatEngine
    source: CustomerSource
    store: LazyStore
    strategy_of: Callable[[str], OptimizerStrategy]
    deployment: AutomatedImprovementDeployment
    max_tokens: int
    reflection_model: str | None = None
    ask: Callable[[str], Awaitable[ModelReply]] | None = None
    concurrent: int = 8
    alerts: AlertSink = field(default_factory=NoAlerts)

    def __post_init__(self) -> None:
        if self.ask is None and self.reflection_model is not None:
            self.ask = self._ask_model

    async def ground(self, request: CycleRequest) -> CycleQuestions:
        """The questions of a request: made of the source's records, others for each seed. Raises as
        `make_questions`."""
        options = MakeOptions(
            customers=max(12, _CUSTOMERS_PER_QUESTION * request.per_spectrum),
            per_spectrum=request.per_spectrum,
            seed=request.seed,
        )
        golden = await make_questions(self.source, options)
        wanted = set(request.spectrums)
        training = tuple(one for one in golden.training if not wanted or one.spectrum in wanted)
        if not training:
            raise ConfigError(
                "there are no training questions of these spectrums", where="improve", fix="name other spectrums"
            )
        asked = (*golden.training, *golden.validation, *golden.held_out())
        texts = await mask_questions(self.source, training)
        return CycleQuestions(golden, training, texts, await prompt_cases(self.source, asked))

    async def _ask_model(self, prompt: str) -> ModelReply:
        models, name = self.engine.models, self.engine.models.resolve(self.reflection_model)
        provider = models.provider(name)
        try:
            said = await models.ask(name, [{"role": "user", "content": prompt}], {})
        except Exception as error:
            mapped = provider.map_error(error)
            if isinstance(mapped, ProviderError):
                raise mapped from None
            raise ProviderError(
                f"the reflection model failed: {type(mapped).__name__}", provider=name.partition(":")[0]
            ) from None
        usage = said.usage
        return ModelReply(
            text=said.text,
            tokens=usage.input_tokens + usage.output_tokens,
            dollars=models.cost_of(name, said) or 0.0,
        )
