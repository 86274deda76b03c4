"""A quick look that settles most answers: all that could be a claim stands in the records just as it was said.

Models mostly quote. Making the index that knows every other spelling takes milliseconds for a customer of some
hundred fields; finding a few words in the text that the model was given takes microseconds. What is not found here,
or could be put together from words that stand apart there (dates in words, numbers in groups), is left to the index.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tilores_core.chat.customer.words import COMMON, GIVEN_NAMES
from tilores_core.chat.grounding.claims import AROUND
from tilores_core.chat.grounding.vocabulary import ENDING, MONTHS, PERCENT, SMALL_NUMBERS, SPOKEN_NUMBER

_DIGIT = re.compile(r"[0-9]")
_OTHER_DIGIT = re.compile(r"[^\D0-9]")
_POSSESSIVE = re.compile(r"['’]s?$")
_FIGURE_BEFORE: Final = 2  # "14 March", "14 of March"
_FIGURE_BEHIND: Final = 1  # "March 14" (a month alone is no claim), "555 0142"
_COUNTING: Final = SMALL_NUMBERS | {"half", "quarter"}
_FAR: Final = 100
_SHORTEST_NUMBER: Final = 3
_BEFORE: Final = frozenset(' \n|[(":;=')
_BEHIND: Final = frozenset(' \n|])":;')


def stands_literally(answer: str, records: Sequence[str]) -> bool:
    """Whether every word of `answer` that may be a claim stands in one of `records`, whole and as it is written.

    False says nothing: the words may be borne out in another spelling.
    """
    if " dot " in answer or (not answer.isascii() and _OTHER_DIGIT.search(answer)):
        return False
    before = ""
    # Places of the last figure and the last month.
    figure_at = month_at = -_FAR
    for place, word in enumerate(answer.split()):
        if word.islower() and word.isalpha() and word not in MONTHS:  # most words
            if (len(word) > _SHORTEST_NUMBER and SPOKEN_NUMBER.match(word)) or (
                before in _COUNTING and (word in SMALL_NUMBERS or word in PERCENT)
            ):
                return False
            before = word
            continue
        bare = word.strip(AROUND)
        low = bare.lower()
        figure = _DIGIT.search(word) is not None
        if figure and (place - max(figure_at, month_at) <= _FIGURE_BEHIND or before in ENDING):
            return False
        if figure or "@" in word:
            settled = _stands(bare, records)
        elif bare in MONTHS:
            settled, month_at = place - figure_at > _FIGURE_BEFORE, place
        elif SPOKEN_NUMBER.match(low) or (low in SMALL_NUMBERS and before in SMALL_NUMBERS):
            settled = False
        else:
            settled = not bare[:1].isupper() or _is_plain_word(bare, records)
        if not settled:
            return False
        before = low
        if figure:
            figure_at = place
    return True


def _is_plain_word(word: str, records: Sequence[str]) -> bool:
    name = _POSSESSIVE.sub("", word)
    low = name.lower()
    return (low in COMMON and low not in GIVEN_NAMES) or _stands(name, records)


def _stands(word: str, records: Sequence[str]) -> bool:
    return bool(word) and any(_stands_in(word, text) for text in records)


def _stands_in(word: str, text: str) -> bool:
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if (at == 0 or text[at - 1] in _BEFORE) and (end == len(text) or text[end] in _BEHIND):
            return True
        at = text.find(word, at + 1)
    return False
