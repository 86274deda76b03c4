"""The seven simulated models with a weakness each, which instructions mend.

Otherwise they read instructions and records as simulated-1 does (see `habits`). Whether a weakness shows in an answer
is decided by a number in [0, 1) that the SHA-256 of seed, model, question and customer's id gives: it shows where
that is below the weakness's rate, 0.85. An instruction that helps lowers the rate to 0.4, one that mends it to 0.03.
The number does not depend on the prompt, so that two prompts are compared on the same draws.

| model | what it does wrong | an instruction that helps | one that mends it |
| --- | --- | --- | --- |
| simulated-rounding | rounds figures | "give exact values" | "copy every digit", "never round" |
| simulated-outdated | gives a former value as the present one | "the newest first" | "compare the dates of values" |
| simulated-guessing | answers from a nearby field, or invents | "do not guess" | "if no such field exists, say so" |
| simulated-partial | leaves out the second half | "be complete" | "answer every part", "list all items" |
| simulated-unasked | adds fields that were not asked for | "be brief" | "give only what was asked for" |
| simulated-units | confuses units and currencies | "mind the units" | "give each figure with its unit" |
| simulated-verbose | writes long answers with markup | "short sentences", "no markup" | "at most two sentences" |
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

# A line break ends a sentence only where something new begins: prompts are often wrapped in mid-sentence.
_SENTENCE = re.compile(r"[.;:!?]+|\n(?=\s*(?:\n|[-*•\d]|[A-Z]))")
_NEGATION = re.compile(r"\b(?:do not|don't|never|not|without)\b")

Fault = Literal["rounding", "outdated", "guessing", "partial", "unasked", "units", "verbose"]

RATE: Final = 0.85
HELPED: Final = 0.4
MENDED: Final = 0.03
PREFIX: Final = "simulated-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weakness:
    """A weakness of a simulated model, and the instructions that mend it.

    `helps` and `mends`: patterns of instructions, found in one sentence of the prompt's own text in lower case.
    """

    fault: Fault
    helps: re.Pattern[str]
    mends: re.Pattern[str]

    def rate(self, instructions: str) -> float:
        """In which share of the answers it shows."""
        if is_asked(self.mends, instructions):
            return MENDED
        return HELPED if is_asked(self.helps, instructions) else RATE


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.DOTALL)


_NOT: Final = r"\b(?:do not|don't|never|not|without)"
_BRIEF: Final = r"\b(?:short|brief(?:ly)?|concise(?:ly)?)\b"
_ALL: Final = (
    Weakness(
        fault="rounding",
        helps=_any(r"\bexact(?:ly)?\b", r"\bverbatim\b", r"\bas (?:it is|they are) written\b", r"\bprecise(?:ly)?\b"),
        mends=_any(
            rf"{_NOT} round",
            r"\b(?:every|each|all)(?: of)?(?: the| its| their)? (?:digits?|decimals?)\b",
            r"\bdigit (?:by|for) digit\b",
            r"\bto the (?:cent|last digit)\b",
            rf"{_NOT} shorten (?:figures|numbers)\b",
        ),
    ),
    Weakness(
        fault="outdated",
        helps=_any(r"\bnewest\b", r"\b(?:disagree|conflict|contradict)", r"\bpresent\b", r"\bout(?:-of-| of )?date"),
        mends=_any(
            r"\b(?:compare|check|look at|mind|heed)\b.*\bdates?\b",
            r"\b(?:latest|most recent) (?:date|value|record|update)",
            rf"{_NOT} (?:give|state|use|report|quote)\b.*\b(?:former|previous|old|older|outdated|past)\b",
            r"\bonly (?:the )?(?:current|present|newest|latest)\b",
        ),
    ),
    Weakness(
        fault="guessing",
        helps=_any(
            rf"{_NOT} (?:guess|invent|assume|make up)\b", r"\bonly (?:from|with|using|what|on)\b.*\brecords?\b"
        ),
        mends=_any(
            r"\bno (?:such )?field\b",
            rf"{_NOT}\b.*\b(?:nearby|nearest|similar|related|another|other) (?:field|value)",
            r"\b(?:just|exactly) (?:that|this|the) (?:name|field)\b",
            r"\b(?:not|isn't|missing) (?:in|from) the records\b.*\bsay\b",
            r"\bsay\b.*\b(?:not|isn't|missing) (?:in|from) the records\b",
        ),
    ),
    Weakness(
        fault="partial",
        helps=_any(
            r"\bcomplete(?:ly|ness)?\b",
            r"\bexhaustive",
            r"\b(?:all|every)\b(?: the| of the)? (?:matching|relevant|related|fitting)\b",
        ),
        mends=_any(
            r"\b(?:every|each|all|both)(?: of)?(?: the)? (?:parts?|questions?|items?|entries|things?|points?)\b",
            r"\bleave (?:nothing|no \w+) out\b",
            r"\b(?:whole|full|entire) list\b",
            r"\bseveral (?:things|questions|parts)\b",
        ),
    ),
    Weakness(
        fault="unasked",
        helps=_any(_BRIEF, r"\bto the point\b"),
        mends=_any(
            r"\bonly (?:to )?(?:what|the (?:fact|value|field|question)s?|that)\b.*\b(?:asked|requested|question)\b",
            rf"(?:{_NOT}|\b(?:nothing|no))\b.*\b(?:not asked|was not asked|unasked|beyond the question)\b",
            rf"(?:{_NOT}|\b(?:nothing|no))\b.*\b(?:extra|additional|further|other) (?:facts|values|fields|details)\b",
            r"\banswer (?:just|only) (?:the|what)",
        ),
    ),
    Weakness(
        fault="units",
        helps=_any(r"\bunits?\b", r"\bcurrenc(?:y|ies)\b"),
        mends=_any(
            r"\b(?:with|give|state|name|keep|include|add|say|copy)\b.*"
            r"\b(?:its|the|their|same|right|each|every) (?:\w+ and )?(?:units?|currency)\b",
            rf"{_NOT} (?:convert|change)\b.*\b(?:units?|currenc|figures|values)",
        ),
    ),
    Weakness(
        fault="verbose",
        helps=_any(_BRIEF, r"\b(?:without|no)\b.*\b(?:markup|markdown|lists?|headings?)\b"),
        mends=_any(
            r"\b(?:at most|no more than|not more than|up to|in|within|fewer than|maximum(?: of)?)\b.{0,12}"
            r"\b(?:one|two|three|four|a single|\d+) (?:short |plain )?(?:sentences?|words|lines?)\b",
            r"\bone (?:short )?sentence\b",
            r"\b(?:no|without|skip|omit|never use)\b.*\b(?:introduction|preamble|(?:opening|closing) phrase|filler)",
        ),
    ),
)
WEAKNESSES: Final = {f"{PREFIX}{weakness.fault}": weakness for weakness in _ALL}
"""By the name of the model."""


def fault_of(model: str, instructions: str, question: str, customer_id: str, seed: int) -> Fault | None:
    """The weakness of `model` where it shows in the answer to this question, else None."""
    weakness = WEAKNESSES.get(model)
    if weakness is None:
        return None
    return weakness.fault if draw(seed, model, question, customer_id) < _rate(model, instructions) else None


def draw(*what: object) -> float:
    """A number in [0, 1) that depends on nothing else."""
    digest = hashlib.sha256("|".join(map(str, what)).encode()).digest()
    return int.from_bytes(digest[:7]) / (1 << 56)


@lru_cache(maxsize=512)
def _rate(model: str, instructions: str) -> float:
    return WEAKNESSES[model].rate(instructions)


def is_asked(pattern: re.Pattern[str], instructions: str) -> bool:
    """Whether a sentence of the instructions has the pattern, in lower case, and does not negate it."""
    return any(_asks(pattern, line) for line in _sentences(instructions))


@lru_cache(maxsize=64)
def _sentences(instructions: str) -> tuple[str, ...]:
    return tuple(part.lower() for part in _SENTENCE.split(instructions))


def _asks(pattern: re.Pattern[str], sentence: str) -> bool:
    match = pattern.search(sentence)
    return match is not None and _NEGATION.search(sentence, 0, match.start()) is None
