"""A text as words, and what the words before a name say about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from tilores_core.chat.customer.words import TITLES

_WORD = re.compile(r"[^\W\d_]+(?:['’ʼ\-‐‑][^\W\d_]+)*")
_APOSTROPHES = ("'", "’", "ʼ")
_GAP = re.compile(r"[ \t\u00a0\u202f]{1,3}|\.[ \t\u00a0]?")
_SENTENCE_END = re.compile(r"[.!?:;\n]")

Cue = Literal["title", "certain", "customer", "switch", "speaker"]
"""`certain` and `customer` say that a name follows, the second less surely; `switch` is "what about"."""

# The last one or two words before the name.
_CUES: dict[tuple[str, ...], Cue] = {
    ("name", "is"): "speaker",
    ("this", "is"): "speaker",
    ("i", "am"): "speaker",
    ("i'm",): "speaker",
    ("i’m",): "speaker",
    ("named",): "certain",
    ("name",): "certain",
    ("name", "of"): "certain",
    ("account", "holder"): "certain",
    ("what", "about"): "switch",
    ("how", "about"): "switch",
    ("switch", "to"): "switch",
    ("customer",): "customer",
    ("client",): "customer",
    ("caller",): "customer",
    ("customer", "is"): "customer",
    ("client", "is"): "customer",
    ("called",): "customer",
}
_WIDEST_CUE_GAP = 4  # "name: ", "customer - "


class Word(NamedTuple):
    """A word without its possessive; `joined` when only a space parts it from the word before."""

    text: str
    low: str
    start: int
    end: int
    owner: bool
    capital: bool
    joined: bool
    initial: bool  # first of its sentence
    comma: bool  # behind a comma


def split_words(text: str) -> list[Word]:
    """The words of `text` in order."""
    words: list[Word] = []
    reached = 0
    for match in _WORD.finditer(text):
        start, end = match.span()
        word = match[0]
        owner = False
        if word[-2:-1] in _APOSTROPHES and word[-1] in "sS":
            word, owner = word[:-2], True
        elif word[-1] in "sS" and text[end : end + 1] in _APOSTROPHES:
            owner = True
        gap = text[reached:start]
        joined = bool(words) and _joins(gap, words[-1])
        initial = not words or (not joined and _SENTENCE_END.search(gap) is not None)
        words.append(
            Word(
                word, word.lower(), start, start + len(word), owner, word[:1].isupper(), joined, initial, gap == ", "
            )
        )
        reached = end
    return words


def _joins(gap: str, before: Word) -> bool:
    if gap == " ":
        return not before.owner
    if not _GAP.fullmatch(gap) or before.owner:
        return False
    return gap[0] != "." or len(before.text) == 1 or before.low in TITLES


def cue_before(words: Sequence[Word], i: int) -> Cue | None:
    """What the words before word `i` say about it, if anything."""
    if i == 0 or words[i].start - words[i - 1].end > _WIDEST_CUE_GAP:
        return None
    if words[i - 1].low in TITLES:
        return "title"
    pair = tuple(word.low for word in words[max(0, i - 2) : i])
    cue = _CUES.get(pair) or _CUES.get(pair[-1:])
    # "Her name is", "the name is": the customer's. Only "my name is" is the speaker's.
    if pair == ("name", "is") and not (i > 2 and words[i - 3].low == "my"):
        return "certain"
    return cue
