"""Golden questions: a question about one customer, and the facts that a right answer holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FactKind = Literal["number", "date", "phone", "email", "code", "text", "boolean"]
ForbiddenReason = Literal["other_customer", "outdated", "wrong"]


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

    field: str
    value: str
    kind: FactKind = "text"
    spellings: tuple[str, ...] = ()
    unit: str = ""
    tolerance: float = 0.0
    reason: ForbiddenReason = "wrong"
    disputed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenQuestion:
    """A question whose right answer is known.

    `facts`: what a complete answer states; empty when the records do not hold what is asked (`answerable` is False):
    then a right answer says so. `forbidden`: what no answer may state as true now. `origin`: `template`, `written` or
    `feedback`.
    """

    id: str
    customer_id: str
    spectrum: str
    text: str
    facts: tuple[Fact, ...] = ()
    forbidden: tuple[Fact, ...] = ()
    answerable: bool = True
    origin: Literal["template", "written", "feedback"] = "written"
