"""Whether an answer says that the records do not hold what was asked, or refuses to answer."""

from __future__ import annotations

import re
from typing import Final, Literal

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
