"""What a message says beside identifiers: what it rules out, takes back, and refers to.

Negation counts only where nothing but light words stands between it and what is negated: "not the one born in 2010",
but not "why has the one in Leeds not paid".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final

from tilores_core.chat.customer.dates import FoundDate
from tilores_core.chat.customer.tokens import TextScan, Token, matches_at
from tilores_core.chat.customer.words import (
    LANGUAGES,
    LETTERS,
    PARTICLES,
    Phrases,
    all_phrases,
    alternation,
    data_of,
    keywords,
    vocabulary,
    words_in_any,
)
from tilores_core.contracts import Evidence
from tilores_core.identity.names import fold

_BREAK = re.compile(r"[,;.!?:\n]")
_MOST_CONTENT = 3  # words that one negation reaches
_FEW_WORDS = 16  # different ones
_LONGEST_CHOICE = 40  # characters

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
_CALLED_WRONG: Final = re.compile(r"[^\W\d_]+(?= (?:is|was) wrong\b)")  # "Derby is wrong"
_LIGHT: Final = words_in_any("light") | words_in_any("correction").intersection(("mean",))
_AUXILIARIES: Final = words_in_any("auxiliaries")
_SUBJECTS: Final = words_in_any("subjects_before")
_OR: Final = frozenset(("or", "nor", "and", "oder", "und", "ou", "et", "o", "y", "e", "of", "en"))
_BUT: Final = words_in_any("but")
_OWNERS: Final = words_in_any("owner")
_ID_BEHIND: Final = re.compile(r"[ ][a-z]{0,4}[ _\-]?\d")


def phrase_pattern(key: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_])(?:{alternation(all_phrases(key))})(?![^\W_])")


_CORRECTION: Final = re.compile(
    rf"(?<![^\W_])(?:{alternation(all_phrases('correction'))})(?![^\W_])(?![ ](?:of|than|que|di|van|von|statt)\b)"
)
_CORRECTION_BEGINS: Final = keywords(LETTERS.findall(phrase)[0] for phrase in all_phrases("correction"))
_DOUBT: Final = words_in_any("doubt")
_NO: Final = re.compile(
    r"(?:(?:^|[.!?;:\n]\s*)(?:{0}|{1})\b[ ,.]|,[ ](?:{0})[,.])".format("no|nein|non|nee|não|nope", "|".join(_DOUBT))
)
_NO_BETWEEN: Final = re.compile(
    r"[\s,.;?!\-]{1,3}(?:no|nein|non|nee|não|nope)[\s,.;!\-]{1,3}(?:(?:wait|sorry|it's|doch)[\s,]{1,2})?(?=\w)"
)
_NO_WORDS: Final = keywords(("no", "nein", "non", "nee", "não", "nope", *_DOUBT))
_MEANT: Final = phrase_pattern("meant")
_YES: Final = words_in_any("yes")


def _beginnings(words: Iterable[str]) -> frozenset[str]:
    """The words, of "isn't" what stands before the apostrophe."""
    return keywords(word.partition("'")[0] for word in words)


_CORRECTING: Final = Phrases("correction", "meant")
_NEGATING: Final = _beginnings(word for words in _NEGATORS.values() for word in words)
_RULING_OUT: Final = Phrases("unwanted")
_DENYING: Final = _NO_WORDS | _NEGATING | _CORRECTING.words | _RULING_OUT.words
ONLY: Final = keywords(words_in_any("only"))
OTHER_NAMES: Final = keywords(words_in_any("other_name"))
_FAMOUS: Final = phrase_pattern("famous")
_ONE: Final = words_in_any("one")
COMPARATIVES: Final = words_in_any("comparative")
# What may stand in a reply that chooses by a number alone: "the second one please".
CHOOSING: Final = (
    _ONE | words_in_any("light") | words_in_any("correction") | words_in_any("choosing")
    | frozenset().union(*(vocabulary(language).courtesies for language in LANGUAGES))
)  # fmt: skip


class Said:
    """The words of a message in lower case without accents, and which of them are negated."""

    _corrected_at: int | None = None
    _may_say_no = _may_rule_out = _may_negate = _may_correct = may_deny = False

    def __init__(self, page: TextScan, language: str = "en", *, dated: bool = False) -> None:
        """`dated`: a whole date was read in it."""
        self.text = page.text
        self.plain = page.words
        self.keywords = words = page.keywords
        self.page = page
        if not words.isdisjoint(_DENYING):
            self._may_say_no = not _NO_WORDS.isdisjoint(words)
            self._may_rule_out = _RULING_OUT.may_be_in(words, page.words)
            self._may_negate = self._may_rule_out or "wrong" in words or not words.isdisjoint(_NEGATING)
            self._may_correct = _CORRECTING.may_be_in(words, page.words)
            self.may_deny = self._may_say_no or self._may_negate or self._may_correct
        self._language = language
        self.low = page.low.replace("’", "'")
        self.dated = dated

    @cached_property
    def places(self) -> list[Token]:
        """Each word with where it begins and ends."""
        return self.page.whole_words(elided=self._language in ("fr", "it"))

    @cached_property
    def words(self) -> list[str]:
        return [word for _, _, word in self.places]

    @cached_property
    def folded(self) -> list[str]:
        """The words without accents."""
        return self.words if self.low.isascii() else [fold(word) for word in self.words]

    @cached_property
    def negated(self) -> frozenset[int]:
        """Where the words begin that the message rules out."""
        return frozenset(self._find_negated() if self._may_negate else ())

    def is_negated(self, start: int) -> bool:
        return start in self.negated

    def corrects(self) -> bool:
        """Whether something said before is taken back: "sorry, I meant", "no, …"."""
        return self.last_no() >= 0

    def confirms(self) -> bool:
        """Whether it begins with a yes."""
        return self.words[0] in _YES if self.words else False

    def means_another(self) -> bool:
        """Whether it says that something else was meant: "I meant …"."""
        return self._may_correct and _MEANT.search(self.low) is not None

    def last_correction(self) -> int:
        """Where the last correction ends; -1 when there is none."""
        if self._corrected_at is None:
            starts = self.page.starts_of(_CORRECTION_BEGINS) if self._may_correct else ()
            found = matches_at(_CORRECTION, self.low, starts)
            self._corrected_at = max((match.end() for match in found), default=-1)
        return self._corrected_at

    def correct_at_no(self, found: Sequence[Evidence | FoundDate]) -> None:
        """Take "no" between two things that were found for a correction: "jane roe no richard roe"."""
        if not self._may_say_no or not found:
            return
        spans = [(item.start, item.end) for item in found]
        for match in _NO_BETWEEN.finditer(self.low):
            before = any(end == match.start() for _, end in spans)
            if before and (self.low[match.end()].isdecimal() or any(start == match.end() for start, _ in spans)):
                self.correct_at(match.end())

    def correction_behind(self, end: int) -> int:
        """Where a correction or a "no" ends that follows on what ends at `end`; -1 when there is none."""
        match = _NO_BETWEEN.match(self.low, end) if self._may_say_no else None
        return max(self.last_correction(), match.end() if match else -1)

    def correct_at(self, place: int) -> None:
        """Take what ends at `place` for a correction."""
        self._corrected_at = max(self.last_correction(), place)

    def last_no(self) -> int:
        """Where the last correction or "no" ends; -1 when there is none."""
        if not (self._may_say_no or self._may_correct):
            return -1
        found = _NO.finditer(self.low) if self._may_say_no else ()
        return max(self.last_correction(), max((match.end() for match in found), default=-1))

    def says_other(self, start: int) -> bool:
        """Whether "other" or "another" stands right before what begins at `start`."""
        if OTHER_NAMES.isdisjoint(self.keywords):
            return False
        words = self.low[:start].split()
        return bool(words) and words[-1] in OTHER_NAMES

    def is_only(self, start: int, end: int) -> bool:
        """Whether "only" or "just" stands right before or behind what is between two places."""
        if ONLY.isdisjoint(self.keywords):
            return False
        beside = (*self.low[:start].split()[-1:], *self.low[end:].split()[:1])
        return not ONLY.isdisjoint(word.strip(".,!?") for word in beside)

    def is_in(self, language: str) -> bool:
        return self._language == language

    def is_short(self) -> bool:
        """Whether it has few words: a cheap test before all of them are looked at."""
        return len(self.plain) <= _FEW_WORDS

    @cached_property
    def lone_number(self) -> str:
        """The number that is all that the message says; of two digits where a year is: "the sixty seven one"."""
        digits = [word for word in self.words if word.isdecimal()] if len(self.low) < _LONGEST_CHOICE else []
        alone = len(digits) == 1 and all(word in CHOOSING or word in digits for word in self.words)
        return digits[0] if alone else ""

    def is_famous(self) -> bool:
        """Whether the question is of the kind that is asked about people of history: "who was …"."""
        return _FAMOUS.search(self.low) is not None

    def _find_negated(self) -> Iterator[int]:
        places = self.places
        yield from (match.start() for match in _CALLED_WRONG.finditer(self.low))
        starts = [match.end() for match in _UNWANTED.finditer(self.low)] if self._may_rule_out else []
        for i, (_, end, word) in enumerate(places):
            before = places[i - 1][2] if i else ""
            if word == "no" and before in _OWNERS and _ID_BEHIND.match(self.low, end):
                continue  # "cliente no 8745" may be a number as well
            if word in _NEGATORS[self._language] and (word not in _AUXILIARIES or before in _SUBJECTS):
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
            if content >= _MOST_CONTENT or word in _PLAIN[self._language]:
                return
            content += 1
            yield start
