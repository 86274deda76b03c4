"""Names of people: what is equal, and under which keys a name is found again.

A name is indexed under its first and last word, sorted, so that "Hawthorne, Edwina" and "Edwina Rose
Hawthorne" meet; `name_fits` then decides on all words. Umlauts are compared both ways they are written
without: Müller is Muller and Mueller.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import combinations

Folding = Callable[[str], str]

_LONGEST_NAME = 200
_MOST_WORDS = 8

_TITLES = frozenset(
    {
        *("mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "dame", "lord", "lady", "rev"),
        *("herr", "frau", "monsieur", "madame", "mme", "mlle", "senor", "senora", "sra", "signor", "signora"),
    }
)
_SUFFIXES = frozenset(["jr", "sr", "ii", "iii", "iv", "phd", "md", "esq"])

_APOSTROPHES = re.compile(r"['’ʼ`´]")
_NOT_WORD = re.compile(r"[\W_]+")
# A page of text has few: all the rest needs nothing but lower case, which costs a fiftieth.
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_UNDECOMPOSED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"}
)
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})


def fold(text: str) -> str:
    """Case and accents gone: what two spellings of a word have in common."""
    return text.lower() if text.isascii() else _BEYOND_ASCII.sub(_folded, text.lower())


def _folded(found: re.Match[str]) -> str:
    folded = unicodedata.normalize("NFKC", found[0]).casefold().translate(_UNDECOMPOSED)
    return "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))


def fold_both(text: str) -> tuple[str, ...]:
    """`fold`, and the spelling with ae, oe, ue where the text has umlauts."""
    plain = fold(text)
    if text.isascii():
        return (plain,)
    german = fold(unicodedata.normalize("NFKC", text).casefold().translate(_GERMAN))
    return (plain,) if german == plain else (plain, german)


def normalise_name(text: str) -> str:
    """The name in lower case without accents, punctuation, titles and suffixes; `Last, First` is turned round.

    "Dr. Hawthorne, Édwina R." becomes "edwina r hawthorne". Empty when nothing is left.
    """
    return " ".join(_words(text, fold))


def name_words(name: str) -> tuple[str, ...]:
    """The words of a name in each spelling they are found under."""
    return tuple(dict.fromkeys(word for spelling in _spellings(name) for word in spelling))


def name_keys(name: str, family: str | None = None) -> tuple[str, ...]:
    """The keys to index a name under. `family` if known apart, so that each word of "García López" counts."""
    keys: dict[str, None] = {}
    for words in _spellings(name):
        if len(words) < 2:
            keys.update(dict.fromkeys(words))
            continue
        keys[pair_key(words[0], words[-1])] = None
    if family and len(parts := name_words(family)) > 1:
        for words in _spellings(name):
            # Not the "de" and "van" of a family name.
            keys.update((pair_key(words[0], part), None) for part in parts if part in words[1:] and len(part) > 3)
    return tuple(keys)


def query_keys(name: str) -> tuple[str, ...]:
    """The keys to look a name up by: every two of its words, since their order is not known."""
    keys: dict[str, None] = {}
    for words in _spellings(name):
        if len(words) == 1:
            keys[words[0]] = None
        keys.update((pair_key(a, b), None) for a, b in combinations(words, 2))
    return tuple(keys)


def pair_key(one: str, other: str) -> str:
    return f"{one} {other}" if one < other else f"{other} {one}"


def name_fits(name: str, spellings: Iterable[str]) -> bool:
    """Whether `name` may be that of somebody whose records spell theirs like this.

    All words of the shorter must be in the longer, an initial stands for a word, middle names may be missing. A
    middle name that contradicts those in the records does not fit.
    """
    asked = _spellings(name)
    known = [words for spelling in spellings for words in _spellings(spelling)]
    fitting = [(a, words) for a in asked for words in known if _fits(a, words)]
    if not fitting:
        return False
    if any(len(words) >= len(a) for a, words in fitting) or all(len(words) < 3 for words in known):
        return True
    everything = [word for words in known for word in words]
    return any(all(_meets(word, everything) for word in a) for a, _ in fitting)


def _meets(word: str, words: Sequence[str]) -> bool:
    return word in words or word[0] in words or (len(word) == 1 and any(w.startswith(word) for w in words))


def best_name(names: Iterable[tuple[str, str]]) -> str | None:
    """The spelling used most, of several the newest. `names`: spelling and ISO date ("" where there is none)."""
    written = [(name, when) for name, when in names if name]
    if not written:
        return None
    counts = Counter(name for name, _ in written)
    newest: dict[str, str] = {}
    for name, when in written:
        newest[name] = max(newest.get(name, ""), when)
    return max(counts, key=lambda name: (counts[name], newest[name]))


@lru_cache(maxsize=1024)
def _spellings(name: str) -> tuple[tuple[str, ...], ...]:
    plain = _words(name, fold)
    if not plain or name.isascii():
        return (plain,) if plain else ()
    german = _words(name, lambda text: fold_both(text)[-1])
    return (plain,) if german == plain else (plain, german)


def _words(text: str, folded: Folding) -> tuple[str, ...]:
    text = text[:_LONGEST_NAME]
    last, comma, first = text.partition(",")
    words = _strip(_split(last, folded))
    if comma:
        behind = _split(first, folded)
        words = _strip([*behind, *words]) if any(word not in _SUFFIXES for word in behind) else words
    return tuple(words[:_MOST_WORDS])


def _split(text: str, folded: Folding) -> list[str]:
    return _NOT_WORD.sub(" ", _APOSTROPHES.sub("", folded(text))).split()


def _strip(words: list[str]) -> list[str]:
    start, end = 0, len(words)
    while end - start > 1 and words[start] in _TITLES:
        start += 1
    while end - start > 2 and words[end - 1] in _SUFFIXES:
        end -= 1
    return words[start:end]


def _fits(one: Sequence[str], other: Sequence[str]) -> bool:
    shorter, longer = (one, list(other)) if len(one) <= len(other) else (other, list(one))
    initials = []
    for word in shorter:
        if word in longer:
            longer.remove(word)
        elif len(word) == 1:
            initials.append(word)
        else:
            initial = next((candidate for candidate in longer if candidate == word[0]), None)
            if initial is None:
                return False
            longer.remove(initial)
    return all(_take(longer, initial) for initial in initials)


def _take(words: list[str], initial: str) -> bool:
    for index, word in enumerate(words):
        if word.startswith(initial):
            del words[index]
            return True
    return False
