"""What an evaluation asks: models, questions, prompt and seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from tilores_core.contracts import Prompt
from tilores_core.quality.questions.splits import digest_of
from tilores_core.quality.scoring import GoldenQuestion

_SCORER: Final = (
    1  # raise it when the same answer comes to be scored otherwise: runs from before are not gone on with
)
Purpose = Literal["evaluation", "improvement"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan:
    """Every question is put to every model.

    `models`: full names. `prompt`: None for the one in use. `seed`: goes to the models that take one; two plans with
    the same seed are paired. `purpose`: `improvement` refuses held-out questions. `judge`: full name of a model that
    grades each answer as well. `label`: what the run is for, shown in listings.
    """

    models: tuple[str, ...]
    questions: tuple[GoldenQuestion, ...]
    prompt: Prompt | None = None
    seed: int = 0
    purpose: Purpose = "evaluation"
    judge: str | None = None
    label: str = ""

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
