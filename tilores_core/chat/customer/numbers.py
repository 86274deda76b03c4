"""Numbers as they are said: "five oh three double five", "nineteen fifty two", "zweiter November".

They become figures before the text is read for phone numbers, ids and dates. text2num reads the words; it is
imported by the first text that has some. A single number word stays what it is ("the one in York") unless a month
stands beside it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from tilores_core.chat.customer.tokens import TextScan, Token
from tilores_core.chat.customer.words import (
    ENGLISH,
    LANGUAGES,
    all_phrases,
    keywords,
    numbers_of,
    phrases,
    word_set,
    words_in_any,
)

_TOKEN = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|\d{1,4}(?!\d)")
_ADDRESS = re.compile(r"\S+@\S+")
_HYPHENED = re.compile(r"-(?:(?<=ty-)|(?<=un-)|(?<=und-))[a-z]")
_BETWEEN = re.compile(r"[ ,.\-]{1,3}")
_CENTURIES: Final = ("18", "19", "20")
_LEAST_YEAR: Final = 1800
_MOST_RUN: Final = 40  # tokens
_OWNERS: Final = words_in_any("owner")
_NUMBER_NOUNS: Final = frozenset(("id", "numero", "número", "numéro", "kundennummer", "klantnummer"))
_BORN: Final = frozenset(word for phrase in all_phrases("born") for word in phrase.split() if len(word) > 2)
_BEFORE_SINGLE: Final = keywords(_OWNERS | _NUMBER_NOUNS | _BORN)
_ONES: Final = frozenset(("one", "ein", "eine", "eins", "un", "une", "uno", "una", "een", "um", "uma"))
_ARTICLES: Final = frozenset(("ein", "eine", "un", "une", "una", "uma"))  # alone they are no number
_LINKING: Final = word_set(
    "is was in the year of ist im jahr en l'année le nel el anno año ano em het jaar no number nummer"
)


class Text(NamedTuple):
    """A text with figures for number words; `places` maps its positions to those of the original."""

    text: str
    places: tuple[tuple[int, int], ...]

    def origin(self, position: int) -> int:
        """Where in the original the character at `position` comes from."""
        at = bisect_right(self.places, (position, 1 << 30)) - 1
        if at < 0:
            return position
        here, there = self.places[at]
        return there + position - here


class _Numbers(NamedTuple):
    word: re.Pattern[str]
    zero: frozenset[str]
    double: frozenset[str]
    triple: frozenset[str]
    joins: frozenset[str]
    linked: frozenset[str]  # words for double and triple, and `joins`
    months: frozenset[str]
    days: dict[str, int]
    day_words: frozenset[str]
    of: frozenset[str]
    language: str


@lru_cache(maxsize=len(LANGUAGES))
def _numbers(language: str) -> _Numbers:
    data = numbers_of(language)
    return _Numbers(
        word=re.compile(f"(?:{data['word']})"),
        zero=frozenset(data["zero"].split()),
        double=frozenset(data["double"].split()),
        triple=frozenset(data["triple"].split()),
        joins=frozenset(data["and"].split()),
        linked=frozenset(f"{data['and']} {data['double']} {data['triple']}".split()),
        months=frozenset(data["months"].replace("|", " ").split()),
        days={
            spelling: day
            for day, entry in enumerate(phrases(data["days"]), 1)
            for word in entry.split()
            for spelling in (word, word.replace("-", " "))
        },
        day_words=frozenset(word for entry in phrases(data["days"]) for word in entry.replace("-", " ").split()),
        of=frozenset(data["of"].split()),
        language=language,
    )


@lru_cache(maxsize=4096)
def _is_number_word(word: str, language: str) -> bool:
    numbers = _numbers(language)
    return word not in numbers.joins and numbers.word.fullmatch(word) is not None


@lru_cache(maxsize=4096)
def _glued_language(word: str) -> str | None:
    """The language of a number in one word: "novantacinque", "neunzehnhundertvierzig"."""
    return next((name for name in ("de", "it", "nl") if _is_number_word(word, name)), None)


_SHORTEST_GLUED: Final = 8
_MONTHS: Final = {name: keywords(numbers_of(name)["months"].replace("|", " ").split()) for name in LANGUAGES}
_DIGITS: Final = {name: keywords(numbers_of(name)["digits"].split()) for name in LANGUAGES}
_DIGIT_OF: Final = {
    name: {
        word: str(n) for n, word in enumerate(w for w in numbers_of(name)["digits"].split() if w != "zwo") if n < 10
    }
    for name in LANGUAGES
    if name != "fr"  # whose list leaves out what are common words
}
_ANY_FOREIGN: Final = frozenset().union(*(_MONTHS[name] | _DIGITS[name] for name in LANGUAGES[1:]))
_FEWEST_DIGITS: Final = 3


def number_language(page: TextScan, language: str) -> str:
    """The language of the numbers in a text: mostly the text's, but a date or a number may be said in another."""
    if _ANY_FOREIGN.isdisjoint(page.keywords):
        for word in page.words - ENGLISH.common:
            if len(word) >= _SHORTEST_GLUED and (found := _glued_language(word)) is not None:
                return found
        return language
    foreign = page.keywords & _ANY_FOREIGN
    if foreign & (_MONTHS[language] | _DIGITS[language]):
        return language
    counts = {
        name: len(foreign & _DIGITS[name]) + _FEWEST_DIGITS * len(foreign & _MONTHS[name]) for name in LANGUAGES
    }
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] >= _FEWEST_DIGITS else language


_TWO_PARTS = re.compile("(negentien|achttien)(?!honderd)([a-zë]+)")  # of a year in Dutch
_MULTIPLIED = re.compile(r"(?:double|triple) \d(?!\d)", re.IGNORECASE)
_ENGLISH_WORDS: Final = keywords(numbers_of("en")["word"].split("|"))
_ENGLISH_FIGURES: Final = keywords(("double", "triple")) | _ENGLISH_WORDS | _MONTHS["en"]
keywords(  # of which `with_figures` looks for those of one language
    word
    for language in LANGUAGES
    for key in ("double", "triple", "days")
    for word in re.findall(r"[^\W\d_]+", numbers_of(language)[key])
)


def with_figures(page: TextScan, language: str, *, least: int = _LEAST_YEAR) -> Text | None:
    """Return the text with figures for the numbers in it that are said in words; None where there are none.

    A single number word stays as it is below `least`, as do "a hundred" and "thousand".
    """
    text, words = page.text, page.keywords
    hyphened = "-" in text and _HYPHENED.search(page.low) is not None
    if language == "en" and not hyphened and words.isdisjoint(_ENGLISH_FIGURES):
        return None  # most texts
    numbers = _numbers(language)
    dated = not numbers.months.isdisjoint(words)
    cued = not words.isdisjoint(_BEFORE_SINGLE)
    if language == "en":
        multiplied = "double" in words or "triple" in words
        fewest = 1 if dated or cued or least < _LEAST_YEAR or multiplied else 2
        ordinal = dated and not numbers.day_words.isdisjoint(words)
        said = words & _ENGLISH_WORDS
        enough = len(said) >= fewest
        if not enough and len(said) == 1 and said.isdisjoint(numbers.zero):  # "five five five"
            enough = len(page.starts_of(said)) >= fewest
        enough = enough or (multiplied and _MULTIPLIED.search(text) is not None)
        if not enough and not ordinal and not hyphened:
            return None
    elif numbers.day_words.isdisjoint(words):
        said = frozenset([word for word in page.words if _is_number_word(word, language)])
        if said <= _ARTICLES:
            return None
    tokens: Sequence[Token] = page.runs
    if "-" in text or page.numeric:
        tokens = [(*match.span(), match[0]) for match in _TOKEN.finditer(page.low)]
    runs = _runs(text, tokens, numbers, language, least)
    if "@" in text:  # one.two@example.com stays as it is
        addresses = [match.span() for match in _ADDRESS.finditer(text)]
        runs = [run for run in runs if all(run[1] <= start or run[0] >= end for start, end in addresses)]
    return _replace_runs(text, runs) if runs else None


def _runs(text: str, tokens: Sequence[Token], numbers: _Numbers, language: str, least: int) -> list[Token]:
    found: list[Token] = []
    reached, dated = 0, -1  # where a day and month end
    for i, (_, _, word) in enumerate(tokens):
        if i < reached or not _begins_number(word, language):
            continue
        day = _day(text, tokens, i, numbers)
        if day is not None:
            used, value = day
            found.append((tokens[i][0], tokens[i + used - 1][1], value))
            reached = dated = i + used
            continue
        j = _end_of_run(text, tokens, i, language, figures=least == _LEAST_YEAR)
        if j > i + 1 and i and tokens[j - 1][2] == "one" and tokens[i - 1][2] == "the":
            j -= 1  # "the sixty seven one"
        if j > i:
            figures = _figures(tokens, i, j, numbers, language, least, dated=i == dated)
            if figures is not None:
                found.append((tokens[i][0], tokens[j - 1][1], figures))
            reached = j
    return found


def _day(text: str, tokens: Sequence[Token], i: int, numbers: _Numbers) -> tuple[int, str] | None:
    """An ordinal beside a month: how many tokens it takes, and the day, or the day and the month."""
    if tokens[i][2].partition("-")[0] not in numbers.day_words:
        return None
    for used in (2, 1):
        if i + used > len(tokens):
            continue
        spelling = " ".join([token[2] for token in tokens[i : i + used]])
        value = numbers.days.get(spelling)
        if value is None:
            continue
        after = i + used
        dated = numbers.language == "de" or (  # which says the months as numbers, too
            after + 1 < len(tokens) and _role(tokens[after + 1][2], numbers.language) in ("number", "join")
        )
        if dated and after < len(tokens) and (month := numbers.days.get(tokens[after][2])) and month <= 12:
            return used + 1, f"{value}. {month}."  # "dritter fünfter neunzehnhundertachtzig"
        while after < len(tokens) and tokens[after][2] in numbers.of:
            after += 1
        before = i - 1
        while before >= 0 and (tokens[before][2] in numbers.of or tokens[before][2] == "the"):
            before -= 1
        if (after < len(tokens) and tokens[after][2] in numbers.months) or (
            before >= 0 and tokens[before][2] in numbers.months
        ):
            return used, str(value)
    return None


@lru_cache(maxsize=4096)
def _role(word: str, language: str) -> Literal["", "figures", "join", "number"]:
    """What a word is in a number; "double" and "triple" count as numbers."""
    numbers = _numbers(language)
    if word.isdecimal():
        return "figures"
    if word in numbers.joins:
        return "join"
    if "-" in word:
        return "number" if all(_role(part, language) in ("number", "join") for part in word.split("-")) else ""
    return "number" if word in numbers.linked or _is_number_word(word, language) else ""


@lru_cache(maxsize=4096)
def _begins_number(word: str, language: str) -> bool:
    return _role(word, language) in ("number", "figures") or word.partition("-")[0] in _numbers(language).day_words


@lru_cache(maxsize=1024)
def _as_groups(words: str, language: str) -> tuple[str, ...]:
    from text_to_num import alpha2digit  # type: ignore[import-untyped]  # it has no types

    return tuple(alpha2digit(words, language, 0).replace("-", " ").split())


def _end_of_run(text: str, tokens: Sequence[Token], i: int, language: str, *, figures: bool) -> int:
    """The end of the run of number words that begins at token `i`; `figures` may stand among them."""
    last, said = i, False
    for j in range(i, min(i + _MOST_RUN, len(tokens))):
        if j > i and (gap := text[tokens[j - 1][1] : tokens[j][0]]) != " " and not _BETWEEN.fullmatch(gap):
            break
        role = _role(tokens[j][2], language)
        if role == "number":
            said, last = True, j + 1
        elif role == "figures" and figures and (said or j == i):
            last = j + 1
        elif role != "join" or j == i:
            break
    return last if said else i


def _is_announced(tokens: Sequence[Token], i: int) -> bool:
    """Whether an id or a year must follow: "customer number twelve", "nata nel novantacinque"."""
    word = tokens[i][2]
    if i > 1 and tokens[i - 1][2] == "no" and ((two := tokens[i - 2][2]).isdecimal() or _is_number_word(two, "en")):
        return True  # "customer three zero zero one no five"
    before = [token[2] for token in tokens[max(0, i - 4) : i]]
    while before and before[-1] in _LINKING:
        before.pop()
    if not before or before[-1] not in _BEFORE_SINGLE:
        return False
    return word not in _ONES or before[-1] in _NUMBER_NOUNS


def _is_birth(tokens: Sequence[Token], i: int, numbers: _Numbers) -> bool:
    """Whether a date of birth must follow: "born on the twelve nine sixty four"."""
    while i and (tokens[i - 1][2] in _LINKING or tokens[i - 1][2] in numbers.of):
        i -= 1
    return i > 0 and tokens[i - 1][2] in _BORN


def _figures(
    tokens: Sequence[Token],
    i: int,
    j: int,
    numbers: _Numbers,
    language: str,
    least: int,
    *,
    dated: bool,
) -> str | None:
    """The words from token `i` to `j` as figures; `dated`: a day and a month stand right before."""
    words = [word for token in tokens[i:j] for word in _plain(token[2], language)]
    before, behind = tokens[i - 1][2] if i else "", [token[2] for token in tokens[j : j + 2]]
    beside_month = (
        dated
        or before in numbers.months
        or "slash" in (before, *behind[:1])
        or not numbers.months.isdisjoint(behind)
        or (before in numbers.of and i > 1 and tokens[i - 2][2] in numbers.months)
    )
    expanded: list[str] = []
    times = 1
    for word in words:
        if word in numbers.double or word in numbers.triple:
            times = 2 if word in numbers.double else 3
            continue
        expanded += [word] * times
        times = 1
    digits = _DIGIT_OF.get(language, {})
    if len(expanded) > 1 and digits.keys() >= set(expanded):
        groups = [digits[word] for word in expanded]
    else:
        groups = list(_as_groups(" ".join(expanded), language))
    if least < _LEAST_YEAR and not numbers.joins.isdisjoint(groups):
        return " ".join(groups)
    if not groups or not all(map(str.isdecimal, groups)):
        return None  # "two and three" are two numbers
    if len(words) == 1 and words[0] in _ZEROS:
        return None  # "April O'Brien"
    single = len(groups) == 1 and len(words) == 1 and int(groups[0]) < least
    if single and not (beside_month or _is_announced(tokens, i)):
        return None
    if least < _LEAST_YEAR and groups in (["100"], ["1000"]):
        return None
    born = len(groups) in (3, 4) and _is_birth(tokens, i, numbers)
    if (
        len(groups) >= 2
        and groups[-2] in _CENTURIES
        and len(groups[-1]) == 2
        and (len(groups) == 2 or beside_month or born)
    ):
        groups[-2:] = [groups[-2] + groups[-1]]
    if born and len(groups) == 3 and len(groups[2]) in (2, 4) and max(map(int, groups[:2])) <= 31:
        return "/".join(groups)  # "born twelve nine sixty four"
    if len(groups) == 2 and beside_month:
        return " ".join(groups)
    return "".join(groups)


@lru_cache(maxsize=4096)
def _plain(word: str, language: str) -> tuple[str, ...]:
    zero = _numbers(language).zero
    if word in zero:
        return (min(zero & _ZEROS, default="zero"),)
    if (parts := _TWO_PARTS.fullmatch(word)) is not None:
        return parts.groups()
    return ({"meia": "seis", "zwo": "zwei"}.get(word, word),)


_ZEROS: Final = frozenset(("null", "zéro", "cero", "zero", "nul"))


def _replace_runs(text: str, runs: Sequence[Token]) -> Text:
    parts: list[str] = []
    places: list[tuple[int, int]] = []
    reached = length = 0
    for start, end, figures in runs:
        parts += [text[reached:start], figures]
        length += start - reached
        places.append((length, start))
        length += len(figures)
        places.append((length, end))
        reached = end
    parts.append(text[reached:])
    return Text("".join(parts), tuple(places))
