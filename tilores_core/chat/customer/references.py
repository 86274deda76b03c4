"""What a message refers to: choices from a list, another customer, relatives of the one named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from tilores_core.chat.customer.said import CHOOSING, OTHER_NAMES, Said, phrase_pattern
from tilores_core.chat.customer.words import (
    ARTICLES,
    CONNECTING,
    LANGUAGES,
    ORDINARY,
    RELATIONS,
    TITLES,
    Phrases,
    all_phrases,
    alternation,
    data_of,
    keywords,
    phrases,
    vocabulary,
    word_set,
    words_in_any,
)
from tilores_core.contracts import Evidence, Strength
from tilores_core.identity.names import fold

LONGEST_REPLY: Final = 8
"""Words of a message that may be no more than a choice."""
_REFERRING: Final = {key: Phrases(key) for key in ("previous", "first_one", "rejection", "other")}
_REFERRING_ANY: Final = Phrases(*_REFERRING)
_REJECTION: Final = phrase_pattern("rejection")
_REJECTED_ALONE: Final = frozenset(all_phrases("rejection_alone"))
_PREVIOUS_ALONE: Final = frozenset(all_phrases("previous_alone"))
_OTHER: Final = re.compile(rf"{phrase_pattern('other').pattern}|\bthe other(?= please|[ .,!?]*$)")
_PREVIOUS: Final = phrase_pattern("previous")
_INITIAL: Final = phrase_pattern("first_one")
_OTHER_AT: Final = re.compile(r"\bother (?:one|person|customer|client|caller) (?:at|with|on|under)\b")
_OTHER_OF_NAME: Final = re.compile(  # "another Ann Lee"
    rf"(?<![^\W_])(?:{alternation(words_in_any('other_name'))})[ ](?=[^\W\d_a-z][^\W\d_]+[ ][^\W\d_a-z])"
)
_RELATIVE_WORDS: Final = RELATIONS | {f"{word}s" for word in RELATIONS}
_POSSESSIVES: Final = words_in_any("possessives")
_RELATION_FIELDS: Final = words_in_any("relation_field")
_ASKING: Final = words_in_any("asking")
_OF: Final = frozenset(("of", "von", "de", "van", "di", "do", "da", "del", "d"))
_ARTICLES: Final = frozenset(("die", "der", "seine", "ihre", "la", "a", "de", "the"))
_PRONOUNS_OF: Final = frozenset(("dele", "dela", "deles", "delas", "suya", "suyo"))  # "a esposa dele"
_QUESTIONS: Final = frozenset(("who", "when", "where", "why"))
_OWNING: Final = frozenset(("his", "her", "their", "my"))
_BESIDE_WORDS: Final = keywords(word_set("same than as share shares sharing before after lives living next"))
_BESIDE: Final = re.compile(
    r"\b(?:(?:same|shares?|sharing)(?: \w+){0,3} (?:as|with)|(?<!rather )(?<!other )than|"
    r"(?:lives?|living) (?:with|next (?:door )?to)|"
    rf"(?:{alternation(words_in_any('someone'))}) (?:right |just )?(?:before|after)) $"
)
_OWNS: Final = re.compile(r"\b(?:his|her|their|my) [^\W\d_]+'s\b")
_OWNED_THINGS: Final = vocabulary("en").subjects | word_set("customer client car house home phone job")
_OLDER: Final = words_in_any("older")
_YOUNGER: Final = words_in_any("younger")
_LAST: Final = words_in_any("last")
_AGES: Final = _OLDER | _YOUNGER
_ORDINAL_NUMBER: Final = words_in_any("ordinal_number")
_ORDINALS: Final = {
    form: str(place)
    for language in LANGUAGES
    for place, entry in enumerate(phrases(data_of(language)["said"]["ordinals"]), 1)
    for spelling in entry.split()
    for form in (spelling, fold(spelling))
}
_CARDINALS: Final = {
    word: str(place)
    for language in LANGUAGES
    for place, word in enumerate([w for w in data_of(language)["numbers"]["digits"].split() if w != "zwo"][1:], 1)
    if language in ("en", "de", "es", "it", "nl", "pt")
}
_IN_REPLIES: Final = keywords((*_ORDINALS, *_LAST, *_ORDINAL_NUMBER))
REFERENCE_WORDS: Final = keywords(_RELATIVE_WORDS | _AGES) | OTHER_NAMES | _REFERRING_ANY.words
"""Words of which a message longer than `LONGEST_REPLY` without "'s" must have one to refer to something."""


def references(said: Said) -> Iterator[Evidence]:
    """Choices, rejections and relatives that the message speaks of."""
    low, plain, words = said.low, said.plain, said.keywords
    short = len(plain) <= LONGEST_REPLY
    related = not words.isdisjoint(_RELATIVE_WORDS) or ("'s" in low and _OWNS.search(low) is not None)
    if short and (alone := low.strip(" .,!?")) in _REJECTED_ALONE:
        yield Evidence(kind="rejection", value="", start=0, end=len(alone), polarity="negated")
        return
    if short and alone in _PREVIOUS_ALONE:
        yield _choice("previous", 0, len(alone))
        return
    refers: set[str] = set()
    if _REFERRING_ANY.may_be_in(words, plain):
        refers = {key for key, phrases in _REFERRING.items() if phrases.may_be_in(words, plain)}
    other = not OTHER_NAMES.isdisjoint(words)
    aged = not _AGES.isdisjoint(words)
    counted = short and (
        not _IN_REPLIES.isdisjoint(words)
        or ((said.page.numeric or not _CARDINALS.keys().isdisjoint(words)) and _is_number_alone(said.words))
    )
    if not (related or refers or other or aged or counted):
        return
    if "previous" in refers and (match := _PREVIOUS.search(low)):
        yield _choice("previous", *match.span())
    elif "first_one" in refers and (match := _INITIAL.search(low)):
        yield _choice("initial", *match.span())
    elif (
        "rejection" in refers and (match := _REJECTION.search(low)) and not (match[0] == "neither" and "nor" in plain)
    ):
        yield Evidence(kind="rejection", value="", start=match.start(), end=match.end(), polarity="negated")
    if (
        ("other" in refers or other) and short and len(said.places) <= LONGEST_REPLY and (match := _OTHER.search(low))
    ) or (other and (match := _OTHER_OF_NAME.search(said.text) or _OTHER_AT.search(low))):
        yield _choice("other", *match.span())
    if short or aged:
        yield from _ordinals(said)
    if related:
        yield from _relatives(said)


def beside(said: Said, named: Iterable[Evidence]) -> Iterator[Evidence]:
    """ "Same address as Tom Fern", "the person before C-1001": another person than the one named."""
    if said.keywords.isdisjoint(_BESIDE_WORDS):
        return
    for name in named:
        if name.polarity == "asserted" and (match := _BESIDE.search(said.low, 0, name.start)):
            yield Evidence(
                kind="relative",
                value="beside",
                start=match.start(),
                end=match.end(),
                polarity="reference",
                supplement=True,
            )
            return


def _is_number_alone(words: list[str]) -> bool:
    return 0 < len(words) <= LONGEST_REPLY and any(
        word in _CARDINALS or word in _ORDINALS or (word.isascii() and word.isdecimal()) for word in words
    )


def _choice(value: str, start: int, end: int, *, negated: bool = False) -> Evidence:
    said = Evidence(kind="choice", value=value, start=start, end=end, polarity="reference")
    return replace(said, polarity="negated") if negated else said


def _ordinals(said: Said) -> Iterator[Evidence]:
    places = said.places
    if len(places) > LONGEST_REPLY:
        yield from _by_age(said)
        return
    if places and places[0][2] in _QUESTIONS:
        return
    found: dict[str, tuple[int, int]] = {}
    for i, (start, end, word) in enumerate(places):
        plain = fold(word)
        before = places[i - 1][2] if i else ""
        if plain in _ORDINALS and (before, word) != ("a", "second"):  # "hold on a second"
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
            elif word.isascii() and word.isdecimal() and len(word) < 3 and 0 < int(word) <= 10:
                found[str(int(word))] = (start, end)
        elif plain not in CHOOSING and word not in CHOOSING and word not in _ORDINAL_NUMBER:
            yield from _by_age(said)
            return  # it says more than which one
    taken_back = said.last_no()
    meant = {value: place for value, place in found.items() if place[0] >= taken_back} or found
    negated = [said.is_negated(start) for start, _ in meant.values()]
    if len(meant) == 1 or all(negated):
        for (value, (start, end)), ruled_out in zip(meant.items(), negated, strict=True):
            yield _choice(value, start, end, negated=ruled_out)


def _by_age(said: Said) -> Iterator[Evidence]:
    """ "Clara Holm, the younger one", "the older Clara Holm"."""
    words = said.words
    for i, word in enumerate(words):
        value = "older" if word in _OLDER else "younger" if word in _YOUNGER else None
        if (
            value
            and i
            and words[i - 1] in _ARTICLES
            and (
                words[i + 1 : i + 2] == ["one"]
                or (said.places[i][1] + 1 < len(said.text) and said.text[said.places[i][1] + 1].isupper())
            )
        ):
            yield _choice(value, *said.places[i][:2])
            return


def _relatives(said: Said) -> Iterator[Evidence]:
    """ "His wife's balance", "what about her husband", "his landlord's": not the customer, but not "the name of his
    wife". A name behind "the wife of" is that of the customer, who is not meant either (`supplement`)."""
    places = said.places
    for i, (start, end, word) in enumerate(places):
        if word == "nicht" and not said.is_in("nl"):
            continue  # a niece in Dutch
        relation = word.removesuffix("'s")
        before = places[i - 1][2] if i else ""
        following = places[i + 1][2] if i + 1 < len(places) else ""
        known = relation in RELATIONS or (word.endswith("s") and word[:-1] in RELATIONS)
        if not known and not (relation != word and before in _OWNING and relation not in _OWNED_THINGS):
            continue
        of = following in _OF and (relation not in TITLES or before in _ARTICLES)
        owned = before in _POSSESSIVES or before.endswith("'s") or (i > 1 and places[i - 2][2] in _POSSESSIVES)
        owned = owned or (before[-1:] == "s" and before not in ORDINARY)
        owned = owned or (i == 2 and before in ARTICLES and places[0][2] in CONNECTING)  # "e il marito"
        owned = owned or of or following in _PRONOUNS_OF
        owned = owned or (
            before in CONNECTING and not following and len(places) < LONGEST_REPLY
        )  # "Tom Fern and wife"
        if ((before, word) == ("the", "man") and (not following or len(places) <= 3)) or following in (
            "regards",
            "greetings",
        ):
            continue  # who of a list is meant; "kind" is a child in German
        if not owned or following in _RELATION_FIELDS or _asks_who(said, i) or said.is_negated(start):
            continue
        yield Evidence(
            kind="relative",
            value=relation,
            start=start,
            end=end,
            polarity="reference",
            strength=Strength.STRONG,
            supplement=of,
        )
        return


def _asks_who(said: Said, i: int) -> bool:
    """Whether the relation itself is what is asked for: "who is her husband", "does he have a wife"."""
    words = [word for _, _, word in said.places]
    before = set(words[max(0, i - 6) : i])
    asks = before & _ASKING
    return bool(asks) and words[i : i + 1] != [] and not words[i].endswith("'s")
