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
from typing import Final, NamedTuple

Folding = Callable[[str], str]

_LONGEST_NAME = 200
_MOST_WORDS = 8
_MOST_MIDDLE = 1  # words said between first and last name that the records do not have

_TITLES: Final = frozenset(
    (
        *("mr", "mister", "mrs", "missus", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "dame"),
        *("lord", "lady", "rev", "herr", "frau", "monsieur", "madame", "mme", "mlle", "senor", "senora"),
        *("sra", "signor", "signora"),
    )
)
GENERATIONS: Final = {
    **dict.fromkeys(("jr", "junior", "younger", "fils", "hijo", "filho"), "jr"),
    **dict.fromkeys(("sr", "senior", "elder", "pere", "padre", "pai"), "sr"),
    **dict.fromkeys(("ii", "second", "2nd"), "ii"),
    **dict.fromkeys(("iii", "third", "3rd"), "iii"),
    **dict.fromkeys(("iv", "fourth", "4th"), "iv"),
}
"""What tells the generations of a family apart behind a name; they are never left out of a comparison."""
_SUFFIXES = frozenset(["jr", "sr", "ii", "iii", "iv", "phd", "md", "esq"])
_LONG_SUFFIXES = GENERATIONS.keys() - {"padre", "pai", "pere", "hijo"}
PARTICLES: Final = frozenset(
    (
        *("van", "von", "der", "den", "de", "del", "della", "di", "da", "dos", "das", "do", "du", "la", "le", "los"),
        *("ten", "ter", "zu", "zur", "bin", "bint", "ibn", "al", "el", "af", "st"),
    )
)
_PREFIXES = PARTICLES | {"o", "d", "mc", "mac", "san"}
_HYPHENED = re.compile(r"[^\W_]+(?:[-\u2010\u2011][^\W_]+)+")
_ANY_HYPHEN = re.compile("[-\u2010\u2011]")

_SHORT_GENERATION = re.compile(r"\b([js])(?:un|en|nr)\.", re.IGNORECASE)
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
    return text.lower() if text.isascii() else _BEYOND_ASCII.sub(_fold, text.lower())


def _fold(found: re.Match[str]) -> str:
    folded = unicodedata.normalize("NFKC", found[0]).casefold().translate(_UNDECOMPOSED)
    return "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))


_ASCII_WORDS = bytes(ord(chr(c).lower()) if c < 128 and chr(c).isalnum() else ord(" ") for c in range(256))


@lru_cache(maxsize=32)  # a question is asked of by several: its spectrum, the customer, the source
def ascii_words(text: str) -> Sequence[str]:
    """The words of an ASCII text in lower case, also those with digits. A third of the time of `str.translate`."""
    return text.encode().translate(_ASCII_WORDS).decode().split()


def fold_both(text: str) -> tuple[str, ...]:
    """Return `fold`, and the spelling with ae, oe, ue where the text has umlauts."""
    plain = fold(text)
    if text.isascii():
        return (plain,)
    german = fold(unicodedata.normalize("NFKC", text).casefold().translate(_GERMAN))
    return (plain,) if german == plain else (plain, german)


@lru_cache(maxsize=1024)
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
        if (joined := _split_joined_family(words)) is not None:
            keys[pair_key(words[0], joined)] = None
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
        # "o brien", as it is said
        keys.update(
            (pair_key(words[0], words[i] + words[i + 1]), None)
            for i in range(1, len(words) - 1)
            if words[i] in _PREFIXES
        )
    return tuple(keys)


def _split_joined_family(words: Sequence[str]) -> str | None:
    """ "vandenberg" of Anna van den Berg."""
    start = len(words) - 1
    while start > 1 and words[start - 1] in PARTICLES:
        start -= 1
    return "".join(words[start:]) if start < len(words) - 1 else None


def pair_key(one: str, other: str) -> str:
    return f"{one} {other}" if one < other else f"{other} {one}"


class _Name(NamedTuple):
    """A spelling of a name. `hyphened`: words that belong together; `generation`: jr, sr, ii, …, or empty; `family`:
    the words of the family name where it is known."""

    words: tuple[str, ...]
    hyphened: tuple[tuple[str, ...], ...] = ()
    generation: str = ""
    family: tuple[str, ...] = ()


def name_fits(name: str, spellings: Iterable[str | tuple[str, str | None]]) -> bool:
    """Whether `name` may be that of a person whose records spell it like this.

    A spelling may come with its family name. All words of the shorter must be in the longer, an initial stands for a
    word, middle names may be missing, but not the family name or a part of it that a hyphen or a particle joins: John
    Paul is not John Paul Jones, Anna Smith is not Anna Smith-Jones, John Smith Jr. is not John Smith Sr. A middle
    name that contradicts those in the records does not fit.
    """
    asked = _names(name, None)
    known = [
        found
        for spelling in spellings
        for found in (_names(spelling, None) if isinstance(spelling, str) else _names(*spelling))
    ]
    fitting = [(a, other) for a in asked for other in known if _fits(a, other)]
    if not fitting:
        return False
    if any(len(other.words) >= len(a.words) or _same_letters(a, other) for a, other in fitting):
        return True
    if all(len(other.words) < 3 for other in known):
        return True
    everything = [word for other in known for word in other.words]
    return any(all(_meets(word, everything) for word in a.words) for a, _ in fitting)


@lru_cache(maxsize=1024)
def _names(name: str, family: str | None) -> tuple[_Name, ...]:
    folded = fold(name[:_LONGEST_NAME])
    hyphened = tuple(
        tuple(_split(match[0], fold))
        for spelling in (fold_both(name[:_LONGEST_NAME]) if _ANY_HYPHEN.search(folded) else ())
        for match in _HYPHENED.finditer(spelling)
    )
    families = name_words(family) if family else ()
    found = []
    for words in _spellings(name):
        generation = ""
        if len(words) > 2 and words[-1] in _LONG_SUFFIXES:
            generation = GENERATIONS[words[-1]]
            words = words[:-2] if words[-2] == "the" else words[:-1]
        else:
            generation = next(
                (GENERATIONS[w] for w in _split(folded, fold)[1:] if w in _SUFFIXES and w in GENERATIONS), ""
            )
        found.append(_Name(words, hyphened, generation, families))
    return tuple(found)


def generation_of(name: str) -> str:
    """jr, sr, ii, … of the name of a customer; empty when it has none."""
    return next((found.generation for found in _names(name, None)), "")


def _same_letters(one: _Name, other: _Name) -> bool:
    return "".join(one.words) == "".join(other.words)


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
    if "." in text:  # not without the dot: Jun and Sen are names
        text = _SHORT_GENERATION.sub(r"\1r", text)
    return _NOT_WORD.sub(" ", _APOSTROPHES.sub("", folded(text))).split()


def _strip(words: list[str]) -> list[str]:
    start, end = 0, len(words)
    while end - start > 1 and words[start] in _TITLES:
        start += 1
    while end - start > 2 and words[end - 1] in _SUFFIXES:
        end -= 1
    return words[start:end]


def _fits(asked: _Name, known: _Name) -> bool:
    if asked.generation and asked.generation != known.generation:
        return False
    if _same_letters(asked, known):
        return True
    if any(unit not in known.hyphened and unit[::-1] in known.hyphened for unit in asked.hyphened):
        return False  # Jones-Smith is not Smith-Jones
    one, other = asked.words, known.words
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
    if not all(_take(longer, initial) for initial in initials):
        return False
    if min(len(one), len(other)) < 2:
        return True
    if not longer:
        return bool(initials) or len(one) < 3 or _is_rotated(one, other)
    if any(word in PARTICLES for word in longer):
        return False
    if any(set(unit) & set(longer) for unit in (*known.hyphened, *asked.hyphened)):
        return False
    if _leaves_out_second_family(one, known, longer):
        return True
    if one[-1] in longer or other[-1] in longer or len(one) - len(other) > _MOST_MIDDLE:
        return False  # Rose Martin is not Rose Martin Dubois Martin
    return _same_ends(asked, known)


def _leaves_out_second_family(asked: Sequence[str], known: _Name, left_out: Sequence[str]) -> bool:
    """Whether of two family names only the first is said, as is usual in Spanish: Luis Ortega of Luis Ortega Díaz."""
    if len(asked[-1]) <= len("von") or asked[-1] not in known.family[:-1] or not _like(asked[0], known.words[0]):
        return False
    behind = known.family[known.family.index(asked[-1]) + 1 :]
    middle = [word for word in left_out if word not in behind]
    return len(middle) <= _MOST_MIDDLE and known.family[0] not in middle


def _is_rotated(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether the words have the same order, or the family name stands first: Silva Pereira is not Pereira Silva."""
    if len(one) != len(other):
        return True
    return any(tuple(one[n:]) + tuple(one[:n]) == tuple(other) for n in range(len(one)))


def _same_ends(asked: _Name, known: _Name) -> bool:
    """What is left out stands in the middle, or is one of two family names."""
    one, other = asked.words, known.words
    if len(one) < len(other) and len(known.family) > 1 and (_like(one[0], other[0]) or _like(one[-1], other[0])):
        last = one[-1] if _like(one[0], other[0]) else one[0]
        if last in known.family and len(last) > 3:
            return True
    straight = _like(one[0], other[0]) and _like(one[-1], other[-1])
    return straight or (_like(one[0], other[-1]) and _like(one[-1], other[0]))


def _like(one: str, other: str) -> bool:
    return one == other or (min(len(one), len(other)) == 1 and one[0] == other[0])


def _take(words: list[str], initial: str) -> bool:
    for index, word in enumerate(words):
        if word.startswith(initial):
            del words[index]
            return True
    return False
