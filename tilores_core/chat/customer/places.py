"""Where a message says that the customer is: "from Leeds", "the one in York", "Ann Lee, Leeds", "lives in Bath"."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from tilores_core.chat.customer.said import Said
from tilores_core.chat.customer.spans import NameSpan
from tilores_core.chat.customer.tokens import Word, split_words
from tilores_core.chat.customer.words import (
    FEATURES,
    FIRMS,
    GIVEN_NAMES,
    OF,
    THINGS,
    Phrases,
    Vocabulary,
    all_phrases,
    alternation,
    data_of,
    is_unknown,
    keywords,
    words_in_any,
)
from tilores_core.contracts import Evidence

_PLACE_WORDS: Final = keywords(words_in_any("places"))
ONE: Final = keywords(data_of("en")["said"]["one"].split())
_THE_ONE: Final = re.compile(rf"\b(?:the|that|this) (?:{alternation(ONE)})\b")
_BORN: Final = frozenset(word for phrase in all_phrases("born") for word in phrase.split())
LIVES_IN: Final = Phrases("lives_in")
_LIVING: Final = re.compile(
    rf"(?:(?<![^\W_])(?P<lives>{alternation(all_phrases('lives_in'))})|^in)[ ](?P<place>[^\W\d_]+)(?=[ .,;?!]|$)"
)
_DOES: Final = re.compile(r"(?:does|do|did|where|is|who|which|what|if|can|could)\b")
_NO_PERSON: Final = FIRMS | FEATURES
_PLACE_ENDS: Final = 3  # words of the longest place
_FROM: Final = (" from ", " in ", " aus ", " de ", " di ", " uit ")
_TOWN: Final = re.compile(r"(?:, ?| \()(?P<place>[^\W\d_]{3,}(?: [^\W\d_]+){0,2})(?=[?.!,;)\n]|$)")
_TOWN_AT: Final = re.compile(
    rf"\W*(?:(?:{alternation(words_in_any('places') | {'it', 'is'})})[ ,]+){{0,3}}"
    r"(?:the )?(?P<place>[^\W\d_]{3,})(?: one)?(?=[?.!,;)\n]|$)"
)
_OR_TOWN: Final = re.compile(
    r",?[ ](?:or|oder|ou|o|of)[ ](?:(?:was|is|it|maybe|perhaps|in|from|aus|en|de|di|da|uit)[ ])*"
    r"(?P<place>[^\W\d_]{3,})"
)


def with_places(
    evidence: list[Evidence], words: Sequence[Word], names: Sequence[NameSpan], known: Vocabulary, said: Said
) -> list[Evidence]:
    """The evidence with the places where the customer is said to be."""
    keys = said.keywords
    one = known.language == "en" and not ONE.isdisjoint(keys)
    placed = (words or one) and not _PLACE_WORDS.isdisjoint(keys)
    if not words and placed and _THE_ONE.search(said.page.low):
        words = split_words(said.page)  # "the one in York"
    if said.low.startswith("in ") or not LIVES_IN.words.isdisjoint(keys):
        evidence += _lives_in(said)
    places: list[Evidence] = []
    if placed and words:
        low = said.page.low  # "the carmen in tempe", "carmen from tempe"
        ends = {n.end for n in names if not n.partial or n.strength or _is_placed(n, low)}
        ends |= {e.end for e in evidence if e.kind == "name" and not e.partial}
        places += _places(words, ends, known, said) if one or ends else ()
    if evidence:
        places += _towns(evidence, said.text)
    if places:
        places = [*with_other_towns(places, said)]
        firms = {e.start for e in evidence if e.kind == "name" and e.value.rpartition(" ")[2].lower() in _NO_PERSON}
        inside = [(e.start, e.end) for e in evidence if e.kind == "name" and not e.partial and e.start not in firms]
        places = [p for p in places if not any(start <= p.start < end for start, end in inside)]
        taken = {place.start for place in places}
        taken &= firms | {e.start for e in evidence if e.partial}
        evidence = [e for e in evidence if e.kind != "name" or e.start not in taken]
        evidence += places
    return evidence


def _is_placed(name: NameSpan, low: str) -> bool:
    return low.endswith("the ", 0, name.start) or (name.person and low.startswith(_FROM, name.end))


def _places(words: Sequence[Word], ends: Container[int], known: Vocabulary, said: Said) -> Iterator[Evidence]:
    """ "Ann Lee from Leeds", "the one in York": where the customer is said to be. `ends`: of names."""
    for i, word in enumerate(words[:-1]):
        if word.low not in _PLACE_WORDS or (word.low in OF and known.language == "en"):
            continue
        behind = i
        while behind and words[behind - 1].low in _PLACE_WORDS:
            behind -= 1
        before = words[behind - 1] if behind else None
        if before is None or not (
            (before.end in ends and words[behind].start - before.end <= 3)
            or (
                before.low in ONE
                and known.language == "en"
                and behind > 1
                and words[behind - 2].low in ("the", "that", "this")
            )
        ):
            continue
        place: list[Word] = []
        for follower in words[i + 1 : i + 1 + _PLACE_ENDS]:
            if place and not follower.joined:
                break
            if follower.low in known.common and not (follower.capital and follower.low not in known.never):
                break
            if place and place[0].capital and not follower.capital:
                break
            if follower.low in _BORN or follower.low in _PLACE_WORDS:
                break
            place.append(follower)
        if len(place) > 1 and place[-1].low in FIRMS:
            place.pop()  # "Tom Fern from Northgate Ltd"
        if place and not any(part.low in THINGS and (part.low not in FEATURES or len(place) < 2) for part in place):
            start, end = place[0].start, place[-1].end
            yield Evidence(kind="place", value=" ".join(part.text for part in place), start=start, end=end)


def _lives_in(said: Said) -> Iterator[Evidence]:
    """ "She lives in Leeds", "the city is Leeds", "in Leeds", where no question begins the message."""
    alone = said.low.startswith("in ") and len(said.plain) <= _PLACE_ENDS
    if not alone and (not LIVES_IN.may_be_in(said.keywords, said.plain) or _DOES.match(said.low)):
        return
    for match in _LIVING.finditer(said.low):
        if (match["lives"] or alone) and is_unknown(match["place"]):
            start, end = match.span("place")
            yield Evidence(kind="place", value=said.text[start:end], start=start, end=end)


def _towns(evidence: Iterable[Evidence], text: str) -> Iterator[Evidence]:
    """ "Ann Lee, Leeds", "Ann Lee (Leeds)": an unknown word behind a whole name."""
    for item in evidence:
        match = _TOWN.match(text, item.end) if item.kind == "name" and not item.partial else None
        if match is None:
            continue
        first, *more = match["place"].split()
        if first[:1].isupper() != item.value[:1].isupper():
            continue
        if is_unknown(first.lower()) and first.lower() not in GIVEN_NAMES and (not more or match["place"].istitle()):
            start, end = match.span("place")
            yield Evidence(kind="place", value=match["place"], start=start, end=end)


def with_other_towns(places: Iterable[Evidence], said: Said) -> Iterator[Evidence]:
    """The places, and those said instead of one: "from York, no wait, Derby", "from York or Derby"."""
    for place in places:
        other = _OR_TOWN.match(said.low, place.end)
        if other is not None and is_unknown(other["place"]):
            place = replace(place, alternatives=(other["place"],))
        yield place
        at = said.correction_behind(place.end) if other is None and said.may_deny else -1
        town = _TOWN_AT.match(said.low, at) if at >= place.end else None
        if town is not None and is_unknown(town["place"]) and town["place"] not in GIVEN_NAMES:
            said.correct_at(at)
            start, end = town.span("place")
            yield Evidence(kind="place", value=said.text[start:end], start=start, end=end)
