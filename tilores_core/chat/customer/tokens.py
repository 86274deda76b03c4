"""A text as words, and what the words before a name say about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

from tilores_core.chat.customer.words import TITLES, Vocabulary

_WORD = re.compile(r"[^\W\d_]+(?:['’ʼ\-‐‑][^\W\d_]+)*")
_APOSTROPHES = ("'", "’", "ʼ")
_GAP = re.compile(r"[ \t\u00a0\u202f]{1,3}|\.[ \t\u00a0]?")
_SENTENCE_END = re.compile(r"[.!?:;\n]")
# "d'Edwina" and "l'adresse": an article or preposition, not a part of the name (which would be D'Edwina).
_ELIDED = re.compile(r"(?:[cdjlmnst]|qu|dell|all|dall|nell|sull|un|quell)['’ʼ](?=[^\W\d_]{2})")

Cue = Literal["title", "certain", "customer", "switch", "speaker"]
"""`certain` and `customer` say that a name follows, the second less surely; `switch` is "what about"."""

_NAME_IS = {
    (name, verb)
    for name in ("name", "nom", "nombre", "nome", "naam")
    for verb in ("is", "ist", "est", "es", "è", "é")
}
_MY = frozenset(("my", "mein", "mon", "mi", "mio", "mijn", "meu"))
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


def split_words(text: str, *, elided: bool = False) -> list[Word]:
    """The words of `text` in order; with `elided` the articles of French and Italian are left off."""
    words: list[Word] = []
    lower = text.lower()
    aligned, quoted = len(lower) == len(text), any(mark in text for mark in _APOSTROPHES)
    reached = 0
    for match in _WORD.finditer(text):
        start, end = match.span()
        word = match[0]
        if elided and quoted and (article := _ELIDED.match(word)):
            start, word = start + article.end(), word[article.end() :]
        owner = False
        if word == "s" and words and text[reached:start] == " " and len(words[-1].text) > 1:  # "jane roe s balance"
            words[-1] = words[-1]._replace(owner=True)
            reached = end
            continue
        if quoted:
            if word in ("s", "S") and words and text[reached:start] in (".'", ".’"):  # "Smith Jr.'s"
                words[-1] = words[-1]._replace(owner=True)
                reached = end
                continue
            if word[-2:-1] in _APOSTROPHES and word[-1] in "sS":
                word, owner = word[:-2], True
            elif word[-1] in "sS" and text[end : end + 1] in _APOSTROPHES:
                owner = True
        until = start + len(word)
        low = lower[start:until] if aligned else word.lower()
        if words and start - reached == 1 and text[reached] == " ":  # most words
            joined, initial, comma = not words[-1].owner, False, False
        else:
            gap = text[reached:start]
            joined = bool(words) and _joins(gap, words[-1])
            initial = not words or (not joined and _SENTENCE_END.search(gap) is not None)
            comma = gap == ", "
        # As `Word(...)`, which takes twice as long.
        words.append(tuple.__new__(Word, (word, low, start, until, owner, word[0] != low[0], joined, initial, comma)))
        reached = end
    return words


def _joins(gap: str, before: Word) -> bool:
    if before.owner or not _GAP.fullmatch(gap):
        return False
    return gap[0] != "." or len(before.text) == 1 or before.low in TITLES


def cue_before(words: Sequence[Word], i: int, vocabulary: Vocabulary) -> Cue | None:
    """What the words before word `i` say about it, if anything."""
    if i == 0 or words[i].start - words[i - 1].end > _WIDEST_CUE_GAP:
        return None
    before = words[i - 1].low
    if before in TITLES:
        return "title"
    pair = (words[i - 2].low, before) if i > 1 else (before,)
    cue = vocabulary.cues.get(pair) or vocabulary.cues.get((before,))
    # "Her name is", "the name is": the customer's. Only "my name is" is the speaker's.
    if pair in _NAME_IS:
        return "speaker" if i > 2 and words[i - 3].low in _MY else "certain"
    return cast("Cue | None", cue)
