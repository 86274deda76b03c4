"""A name found in a text, and what its words and those around it say of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from tilores_core.chat.customer.tokens import TextScan, Word, cue_before
from tilores_core.chat.customer.words import (
    ARTICLES,
    CONNECTING,
    DETERMINERS,
    FAMILY_NAMES,
    GIVEN_NAMES,
    LANGUAGES,
    MODALS,
    PARTICLES,
    RELATIONS,
    TAKING_BACK,
    THINGS,
    TIMES,
    TITLES,
    WORDS_TOO,
    Vocabulary,
    is_unknown,
    vocabulary,
    word_set,
)
from tilores_core.contracts import Strength
from tilores_core.identity.names import fold

PREFIXES: Final = frozenset(("o", "d", "mc", "mac"))  # of a family name, where speech has no apostrophes
SHORTEST_PART = 3  # of a name written in one word
_NAMING_PREPOSITIONS: Final = word_set("for of about regarding für von pour para per voor")
_OTHERS: Final = frozenset(("other", "another"))
_SUBJECTS: Final = frozenset(("i", "we", "you", "they", "he", "she", "it", "who"))
_DOING: Final = frozenset(("does", "did", "do", "has", "will", "can", "should", "must"))
_PERSONAL: Final = word_set("owe pay paid want need live prefer call called earn own")
_MOST_AROUND: Final = 6  # words beside a name that is all that a message says
_CONTRASTING: Final = TAKING_BACK | {"not", "nicht", "pas", "niet"}
_FROM: Final = word_set("from in aus di uit")
_SWITCHING: Final = frozenset(("next", "then", "now"))
_BEFORE_UNKNOWN: Final = _NAMING_PREPOSITIONS | _OTHERS | _SWITCHING | TAKING_BACK | CONNECTING
_ASKING: Final = frozenset(("much", "when", "what", "why", "where", "how", "many", "soon", "often"))


class NameSpan(NamedTuple):
    """A name at `start`:`end`. `speaker`: said of oneself; `partial`: one word; `alone`: nothing else is said;
    `person`: begins with a given name; `alternatives`: other readings, as speech has no apostrophes ("tom ferns
    balance")."""

    name: str
    start: int
    end: int
    strength: Strength
    speaker: bool = False
    partial: bool = False
    alone: bool = False
    person: bool = False
    title: str = ""
    alternatives: tuple[str, ...] = ()


def stands_as_name(words: Sequence[Word], i: int, vocabulary: Vocabulary) -> bool:
    """Whether an unknown word stands where a name would: "and zelda?", "no, Gwen", "zelda's limit", alone."""
    word = words[i]
    behind = words[i + 1] if i + 1 < len(words) else None
    ends = behind is None or not behind.joined
    before = words[i - 1] if i else None
    if before is not None and before.low in _DOING and behind is not None and behind.low in _PERSONAL:
        return word.low not in vocabulary.common  # "what does zelda owe"
    if not is_unknown(word.low):
        return False
    if before is None:
        if behind is not None and (is_given(word) or (word.capital and behind.comma)) and _contrasts(words[i + 1 :]):
            return True
        return word.owner or (ends and is_alone(words, [word], vocabulary)) or _owns(word, behind, vocabulary)
    if before.low in ARTICLES:
        return False
    if before.low in _SWITCHING and ends:
        return True
    if word.owner or before.low in TAKING_BACK or (before.initial and before.low in CONNECTING):
        return ends or word.owner or before.low in TAKING_BACK
    if before.low in _NAMING_PREPOSITIONS or before.low in _OTHERS or _owns(word, behind, vocabulary):
        return ends or (behind is not None and behind.low in vocabulary.subjects)
    return (ends and is_alone(words, [word], vocabulary)) or (
        ends and word.comma and (word.capital or not word.low.isascii())
    )


def _contrasts(behind: Sequence[Word]) -> bool:
    """Whether what follows on a name at the beginning sets it against another: "Gwen, not Gareth", "Jessie, the one
    in Tulsa", "Denise from York"."""
    first = behind[0]
    if first.joined:
        return first.low in _FROM
    return (first.comma and first.low in ARTICLES) or any(w.low in _CONTRASTING for w in behind[:_MOST_AROUND])


def stands_as_owner(words: Sequence[Word], i: int, vocabulary: Vocabulary) -> bool:
    """Whether a word in lower case with a possessive can only be a person, though it is a word: "and long's?"."""
    word = words[i]
    if not word.owner or len(word.low) < SHORTEST_PART or word.low in vocabulary.never | vocabulary.subjects:
        return False
    if word.low in RELATIONS or word.low in TIMES or word.low in THINGS:
        return False
    before = words[i - 1].low if i and word.joined else ""
    behind = words[i + 1].low if i + 1 < len(words) else ""
    placed = not before or before in CONNECTING or before in _NAMING_PREPOSITIONS or before in TAKING_BACK
    return placed and (not behind or behind in vocabulary.subjects)


def stands_as_word(words: Sequence[Word], i: int, last: int, vocabulary: Vocabulary) -> bool:
    """Whether the words from `i` to `last`, which could be a name, are a verb or a noun here: "I hope Rose is fine",
    "how much will chase owe", "any grace period", "the bill payne got"."""
    word = words[i]
    if word.capital or not i or (word.low not in WORDS_TOO and word.low not in MODALS):
        return False
    before = words[i - 1]
    if not word.joined or cue_before(words, i, vocabulary):
        return False
    if before.low in _SUBJECTS or (word.low in MODALS and before.low in _ASKING):
        return True
    behind = words[last + 1] if last + 1 < len(words) else None
    owned = words[last].owner or (behind is not None and behind.low in vocabulary.subjects)
    return before.low in DETERMINERS and before.low != "that" and not owned  # "make that Grace Lee"


def _owns(word: Word, behind: Word | None, vocabulary: Vocabulary) -> bool:
    """ "gwens limit"."""
    return word.low[-1:] == "s" and behind is not None and behind.low in vocabulary.subjects


def is_alone(words: Sequence[Word], run: Sequence[Word], vocabulary: Vocabulary) -> bool:
    """Whether the message says nothing but the words of `run`."""
    first, last = run[0].start, run[-1].end
    courtesies = vocabulary.courtesies
    return len(words) <= len(run) + _MOST_AROUND and all(
        word.low in courtesies or word.low in TITLES for word in words if word.start < first or word.end > last
    )


def without_possessive(words: Sequence[Word], i: int, run: Sequence[Word], vocabulary: Vocabulary) -> Sequence[str]:
    """ "tom ferns balance" may be Tom Fern's, "tom joneses" Tom Jones's."""
    last = run[-1]
    j = i + len(run)
    if last.low[-1:] != "s" or len(last.low) < 4 or j >= len(words):
        return ()
    following = words[j]
    plain = last.owner or (
        following.joined and following.low in vocabulary.common and following.capital == last.capital
    )
    if not plain and following.low not in vocabulary.subjects:
        return ()
    endings = ["s"] + (["es"] if last.low.endswith(("ses", "xes", "zes", "ches", "shes")) else [])
    before = " ".join(word.text for word in run[:-1])
    return [f"{before} {last.text[: -len(ending)]}".strip() for ending in endings]


def may_begin_name(page: TextScan, strange: frozenset[str], known: Vocabulary) -> bool:
    """A cheap test for what is left of a text without capitals: whether one of the `strange` words, which are not
    common, may begin a name. A single one does if it looks like one, or where `stands_as_name` or a cue says so."""
    text, words, leading = page.left, page.order_left(), _leading(known.language)
    if "'" in text or "-" in text or "s" in strange or not text.isascii():
        return True
    long = len(words) > _MOST_AROUND + 1
    for i, word in enumerate(words):
        if word not in strange:
            continue
        before, behind = words[i - 1] if i else "", words[i + 1] if i + 1 < len(words) else ""
        if before in leading or _looks_like_name(word) or (behind and not _ends_name(behind, known)):
            return True
        owns = word[-1] == "s" and behind in known.subjects
        if owns or ((not long or before in _BEFORE_UNKNOWN) and is_unknown(word)):
            return True
    return False


@lru_cache(maxsize=len(LANGUAGES))
def _leading(language: str) -> frozenset[str]:
    """Words behind which any word that is not common may be a name."""
    return TITLES | _DOING | {cue[-1] for cue in vocabulary(language).cues}


@lru_cache(maxsize=4096)
def _looks_like_name(word: str) -> bool:
    """Whether a word in lower case may be a name wherever it stands."""
    given = word in GIVEN_NAMES or (word[-1] == "s" and (word[:-1] in GIVEN_NAMES or word[:-2] in GIVEN_NAMES))
    return given or word in PARTICLES or split_given_prefix(word) is not None


def _ends_name(word: str, known: Vocabulary) -> bool:
    family = word in FAMILY_NAMES or word[:-1] in FAMILY_NAMES or word in WORDS_TOO
    return word in known.common and not (family or word in PARTICLES or word in PREFIXES)


def is_given(word: Word) -> bool:
    return word.low in GIVEN_NAMES or word.low.partition("-")[0] in GIVEN_NAMES


def is_family(word: Word) -> bool:
    return word.low in FAMILY_NAMES or (word.low[-1:] == "s" and word.low[:-1] in FAMILY_NAMES)


def is_thing(run: Sequence[Word]) -> bool:
    return any(word.low in THINGS for word in run)


def split_given_prefix(word: str) -> str | None:
    """ "edwinahawthorne" as two words, when it begins with a given name."""
    for length in range(len(word) - SHORTEST_PART, SHORTEST_PART, -1):
        if word[:length] in GIVEN_NAMES and fold(word) not in GIVEN_NAMES:
            return f"{word[:length]} {word[length:]}"
    return None
