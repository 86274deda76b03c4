"""Whether an answer is fit to be read out on the phone."""

from __future__ import annotations

import re
from typing import Final

from tilores_core.chat.routing.sentences import Sentences

_MARKUP = re.compile(
    r"\*\*|__\w|^\s{0,3}#{1,6}\s|^\s{0,3}(?:[-*+•]|\d{1,2}[.)])\s+\S|`|^\s*\|.*\||\[[^\]]+\]\([^)]+\)|</?[a-z][a-z0-9]*>",
    re.MULTILINE | re.IGNORECASE,
)
_WORDS_PER_ANSWER: Final = 40
WORDS_PER_FACT: Final = 20
_WORDS_PER_SENTENCE: Final = 30
_LONGEST_SENTENCE: Final = 2_000
_LONG_WORD: Final = 12


def format_score(text: str, *, facts: int, asked: int, unasked: int) -> float:
    """The mean of four checks, each in [0, 1].

    No markup (1 or 0); not more than 40 words plus 20 per fact asked for, falling to 0 at twice as many; sentences of
    30 words at most on average, falling to 0 at twice as many; and the share of the stated values that were asked
    for.
    """
    words = max(len(text.split()), len(text) // _LONG_WORD)  # a text without blanks is not one word
    longest = _WORDS_PER_ANSWER + WORDS_PER_FACT * max(1, facts)
    sentences = Sentences(_LONGEST_SENTENCE)
    count = sum(1 for sentence in [*sentences.feed(text), sentences.rest()] if sentence.strip()) or 1
    checks = (
        0.0 if _MARKUP.search(text) else 1.0,
        _within(words, longest),
        _within(words / count, _WORDS_PER_SENTENCE),
        asked / (asked + unasked) if asked + unasked else 1.0,
    )
    return sum(checks) / len(checks)


def _within(value: float, limit: float) -> float:
    return max(0.0, min(1.0, 2.0 - value / limit))
