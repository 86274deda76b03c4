"""What speech recognition writes down of hesitation and of spelling: "um", "s m i t h", "roe with an e"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from tilores_core.chat.customer.spans import NameSpan
from tilores_core.chat.customer.tokens import TextScan, Word
from tilores_core.chat.customer.words import LANGUAGES, alternation, data_of, is_unknown, keywords
from tilores_core.contracts import Strength

_LETTERS = re.compile(r"(?<![\w\-'’])(?:[^\W\d_] ){2,}[^\W\d_](?![\w\-'’]|\S*@| \d)")
_NAMED_BEFORE = re.compile(
    r"(?<![\w@.+\-])([^\W\d_]+)(?:'s)?,?(?: (?:that's|thats|is|it's|its|as|spelled|spelt|spelling|in))*[ :]*$"
)
_SINGLE: Final = keywords("bcdefghjklmnopqrstuvwxyz")  # "a" and "i" are words


_FILLERS: Final = {name: keywords(data_of(name)["said"]["fillers"].split()) for name in LANGUAGES}
_FILLER: Final = {  # not in an address: "um@example.com"
    name: re.compile(rf"(?<![\w@.+\-])(?:{alternation(words)})(?![^\W_]|\S*@)[ ,.…]*", re.IGNORECASE)
    for name, words in _FILLERS.items()
}


def is_disfluent(page: TextScan, language: str) -> bool:
    """A cheap test whether `fluent` would change a text."""
    words = page.keywords
    spelled = not _SINGLE.isdisjoint(words) and _LETTERS.search(page.text) is not None
    return spelled or not _FILLERS[language].isdisjoint(words)


def fluent(text: str, language: str) -> tuple[TextScan, frozenset[str]]:
    """Return `text` without fillers and with spelled words joined, and those words in lower case.

    What is spelled takes the place of the same word before it: "roe spelled r o w e" is "rowe".
    """
    text = _FILLER[language].sub("", text)
    spelled: list[str] = []
    parts: list[str] = []
    reached = 0
    for match in _LETTERS.finditer(text):
        word = match[0].replace(" ", "")
        before = text[reached : match.start()]
        said = _NAMED_BEFORE.search(before)
        if said is not None and said[1][0].lower() == word[0].lower():
            before = before[: said.start()]
        parts += [before, word]
        spelled.append(word.lower())
        reached = match.end()
    return TextScan("".join([*parts, text[reached:]])), frozenset(spelled)


def spelled_names(words: Sequence[Word], names: Sequence[NameSpan], spelled: frozenset[str]) -> Iterator[NameSpan]:
    """The words that were spelled and are in no name that was found."""
    for word in words if spelled else ():
        if word.low in spelled and is_unknown(word.low) and not any(n.start <= word.start < n.end for n in names):
            yield NameSpan(word.text, word.start, word.end, Strength.STRONG, partial=True)
