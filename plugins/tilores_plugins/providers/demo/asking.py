"""Which fields of the records a question asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from tilores_core import name_words as spellings_of
from tilores_core.spectrums import classify, current_spectrums
from tilores_plugins.providers.demo.words import (
    ADDRESS,
    HINTS,
    PASSED_OVER,
    VERBS,
    asks_for_address,
    meanings,
    name_weight,
    name_words,
    question_words,
    set_of,
    stem,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tilores_plugins.providers.demo.habits import Habits
    from tilores_plugins.providers.demo.reading import Field, Sheet

_CLAUSE = re.compile(r"[?!;,&\n]+|\.(?=\s|$)|\b(?:and|plus|as well as)\b")
_LONG_NUMBER = re.compile(r"[+(]?(?:\d[ ()/.\-]*){9,}")  # a telephone number, by which the customer is named
_BROAD = re.compile(
    r"\b(?:tell me (?:\w+ )?(?:about|of)|summar\w+|overview|everything"
    r"|all (?:the |of the )?(?:details|information|data)|details (?:of|on|about)"
    r"|what do (?:we|you) (?:know|have)|brief me|background|profile)\b"
    r"|\bwho is (?:she|he|this|that|the caller|the customer)?\s*\??\s*$"
)
# Words of the broad cues themselves; they name no field.
_BROAD_WORDS: Final = set_of("tell summary summarise summarize overview everything brief background profile")

_FITS: Final = 0.6
_NEAR: Final = 0.3
_EXACT: Final = 0.99
_ALSO_FITS: Final = 0.7
_MAX_WORDS: Final = 60
_MAX_CLAUSES: Final = 8
_TALK: Final = 3  # a clause of more words that fits nothing, after one that does, is not another question


@dataclass(frozen=True, slots=True, kw_only=True)
class Picks:
    """What was found. `broad`: a topic or a whole customer was asked for, so `fields` is a list.

    `missing`: what was asked for and fits no field, in the words of the question. Nothing at all: no field was
    asked for (a greeting, thanks).
    """

    fields: tuple[Field, ...] = ()
    missing: tuple[str, ...] = ()
    broad: bool = False


def pick(question: str, sheet: Sheet, habit: Habits) -> Picks:
    """The fields that `question` asks for, as the habits `strict`, `literal` and `complete` say."""
    text = _without_customer(question.lower(), sheet)
    if _BROAD.search(text):
        return _pick_broad(text, sheet)
    fields: dict[str, Field] = {}
    missing: list[str] = []
    topic: list[Field] = []
    for clause in _CLAUSE.split(text)[:_MAX_CLAUSES]:
        words, hints = _parse_clause(clause, sheet)
        if not words and not hints:
            continue
        found = _address(words, hints, sheet) or _fitting(words, hints, sheet, habit)
        if found:
            if not fields:  # what came before the first thing found was talk
                missing.clear()
            fields.update((field.name, field) for field in found)
        elif words and (members := _topic(words, sheet)):
            topic += members
        elif words and not (fields and len(words) > _TALK):
            missing.append(" ".join(words))
    if topic and not fields:
        return Picks(fields=tuple(topic), missing=tuple(missing), broad=True)
    return Picks(fields=tuple(fields.values()), missing=tuple(missing))


def _pick_broad(text: str, sheet: Sheet) -> Picks:
    for number, title in enumerate(sheet.topics):
        if title.lower() in text:
            return Picks(fields=sheet.of_topic(number), broad=True)
    words: list[str] = []
    for clause in _CLAUSE.split(text)[:_MAX_CLAUSES]:
        words += _parse_clause(clause, sheet)[0]
    scored = _score_fields(words, [], sheet)
    if scored and scored[0].score > _EXACT:  # one field after all, such as "last call summary"
        return Picks(fields=(sheet.field(scored[0].place),))
    words = [word for word in words if word not in _BROAD_WORDS]
    if not words:
        return Picks(fields=_a_little_of_all(sheet), broad=True)
    scored = _score_fields(words, [], sheet)
    if scored and scored[0].score > _EXACT:
        return Picks(fields=(sheet.field(scored[0].place),))
    fields = [sheet.field(found.place) for found in scored]
    whole = tuple(field for field in fields if _says_all(words, field)) if len(words) > 1 else ()
    near = tuple(field for field, found in zip(fields, scored, strict=True) if found.score >= _FITS)
    members = whole or _likely_topic(words, sheet) or near
    return Picks(fields=members, missing=() if members else (" ".join(words),), broad=True)


def _says_all(words: Sequence[str], field: Field) -> bool:
    return all(any(known in field.words for known, _ in meanings(word)) for word in words)


def _without_customer(text: str, sheet: Sheet) -> str:
    for known in (sheet.name, sheet.customer_id):
        if known:
            text = text.replace(known.lower(), " ")
    return _LONG_NUMBER.sub(" ", text)


def _parse_clause(clause: str, sheet: Sheet) -> tuple[list[str], list[str]]:
    """The words of a clause that name what is asked for, and its hints ("when")."""
    spoken = question_words(clause)[:_MAX_WORDS]
    own = _words_of(sheet.name)
    words = [
        word
        for word in spoken
        if word not in PASSED_OVER
        and stem(word) not in HINTS
        and ((word not in own and stem(word) not in own) or sheet.places(word))
    ]
    naming = [word for word in words if word not in VERBS]
    return list(dict.fromkeys(naming or words)), [hint for hint in map(stem, spoken) if hint in HINTS]


@lru_cache(maxsize=256)
def _words_of(name: str) -> frozenset[str]:
    """The words of a customer's name in every spelling that it is found by."""
    return frozenset((*question_words(name.lower()), *spellings_of(name)))


def _fitting(words: Sequence[str], hints: Sequence[str], sheet: Sheet, habit: Habits) -> list[Field]:
    least = _FITS if habit.strict else _NEAR
    # In a short question every word counts: a pension account is not just any account.
    share = _FITS if habit.strict and (habit.literal or len(words) <= _TALK) else 0.0
    fitting = [found for found in _score_fields(words, hints, sheet, least=least) if found.share >= share]
    if not habit.complete:
        fitting = fitting[:1]
    return [sheet.field(found.place) for found in fitting if found.score >= _ALSO_FITS * fitting[0].score]


class _Found(NamedTuple):
    """`order` falls with the place, so that of equals the earlier one is the greater."""

    score: float
    order: int
    share: float

    @property
    def place(self) -> int:
        return -self.order


def _score_fields(words: Sequence[str], hints: Sequence[str], sheet: Sheet, *, least: float = 0.0) -> list[_Found]:
    """Fields that share a word with the question and score at least `least`, best first.

    The score, 0 to 1, is the mean of two shares: of the question's words found in the name, and of the name's words
    found in the question. A field of one topic never beats an equal one that stands before it.
    """
    asked: dict[int, float] = {}
    for word in words:
        for place, weight in _hits(meanings(word), sheet).items():
            asked[place] = asked.get(place, 0.0) + weight
    named = dict(asked)
    said = set(map(stem, words))  # "since when" names "since" once
    for hint in hints:
        for place in _hits(((known, 1.0) for known in HINTS[hint] if known not in said), sheet):
            if not words or place in asked:
                named[place] = named.get(place, 0.0) + 1.0
    count = len(words)
    found = []
    for place, weight in named.items():
        of_question = asked.get(place, 0.0) / count if count else 1.0
        score = 0.5 * of_question + 0.5 * min(1.0, weight / name_weight(sheet.words[place]))
        if score >= least:
            found.append(_Found(score, -place, of_question))
    found.sort(key=itemgetter(0, 1), reverse=True)
    return found


def _hits(known: Iterable[tuple[str, float]], sheet: Sheet) -> dict[int, float]:
    hits: dict[int, float] = {}
    for word, weight in known:
        for place in sheet.places(word):
            hits.setdefault(place, weight)
    return hits


def _topic(words: Sequence[str], sheet: Sheet) -> tuple[Field, ...]:
    """The fields of the topic in whose title all the words are found; none when no title has them."""
    for number, title in enumerate(sheet.topics):
        titled = name_words(title)
        if all(any(known in titled for known, _ in meanings(word)) for word in words):
            return sheet.of_topic(number)
    return ()


def _likely_topic(words: Sequence[str], sheet: Sheet) -> tuple[Field, ...]:
    """As `_topic`, else the topic that the words are mostly used for."""
    likely = classify(" ".join(words))
    spectrums = current_spectrums().spectrums
    titles = [one.title for one in spectrums if one.name == likely and one.title in sheet.topics]
    return _topic(words, sheet) or (sheet.of_topic(sheet.topics.index(titles[0])) if titles else ())


def _address(words: list[str], hints: list[str], sheet: Sheet) -> list[Field]:
    """The parts of an address when it is asked for as a whole and kept in several fields."""
    if not asks_for_address([*words, *hints]):
        return []
    by_name = {name.lower().replace(" ", "_"): place for place, name in enumerate(sheet.names)}
    if "address" in by_name:
        return [sheet.field(by_name["address"])]
    return [sheet.field(by_name[name]) for name in ADDRESS if name in by_name]


def _a_little_of_all(sheet: Sheet) -> tuple[Field, ...]:
    """All fields in turns: the first of each topic, then the second of each, and so on."""
    turns = [sheet.of_topic(topic) for topic in range(-1, len(sheet.topics))]
    longest = max(map(len, turns))
    return tuple(fields[step] for step in range(longest) for fields in turns if step < len(fields))
