"""Whether an answer is fit to be read out on the phone, and whether it says that the records do not hold it."""

from __future__ import annotations

import re
from typing import Final, Literal

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


Abstention = Literal["no", "refusal", "yes"]

_RECORDS: Final = r"(?:records?|files?|data|system|systems|information|details|notes)"
_ABSTAINS = re.compile(
    rf"\b{_RECORDS}\b[^.;!?]{{0,60}}\b(?:do|does|did)(?: not|n['’]t)\b[^.;!?]{{0,20}}\b(?:hold|have|contain|include|"
    rf"show|list|say|mention|give|state|cover|tell|specify|indicate)\b"
    rf"|\b(?:not|n['’]t|nothing|never)\b[^.;!?]{{0,40}}\b(?:in|on|from|by)\b[^.;!?]{{0,25}}\b{_RECORDS}\b"
    rf"|\b(?:no|without) (?:\w+ ){{0,4}}?(?:records?|information|data|entry|details|mention|value)\b"
    r"(?: (?:of|on|for|about|in|is|are|was|exists?|available|found)\b|[.,;!?]|$)"
    rf"|\b(?:do|does|did|could|can) ?(?:not|n['’]t) (?:have|find|see|hold)\b"
    rf"|\b(?:cannot|can['’]t|couldn['’]t|could not|unable to) (?:find|see|locate|confirm|tell|say|determine|answer)\b"
    r"|\b(?:is|are|was|were)(?: not|n['’]t) (?:listed|recorded|available|on file|on record|known|held|stored|given|"
    r"documented|specified|there|in there)\b"
    r"|\bnot (?:on file|on record|available|recorded|listed|known)\b|\bunknown\b"
    r"|\b(?:i|we) (?:do not|don['’]t) know\b|\bso i leave it out\b",
    re.IGNORECASE,
)
_REFUSES = re.compile(
    r"\b(?:cannot|can['’]t|can not|won['’]t|will not|unable to|not able to|not allowed to|must not|may not)\b"
    r"[^.;!?]{0,30}\b(?:share|help|disclose|reveal|provide|discuss|give|assist|answer|do that)\b"
    r"|\bi['’]?m sorry,? but i (?:can|am unable)|\bas an ai\b",
    re.IGNORECASE,
)


def abstention(text: str) -> Abstention:
    """Say in which way a text abstains. `yes`: the text says that the records do not hold something; `refusal`: it
    only declines to answer."""
    if _ABSTAINS.search(text):
        return "yes"
    return "refusal" if _REFUSES.search(text) else "no"
