"""Names of people in an answer that are neither in the records nor in the conversation.

Nearly all capitalised words of an answer are in the records or begin a sentence, so that a look at each of them
settles most answers; only what is left is read for names as a question is.
"""

from __future__ import annotations

import re

from tilores_core.chat.customer.names import find_names
from tilores_core.chat.customer.tokens import TextScan, split_words
from tilores_core.chat.customer.words import COMMON, GIVEN_NAMES, NAMES_TOO, TITLES, language_of, vocabulary, word_set
from tilores_core.contracts import Strength
from tilores_core.identity.names import fold

_CAPITAL = r"[A-ZÀ-ÖØ-Þ][^\W\d_]+(?:['’\-][^\W\d_]+)*"
_CAPITALISED = re.compile(r"[A-ZÀ-ÖØ-Þ][^\W\d_]+")
_RUN = re.compile(
    rf"{_CAPITAL}(?:\.? (?:(?:van|von|der|den|de|la|del|di|da|bin|al|y) ){{0,2}}(?:[A-Z]\. )?{_CAPITAL})+"
)
_ALONE = re.compile(rf"(?<=[a-z,:;(] )({_CAPITAL})|({_CAPITAL})(?=['’]s\b)")
# What a name follows, also a single word: "her first name is", "Ms.", "the manager", "married to".
_CUED = re.compile(
    r"\b(?:[Nn]ames?|[Nn]amed|[Cc]alled|married to|[Ss]pouse|[Hh]usband|[Ww]ife|[Pp]artner|[Mm]anager|[Aa]gent|"
    r"[Aa]dvis[eo]r|[Cc]ontact|[Gg]uarantor|[Bb]eneficiary|[Oo]wner|[Hh]older|[Kk]in|[Ss]on|[Dd]aughter|[Mm]other|"
    rf"[Ff]ather|[Bb]rother|[Ss]ister|Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Herr|Frau|Mme)\.?(?: is| was|:|,)? ({_CAPITAL})"
)
_NO_NAMES = COMMON | frozenset(("unknown", "none", "confirmed", "verified", "listed"))
# Where every noun has a capital, two of them are no name. Words that no English sentence has.
_GERMAN = word_set(
    "und der das ist nicht ein eine einen mit für sie ihr ihre dem wurde beträgt lautet auf zum zur vom bei wird "
    "haben sind keine"
)
_BLANKS = str.maketrans({chr(c): " " for c in range(128) if not chr(c).isalpha()})
_NOT_LETTER = re.compile(r"[\W\d_]+")
_POSSESSIVE = re.compile(r"['’]s?$")
_MOST_RUNS = 100


def find_claimed_names(text: str, known: frozenset[str]) -> list[str]:
    """Names in `text` with a word that is not in `known` (words as `words_of` gives them), as they stand there."""
    if not any(_may_be_strange(word, known) for word in _CAPITALISED.findall(text)):
        return []
    words = frozenset(_NOT_LETTER.sub(" ", text.lower()).split())
    language = language_of(words, words)
    german = language == "de" or len(_GERMAN & words) > 1
    found: list[str] = []
    for match in _RUN.finditer(text):
        if len(found) >= _MOST_RUNS:
            break
        if not _unknown(match[0], known) or (german and not _begins_strangely(match[0], known)):
            continue
        found += [
            span.name
            for span in find_names(split_words(TextScan(match[0])), vocabulary(language))
            if span.strength > Strength.FAINT and not span.partial and _unknown(span.name, known)
        ]
    alone = [match[1] or match[2] for match in _ALONE.finditer(text)]
    named = [word for word in alone if word.lower() in GIVEN_NAMES and word.lower() not in NAMES_TOO]
    named += [match[1] for match in _CUED.finditer(text) if match[1].lower() not in _NO_NAMES]
    for word in dict.fromkeys(named):
        bare = _POSSESSIVE.sub("", word)
        if strange_words(bare, known) and not any(bare in name for name in found):
            found.append(bare)
    return found


def _begins_strangely(run: str, known: frozenset[str]) -> bool:
    first = run.split()[0].lower()
    return first in GIVEN_NAMES and first not in known


def _may_be_strange(word: str, known: frozenset[str]) -> bool:
    low = fold(word)
    return low not in known and (low not in COMMON or low in GIVEN_NAMES)


def words_of(text: str) -> frozenset[str]:
    """The words of a text as names are compared by."""
    plain = fold(text).translate(_BLANKS)  # a fifth of what the expression takes, and mostly all there is to do
    return frozenset((plain if plain.isascii() else _NOT_LETTER.sub(" ", plain)).split())


def _unknown(name: str, known: frozenset[str]) -> bool:
    """Whether a word of the name is neither known nor a word of the language."""
    return any(word not in COMMON and word not in TITLES for word in strange_words(name, known))


def strange_words(name: str, known: frozenset[str]) -> list[str]:
    """The words of a name that are not in `known`; initials are not looked at."""
    words = _NOT_LETTER.sub(" ", fold(_POSSESSIVE.sub("", name))).split()
    return [word for word in words if word not in known and len(word) > 1]
