"""Golden questions: a question about one customer, the facts that a right answer holds, and sets split by customer.

The limits and checks are those of questions in files (`quality.questions.files`); others are made without them.

What improves prompts sees training and validation questions alone. A `GoldenSet` hands out those; the held-out part
is reached only by `held_out()`, which nothing that improves prompts calls, and evaluations made to improve refuse it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from tilores_core.identity import normalise_email, parse_date
from tilores_core.quality.scoring.numbers import UNITS

FactKind = Literal["number", "date", "phone", "email", "code", "text", "boolean"]
ForbiddenReason = Literal["other_customer", "outdated", "wrong"]
Split = Literal["training", "validation", "held-out"]
SPLITS: Final[tuple[Split, ...]] = ("training", "validation", "held-out")
HELD_OUT: Final = "held-out"
_THIRD: Final = 3
_CURRENCY: Final = re.compile("[A-Z]{3}")
"""The code of a currency, which records may give to any of their amounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One value of a customer's records.

    `value`: as text; numbers with a decimal point and without separators, dates as `YYYY-MM-DD` or `YYYY-MM`,
    booleans as `true` or `false`. `spellings`: other texts that state the same. `unit`: of a number, one of
    `numbers.UNITS` ("USD", "percent", "second", …) or "" when it has none. `tolerance`: how far a number may lie from
    `value` and still be exact, in the unit of the value.
    `reason`: only of facts that an answer must not state: the value is another customer's, outdated, or simply
    not what was asked for.
    `disputed`: sources disagree on it, so a right answer may call it uncertain.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    field: Annotated[str, Field(min_length=1, max_length=200)]
    value: str
    kind: FactKind = "text"
    spellings: Annotated[tuple[str, ...], Field(max_length=50)] = ()
    unit: str = ""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    reason: ForbiddenReason = "wrong"
    disputed: bool = False

    @model_validator(mode="before")
    @classmethod
    def _with_kind(cls, row: Any) -> Any:
        """A kind that is left out follows from the value."""
        return {"kind": _kind_of(row.get("value")), **row} if isinstance(row, Mapping) else row

    @field_validator("value", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        if isinstance(value, float) and not isfinite(value):
            raise ValueError("a number must be finite")
        if isinstance(value, bool):
            return "true" if value else "false"
        if hasattr(value, "isoformat"):  # YAML reads 2025-06-15 as a date
            return value.isoformat()
        return str(value).strip() if isinstance(value, int | float | str) else value

    @model_validator(mode="after")
    def _fits(self) -> Fact:
        if self.unit and self.unit not in UNITS and not _CURRENCY.fullmatch(self.unit):
            raise ValueError(f"unit must be a currency's code or one of {', '.join(sorted(UNITS))}")
        if self.kind == "number":
            try:
                is_number = isfinite(float(self.value))
            except ValueError:
                is_number = False
            if not is_number:
                raise ValueError("a number must be written as 1234.5, without separators")
        return self


def _kind_of(value: Any) -> FactKind:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    if len(text) == 10 and parse_date(text) == text:
        return "date"
    return "email" if "@" in text and normalise_email(text) else "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenQuestion:
    """A question whose right answer is known.

    `facts`: what a complete answer states; empty when the records do not hold what is asked (`answerable` is False):
    then a right answer says so. `forbidden`: what no answer may state as true now. `origin`: `template`, `written` or
    `feedback`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", hide_input_in_errors=True, validate_by_name=True)

    id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S+$")]
    customer_id: Annotated[str, Field(alias="customer", min_length=1, max_length=200)]
    spectrum: Annotated[str, Field(min_length=1, max_length=60)]
    text: Annotated[str, Field(min_length=1, max_length=4_000)]
    facts: Annotated[tuple[Fact, ...], Field(max_length=50)] = ()
    forbidden: Annotated[tuple[Fact, ...], Field(max_length=50)] = ()
    answerable: bool = True
    origin: Literal["template", "written", "feedback"] = "written"

    @field_validator("origin", mode="before")
    @classmethod
    def _known_origin(cls, origin: Any) -> Any:
        return origin if origin in ("template", "feedback") else "written"

    @model_validator(mode="after")
    def _has_facts(self) -> GoldenQuestion:
        if self.answerable != bool(self.facts):
            raise ValueError("a question has facts, or else answerable: false")
        return self


def split_of(customer_id: str) -> Split:
    """The split of a customer: a third each, by the SHA-256 of the id, so that it never changes."""
    digest = hashlib.sha256(f"tilores split {customer_id}".encode()).digest()
    return SPLITS[int.from_bytes(digest[:8]) % _THIRD]


class GoldenSet:
    """Golden questions by split."""

    def __init__(self, questions: Iterable[GoldenQuestion]) -> None:
        self._by_split: dict[str, tuple[GoldenQuestion, ...]] = dict.fromkeys(SPLITS, ())
        for question in sorted(questions, key=lambda question: question.id):
            self._by_split[split_of(question.customer_id)] += (question,)

    @property
    def training(self) -> tuple[GoldenQuestion, ...]:
        """What an improver learns from: its errors may be shown to a model."""
        return self._by_split["training"]

    @property
    def validation(self) -> tuple[GoldenQuestion, ...]:
        """What candidates are compared on."""
        return self._by_split["validation"]

    def held_out(self) -> tuple[GoldenQuestion, ...]:
        """What decides in the end. For evaluations by people and for the gate of a release, never for improvers."""
        return self._by_split[HELD_OUT]

    @property
    def sizes(self) -> dict[str, int]:
        """How many questions each split has."""
        return {split: len(questions) for split, questions in self._by_split.items()}

    @property
    def digest(self) -> str:
        """16 hex digits that change with any question."""
        return digest_of([question for split in SPLITS for question in self._by_split[split]])


def digest_of(questions: Sequence[GoldenQuestion]) -> str:
    """16 hex digits that change with any of the questions or their order."""
    return hashlib.sha256("\n".join(map(repr, questions)).encode()).hexdigest()[:16]
