"""What a message says beside identifiers: what it rules out, takes back, and refers to.

Negation counts only where nothing but light words stands between it and what is negated: "not the one born in 2010",
but not "why has the one in Leeds not paid".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from tilores_core.chat.customer.words import (
    LANGUAGES,
    alternation,
    data_of,
    phrases,
    said_in_any,
    vocabulary,
    words_in_any,
)
from tilores_core.contracts import Evidence, Strength
from tilores_core.identity.names import fold

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_BREAK = re.compile(r"[,;.!?:\n]")
_MOST_CONTENT = 3  # words that one negation reaches
_LONGEST_REPLY = 8  # words of a message that may be no more than a choice

_NEGATORS: Final = {
    language: frozenset(f"{data_of('en')['said']['negators']} {data_of(language)['said']['negators']}".split())
    for language in LANGUAGES
}
_UNWANTED: Final = re.compile(rf"(?<![^\W_])(?:{alternation(said_in_any('unwanted'))})(?![^\W_])")
_LIGHT: Final = words_in_any("light") | words_in_any("correction").intersection(("mean",))
_AUXILIARIES: Final = words_in_any("auxiliaries")
_SUBJECTS: Final = words_in_any("subjects_before")
_OR: Final = frozenset(("or", "nor", "and", "oder", "und", "ou", "et", "o", "y", "e", "of", "en"))
_BUT: Final = words_in_any("but")


def _phrase(key: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_])(?:{alternation(said_in_any(key))})(?![^\W_])")


_CORRECTION: Final = _phrase("correction")
_NO: Final = re.compile(r"(?:^|[.!?;\n]\s*)(?:no|nein|non|nee|não|nope)\b[ ,.]")
_REJECTION: Final = _phrase("rejection")
_OTHER: Final = _phrase("other")
_PREVIOUS: Final = _phrase("previous")
_INITIAL: Final = _phrase("first_one")
_FAMOUS: Final = _phrase("famous")
_RELATIONS: Final = words_in_any("relations")
_POSSESSIVES: Final = words_in_any("possessives")
_RELATION_FIELDS: Final = words_in_any("relation_field")
_ONE: Final = words_in_any("one")
_ASKING: Final = words_in_any("asking")
_OLDER: Final = words_in_any("older")
_YOUNGER: Final = words_in_any("younger")
_LAST: Final = words_in_any("last")
_ORDINAL_NUMBER: Final = words_in_any("ordinal_number")
_ORDINALS: Final = {
    fold(spelling): str(place)
    for language in LANGUAGES
    for place, entry in enumerate(phrases(data_of(language)["said"]["ordinals"]), 1)
    for spelling in entry.split()
}
_CARDINALS: Final = {
    word: str(place)
    for language in LANGUAGES
    for place, word in enumerate([w for w in data_of(language)["numbers"]["digits"].split() if w != "zwo"][1:], 1)
    if language in ("en", "de", "es", "it", "nl", "pt")
}
# What may stand in a reply that chooses by a number alone: "the second one please".
_CHOOSING: Final = (
    _ONE | words_in_any("light") | words_in_any("correction") | words_in_any("choosing")
    | frozenset().union(*(vocabulary(language).courtesies for language in LANGUAGES))
)  # fmt: skip


class Said:
    """The words of a message in lower case without accents, and which of them are negated."""

    def __init__(self, text: str, language: str = "en") -> None:
        self.text = text
        self._negators = _NEGATORS[language]
        self.low = text.lower().replace("’", "'")
        self.dated = False
        self._places: list[tuple[int, int, str]] | None = None
        self._negated: frozenset[int] | None = None

    @property
    def places(self) -> list[tuple[int, int, str]]:
        """Each word with where it begins and ends."""
        if self._places is None:
            self._places = [(match.start(), match.end(), match[0]) for match in _WORD.finditer(self.low)]
        return self._places

    @property
    def words(self) -> list[str]:
        return [word for _, _, word in self.places]

    @property
    def negated(self) -> frozenset[int]:
        """Where the words begin that the message rules out."""
        if self._negated is None:
            self._negated = frozenset(self._find_negated())
        return self._negated

    def is_negated(self, start: int) -> bool:
        return start in self.negated

    def corrects(self) -> bool:
        """Whether something said before is taken back: "sorry, I meant", "no, …"."""
        return _CORRECTION.search(self.low) is not None or _NO.search(self.low) is not None

    def last_correction(self) -> int:
        """Where the last correction ends; -1 when there is none."""
        return max((match.end() for match in _CORRECTION.finditer(self.low)), default=-1)

    def is_famous(self) -> bool:
        """Whether the question is of the kind that is asked about people of history: "who was …"."""
        return _FAMOUS.search(self.low) is not None

    def _find_negated(self) -> Iterator[int]:
        places = self.places
        starts = [match.end() for match in _UNWANTED.finditer(self.low)]
        for i, (_, end, word) in enumerate(places):
            if word in self._negators and (word not in _AUXILIARIES or (i > 0 and places[i - 1][2] in _SUBJECTS)):
                starts.append(end)
        for begin in starts:
            yield from self._reach(begin)

    def _reach(self, begin: int) -> Iterator[int]:
        content = 0
        reached = begin
        for start, end, word in self.places:
            if start < begin:
                continue
            if _BREAK.search(self.low, reached, start) or word in _BUT:
                return
            reached = end
            if word in _LIGHT:
                if content and word not in ("de", "la", "van", "von", "der", "di", "da", "del", "den"):
                    content = _MOST_CONTENT  # "not ann lee in leeds": the place belongs to it
                    if word in ("who", "which", "that", "i", "is", "was"):
                        return
                    content = 1
                yield start
                continue
            if word in _OR and content:
                content = 0
                continue
            if content >= _MOST_CONTENT or (word in _ALWAYS_PLAIN):
                return
            content += 1
            yield start


_ALWAYS_PLAIN: Final = words_in_any("plain")


# --- references ------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _any_reference() -> frozenset[str]:
    """Words of which a message must have one to refer to something: a cheap test."""
    whole = said_in_any("rejection") + said_in_any("other") + said_in_any("previous") + said_in_any("first_one")
    return (
        frozenset(word for phrase in whole for word in phrase.replace("'", " ").split())
        | frozenset(_ORDINALS) | _RELATIONS | _OLDER | _YOUNGER | _LAST | _ORDINAL_NUMBER
    )  # fmt: skip


def references(said: Said) -> Iterator[Evidence]:
    """Choices, rejections and relatives that the message speaks of."""
    words = said.words
    plain = {word.removesuffix("'s") for word in words}
    plain |= {word[:-1] for word in plain if word.endswith("s")}
    if _any_reference().isdisjoint(plain) and not _is_number_alone(words):
        return
    low = said.low
    if match := _PREVIOUS.search(low):
        yield _reference("choice", "previous", match)
    elif match := _INITIAL.search(low):
        yield _reference("choice", "initial", match)
    elif match := _REJECTION.search(low):
        yield Evidence(kind="rejection", value="", start=match.start(), end=match.end(), polarity="negated")
    if len(words) <= _LONGEST_REPLY and (match := _OTHER.search(low)):
        yield _reference("choice", "other", match)
    yield from _ordinals(said)
    yield from _relatives(said)


def _is_number_alone(words: list[str]) -> bool:
    return 0 < len(words) <= _LONGEST_REPLY and any(
        word in _CARDINALS or (word.isascii() and word.isdigit()) for word in words
    )


def _reference(kind: str, value: str, match: re.Match[str]) -> Evidence:
    return Evidence(
        kind=kind,  # type: ignore[arg-type]  # one of the kinds
        value=value,
        start=match.start(),
        end=match.end(),
        polarity="reference",
    )


def _ordinals(said: Said) -> Iterator[Evidence]:
    places = said.places
    if len(places) > _LONGEST_REPLY:
        return
    found: dict[str, tuple[int, int]] = {}
    for i, (start, end, word) in enumerate(places):
        plain = fold(word)
        before = places[i - 1][2] if i else ""
        if plain in _ORDINALS:
            found[_ORDINALS[plain]] = (start, end)
        elif word in _LAST:
            found["-1"] = (start, end)
        elif word in _OLDER:
            found["older"] = (start, end)
        elif word in _YOUNGER:
            found["younger"] = (start, end)
        elif before in _ORDINAL_NUMBER or before == "#" or len(places) == 1:
            if plain in _CARDINALS:
                found[_CARDINALS[plain]] = (start, end)
            elif word.isascii() and word.isdigit() and len(word) < 3 and 0 < int(word) <= 10:
                found[str(int(word))] = (start, end)
        elif plain not in _CHOOSING and word not in _CHOOSING and word not in _ORDINAL_NUMBER:
            return  # it says more than which one
    if len(found) == 1:
        value, (start, end) = next(iter(found.items()))
        negated = said.is_negated(start)
        yield Evidence(
            kind="choice", value=value, start=start, end=end, polarity="negated" if negated else "reference"
        )


def _relatives(said: Said) -> Iterator[Evidence]:
    """ "His wife's balance", "what about her husband": not the customer, but not "the name of his wife"."""
    places = said.places
    for i, (start, end, word) in enumerate(places):
        relation = word.removesuffix("'s")
        if relation not in _RELATIONS and word[:-1] not in _RELATIONS:
            continue
        before = places[i - 1][2] if i else ""
        owned = before in _POSSESSIVES or before.endswith("'s") or (i > 1 and places[i - 2][2] in _POSSESSIVES)
        owned = owned or (before[-1:] == "s" and before not in ("is", "was", "has", "does", "as"))
        following = places[i + 1][2] if i + 1 < len(places) else ""
        if not owned or following in _RELATION_FIELDS or _asks_who(said, i):
            continue
        yield Evidence(
            kind="relative", value=relation, start=start, end=end, polarity="reference", strength=Strength.STRONG
        )
        return


def _asks_who(said: Said, i: int) -> bool:
    """Whether the relation itself is what is asked for: "who is her husband", "does he have a wife"."""
    words = [word for _, _, word in said.places]
    before = set(words[max(0, i - 6) : i])
    asks = before & _ASKING
    return bool(asks) and words[i : i + 1] != [] and not words[i].endswith("'s")
