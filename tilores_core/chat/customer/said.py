"""What a message says beside identifiers: what it rules out, takes back, and refers to.

Negation counts only where nothing but light words stands between it and what is negated: "not the one born in 2010",
but not "why has the one in Leeds not paid".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Final

from tilores_core.chat.customer.words import (
    LANGUAGES,
    PARTICLES,
    TITLES,
    Phrases,
    all_phrases,
    alternation,
    data_of,
    phrases,
    vocabulary,
    words_in_any,
)
from tilores_core.contracts import Evidence, Strength
from tilores_core.identity.names import fold

_WHOLE = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_WORD = re.compile(r"(?:[cdjlmnst]|qu)(?=['’][^\W_]{2})|[^\W_]+(?:['’][^\W_]+)*")  # "d'Oslo" is two words
_BREAK = re.compile(r"[,;.!?:\n]")
_MOST_CONTENT = 3  # words that one negation reaches
_LONGEST_REPLY = 8  # words of a message that may be no more than a choice

_PLAIN: Final = {
    language: frozenset(f"{data_of('en')['said']['plain']} {data_of(language)['said']['plain']}".split())
    for language in LANGUAGES
}
_MEANING_MORE: Final = frozenset(("no", "sin", "sans", "pas", "ni", "menos", "non"))  # in another language
_NEGATORS: Final = {
    language: (words_in_any("negators") - _MEANING_MORE) | frozenset(data_of(language)["said"]["negators"].split())
    for language in LANGUAGES
}
_UNWANTED: Final = re.compile(rf"(?<![^\W_])(?:{alternation(all_phrases('unwanted'))})(?![^\W_])")
_LIGHT: Final = words_in_any("light") | words_in_any("correction").intersection(("mean",))
_AUXILIARIES: Final = words_in_any("auxiliaries")
_SUBJECTS: Final = words_in_any("subjects_before")
_OR: Final = frozenset(("or", "nor", "and", "oder", "und", "ou", "et", "o", "y", "e", "of", "en"))
_BUT: Final = words_in_any("but")


def _phrase(key: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_])(?:{alternation(all_phrases(key))})(?![^\W_])")


_CORRECTION: Final = re.compile(
    rf"(?<![^\W_])(?:{alternation(all_phrases('correction'))})(?![^\W_])(?![ ](?:of|than|que|di|van|von|statt)\b)"
)
_NO: Final = re.compile(r"(?:(?:^|[.!?;\n]\s*)(?:{0})\b[ ,.]|,[ ](?:{0})[,.])".format("no|nein|non|nee|não|nope"))
_NO_WORDS: Final = frozenset(("no", "nein", "non", "nee", "não", "nope"))
_MEANT: Final = _phrase("meant")
_WORDS = re.compile(r"[^\W\d_]+")


def _beginnings(words: Iterable[str]) -> frozenset[str]:
    """The words, of "isn't" what stands before the apostrophe."""
    return frozenset(word.partition("'")[0] for word in words)


_CORRECTING: Final = Phrases("correction", "meant")
_NEGATING: Final = _beginnings(word for words in _NEGATORS.values() for word in words)
_RULING_OUT: Final = Phrases("unwanted")
_REFERRING: Final = {key: Phrases(key) for key in ("previous", "first_one", "rejection", "other")}
_REJECTION: Final = _phrase("rejection")
_REJECTED_ALONE: Final = frozenset(all_phrases("rejection_alone"))
_OTHER: Final = _phrase("other")
_PREVIOUS: Final = _phrase("previous")
_INITIAL: Final = _phrase("first_one")
_OTHER_NAMES: Final = words_in_any("other_name")
_OTHER_OF_NAME: Final = re.compile(  # "another Ann Lee"
    rf"(?<![^\W_])(?:{alternation(words_in_any('other_name'))})[ ](?=[^\W\d_a-z][^\W\d_]+[ ][^\W\d_a-z])"
)
_FAMOUS: Final = _phrase("famous")
_RELATIONS: Final = words_in_any("relations")
_RELATIVE_WORDS: Final = _RELATIONS | {f"{word}s" for word in _RELATIONS}
_POSSESSIVES: Final = words_in_any("possessives")
_RELATION_FIELDS: Final = words_in_any("relation_field")
_ONE: Final = words_in_any("one")
_ASKING: Final = words_in_any("asking")
_OF: Final = frozenset(("of", "von", "de", "van", "di", "do", "da", "del", "d"))
_ARTICLES: Final = frozenset(("die", "der", "seine", "ihre", "la", "a", "de", "the"))
_PRONOUNS_OF: Final = frozenset(("dele", "dela", "deles", "delas", "suya", "suyo"))  # "a esposa dele"
_QUESTIONS: Final = frozenset(("who", "when", "where", "why"))
_OWNING: Final = frozenset(("his", "her", "their", "my"))
_OWNS: Final = re.compile(r"\b(?:his|her|their|my) [^\W\d_]+'s\b")
_OWNED_THINGS: Final = vocabulary("en").subjects | frozenset(
    ["customer", "client", "car", "house", "home", "phone", "job"]
)
_OLDER: Final = words_in_any("older")
_YOUNGER: Final = words_in_any("younger")
_LAST: Final = words_in_any("last")
_AGES: Final = _OLDER | _YOUNGER
COMPARATIVES: Final = words_in_any("comparative")
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
# What may stand in a reply that chooses by a number alone: "the second one please".
_CHOOSING: Final = (
    _ONE | words_in_any("light") | words_in_any("correction") | words_in_any("choosing")
    | frozenset().union(*(vocabulary(language).courtesies for language in LANGUAGES))
)  # fmt: skip


class Said:
    """The words of a message in lower case without accents, and which of them are negated."""

    def __init__(self, text: str, language: str = "en", words: frozenset[str] | None = None) -> None:
        """`words`: those of the text in lower case, where they are known already; they save most of the work."""
        self.text = text
        self.plain = words
        self._may_say_no = words is None or not _NO_WORDS.isdisjoint(words)
        self._may_rule_out = words is None or _RULING_OUT.may_be_in(words)
        self._may_negate = self._may_rule_out or words is None or not words.isdisjoint(_NEGATING)
        self._may_correct = words is None or _CORRECTING.may_be_in(words)
        self._negators = _NEGATORS[language]
        self._plain = _PLAIN[language]
        self._elided = language in ("fr", "it")
        self.low = text.lower().replace("’", "'")
        self.dated = False
        self._places: list[tuple[int, int, str]] | None = None
        self._negated: frozenset[int] | None = None
        self._corrected_at: int | None = None

    @property
    def places(self) -> list[tuple[int, int, str]]:
        """Each word with where it begins and ends."""
        if self._places is None:
            self._places = [
                (match.start(), match.end(), match[0])
                for match in (_WORD if self._elided else _WHOLE).finditer(self.low)
            ]
        return self._places

    @property
    def words(self) -> list[str]:
        return [word for _, _, word in self.places]

    @cached_property
    def folded(self) -> list[str]:
        """The words without accents."""
        return self.words if self.low.isascii() else [fold(word) for word in self.words]

    @property
    def negated(self) -> frozenset[int]:
        """Where the words begin that the message rules out."""
        if self._negated is None:
            self._negated = frozenset(self._find_negated() if self._may_negate else ())
        return self._negated

    def is_negated(self, start: int) -> bool:
        return start in self.negated

    def corrects(self) -> bool:
        """Whether something said before is taken back: "sorry, I meant", "no, …"."""
        return (self._may_correct and _CORRECTION.search(self.low) is not None) or (
            self._may_say_no and _NO.search(self.low) is not None
        )

    def means_another(self) -> bool:
        """Whether it says that something else was meant: "I meant …"."""
        return self._may_correct and _MEANT.search(self.low) is not None

    def last_correction(self) -> int:
        """Where the last correction ends; -1 when there is none."""
        if self._corrected_at is None:
            found = _CORRECTION.finditer(self.low) if self._may_correct else ()
            self._corrected_at = max((match.end() for match in found), default=-1)
        return self._corrected_at

    def last_no(self) -> int:
        """Where the last correction or "no" ends; -1 when there is none."""
        found = _NO.finditer(self.low) if self._may_say_no else ()
        return max(self.last_correction(), max((match.end() for match in found), default=-1))

    def is_famous(self) -> bool:
        """Whether the question is of the kind that is asked about people of history: "who was …"."""
        return _FAMOUS.search(self.low) is not None

    def _find_negated(self) -> Iterator[int]:
        places = self.places
        starts = [match.end() for match in _UNWANTED.finditer(self.low)] if self._may_rule_out else []
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
                if content and word not in PARTICLES:
                    return
                yield start
                continue
            if word in _OR and content:
                content = 0
                continue
            if content >= _MOST_CONTENT or word in self._plain:
                return
            content += 1
            yield start


# --- references ------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _any_reference() -> frozenset[str]:
    """Words of which a message must have one to refer to something: a cheap test."""
    return _RELATIVE_WORDS | frozenset(_ORDINALS) | _OLDER | _YOUNGER | _LAST | _ORDINAL_NUMBER


def references(said: Said, plain: frozenset[str]) -> Iterator[Evidence]:
    """Choices, rejections and relatives that the message speaks of; `plain` are its words, without a number among
    them."""
    low = said.low
    short = len(plain) <= _LONGEST_REPLY
    related = not plain.isdisjoint(_RELATIVE_WORDS) or ("'s" in low and _OWNS.search(low) is not None)
    if short and (alone := low.strip(" .,!?")) in _REJECTED_ALONE:
        yield Evidence(kind="rejection", value="", start=0, end=len(alone), polarity="negated")
        return
    refers = {key for key, phrases in _REFERRING.items() if phrases.may_be_in(plain)}
    other = not _OTHER_NAMES.isdisjoint(plain)
    if (
        not (related or refers or other)
        and _any_reference().isdisjoint(plain)
        and not (short and _is_number_alone(said.words))
    ):
        return
    if "previous" in refers and (match := _PREVIOUS.search(low)):
        yield _reference("choice", "previous", match)
    elif "first_one" in refers and (match := _INITIAL.search(low)):
        yield _reference("choice", "initial", match)
    elif (
        "rejection" in refers and (match := _REJECTION.search(low)) and not (match[0] == "neither" and "nor" in plain)
    ):
        yield Evidence(kind="rejection", value="", start=match.start(), end=match.end(), polarity="negated")
    if ("other" in refers and short and len(said.places) <= _LONGEST_REPLY and (match := _OTHER.search(low))) or (
        other and (match := _OTHER_OF_NAME.search(said.text))
    ):
        yield _reference("choice", "other", match)
    if len(plain) <= _LONGEST_REPLY or not _AGES.isdisjoint(plain):
        yield from _ordinals(said)
    if related:
        yield from _relatives(said)


def _is_number_alone(words: list[str]) -> bool:
    return 0 < len(words) <= _LONGEST_REPLY and any(
        word in _CARDINALS or word in _ORDINALS or (word.isascii() and word.isdigit()) for word in words
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
    if len(places) > _LONGEST_REPLY or (places and places[0][2] in _QUESTIONS):
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
            yield from _by_age(said, found)
            return  # it says more than which one
    taken_back = said.last_no()
    meant = {value: place for value, place in found.items() if place[0] >= taken_back} or found
    negated = [said.is_negated(start) for start, _ in meant.values()]
    if len(meant) == 1 or all(negated):
        for (value, (start, end)), ruled_out in zip(meant.items(), negated, strict=True):
            yield Evidence(
                kind="choice", value=value, start=start, end=end, polarity="negated" if ruled_out else "reference"
            )


def _by_age(said: Said, found: dict[str, tuple[int, int]]) -> Iterator[Evidence]:
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
            yield Evidence(
                kind="choice", value=value, start=said.places[i][0], end=said.places[i][1], polarity="reference"
            )
            return


def _relatives(said: Said) -> Iterator[Evidence]:
    """ "His wife's balance", "what about her husband", "his landlord's": not the customer, but not "the name of his
    wife". A name behind "the wife of" is that of the customer, who is not meant either (`supplement`)."""
    places = said.places
    for i, (start, end, word) in enumerate(places):
        relation = word.removesuffix("'s")
        before = places[i - 1][2] if i else ""
        following = places[i + 1][2] if i + 1 < len(places) else ""
        known = relation in _RELATIONS or (word.endswith("s") and word[:-1] in _RELATIONS)
        if not known and not (relation != word and before in _OWNING and relation not in _OWNED_THINGS):
            continue
        of = following in _OF and (relation not in TITLES or before in _ARTICLES)
        owned = before in _POSSESSIVES or before.endswith("'s") or (i > 1 and places[i - 2][2] in _POSSESSIVES)
        owned = owned or (before[-1:] == "s" and before not in ("is", "was", "has", "does", "as"))
        owned = owned or of or following in _PRONOUNS_OF
        if not owned or following in _RELATION_FIELDS or _asks_who(said, i):
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
