"""Dates in free text, also those of which a part is missing: what is said of a birth is often no more than a year.

A date is `YYYY-MM-DD`, `YYYY-MM`, `YYYY`, `--MM-DD` or `--MM`. Of 4/12/1980 the second number is the month when
`day_first`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Final

from tilores_core.chat.customer.tokens import TextScan, matches_at
from tilores_core.chat.customer.words import (
    LANGUAGES,
    LETTERS,
    Phrases,
    all_phrases,
    alternation,
    keywords,
    numbers_of,
    phrases,
    words_in_any,
)
from tilores_core.identity.names import fold

_MOST = 8  # dates per text
_MONTH_NAMES: Final = {
    spelling: number
    for language in LANGUAGES
    for number, entry in enumerate(phrases(numbers_of(language)["months"]), 1)
    for spelling in entry.split()
}
MONTHS: Final = {fold(spelling): number for spelling, number in _MONTH_NAMES.items()}
_MONTH: Final = "|".join(sorted(_MONTH_NAMES.keys() | MONTHS.keys(), key=len, reverse=True))
_OF: Final = r"(?:of|the|de|del|di|do|den|le|d['’])"
_YEAR: Final = r"(?P<{0}>\d{{4}}|['’]?\d{{2}}(?!\d))"
_TH: Final = r"(?:st|nd|rd|th|er|ère|e|º|ª|\.)?"
_WRITTEN = re.compile(
    r"(?<![\w.\-/])(?:"
    r"(?P<iy>\d{4})(?P<is>[\-/.])(?P<im>\d{1,2})(?P=is)(?P<id>\d{1,2})|"
    r"(?P<na>\d{1,2})(?P<ns>[\-/. ]|\.\ |[ ]slash[ ])(?P<nb>\d{1,2})(?P=ns)" + _YEAR.format("ny") + "|"
    rf"(?P<dd>\d{{1,2}}){_TH}[ .\-]{{0,2}}(?:{_OF}[ ]?)?(?P<dm>{_MONTH})\b\.?(?:[ .,\-]{{0,3}}(?:{_OF}[ ])?"
    + _YEAR.format("dy")
    + ")?|"
    rf"(?=[^\W\d_]{{3,10}}\.?[ \-]{{1,2}}(?:the[ ])?\d)"
    rf"(?P<mm>{_MONTH})\b[ .\-]{{1,2}}(?:the[ ])?(?P<md>\d{{1,2}})(?!\d){_TH}(?:[ ,.\-]{{1,3}}(?:{_OF}[ ])?"
    + _YEAR.format("my")
    + ")?|"
    rf"(?=[^\W\d_]{{3,10}}\.?[ .,\-]{{0,2}}(?:{_OF}[ ])?\d{{4}})"
    rf"(?P<om>{_MONTH})\b[ .,\-]{{0,2}}(?:{_OF}[ ])?(?P<oy>\d{{4}})|"
    r"(?P<y>(?:18|19|20)\d\d)"
    r")(?![\w/]|-\d)",
)
_AFTER_CUE: Final = (
    r"(?:['’]s)?(?:[ ]?(?:is|was|are|on|in|at|am|im|the|year|of|it's|ist|war|jahr|le|en|el|il|est|es|era|fue|em|op|"
    r"nel|nell['’]|anno|año|ano|année|l['’]|jaar|het|é|è|:|=|-|,|\(|\.)){0,4}[ ]{0,3}\(?"
)
_ORDINALS: Final = {
    word for language in LANGUAGES for entry in phrases(numbers_of(language)["days"]) for word in entry.split()
}
_BORN: Final = alternation((*all_phrases("born"), "b."))
_HEDGE: Final = alternation(words_in_any("hedges"))
_HEDGED = re.compile(rf"{_AFTER_CUE}(?P<what>(?:{_HEDGE})[ ][^.?!;\d]{{0,16}}?(?:\d{{2}}|\w+ies\b))")
_MONTH_ALONE = re.compile(rf"{_AFTER_CUE}(?P<month>{_MONTH})(?!\w)(?!\W{{0,3}}(?:the[ ])?\d)")
_MONTH_BEFORE = re.compile(rf"(?<!\w)(?:im|in|en|em) (?P<month>{_MONTH}) $")  # "im August geboren"
_TOO_LITTLE = re.compile(  # "in the fifties", "on the fifteenth"
    rf"{_AFTER_CUE}(?P<what>(?:(?:early|mid|late)[ ])?(?:\d{{1,3}}0s|(?:twen|thir|for|fif|six|seven|eigh|nine)ties)|"
    rf"(?:{alternation(_ORDINALS)}|\d{{1,2}}(?:st|nd|rd|th)))(?!\w)"
)
_STARRED = re.compile(r"\([*∗][ ]?$")
_AFTER = re.compile(_AFTER_CUE)
_BIRTH_BEHIND = re.compile(
    r"\W{0,3}(?:(?:is|was|as|ist|est|es|è|é|his|her|my|their|the|a|he|she|customer['’]?s)[ ]){0,4}"
    rf"(?:{_BORN})(?![^\W_])(?!\W{{0,3}}(?:(?:is|was|on|in|:)\W{{0,2}})?\d)",
)
_CUE = re.compile(rf"(?<![^\W_])(?:{_BORN})(?![^\W_])")
_DIGIT_SOON = re.compile(rf"[^.?!;\d]{{0,24}}?(?P<what>\d[\d./\-]*|(?:{_MONTH})\b)")
_SHORT_YEAR = re.compile(rf"{_AFTER_CUE}['’]?(?P<yy>\d{{2}})(?![\w/.\-])")
_TEENS: Final = ("sixteen", "seventeen", "eighteen", "nineteen")
_TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_UNITS: Final = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SPOKEN_AGES: Final = (
    {word: 16 + n for n, word in enumerate(_TEENS)}
    | {word: 20 + 10 * n for n, word in enumerate(_TENS)}
    | {f"{ten} {unit}": 21 + 10 * n + m for n, ten in enumerate(_TENS) for m, unit in enumerate(_UNITS)}
)
_YEARS: Final = rf"(\d{{1,3}}|(?:{'|'.join(_TENS)})(?:[ \-](?:{'|'.join(_UNITS)}))?|{'|'.join(_TEENS)})"
_AGE = re.compile(
    rf"\bage(?:d|[ ]is|:)?[ ]{_YEARS}\b|\b{_YEARS}[ \-](?:years?|yrs?)[ \-](?:old|of[ ]age)\b|"
    rf"\b(?:he|she|who)(?:['’]s|[ ]is)[ ](?:now[ ])?{_YEARS}(?=[ ]?(?:[,.;:?!)]|$|and\b))|"
    rf"\bturned[ ]{_YEARS}\b(?![ ]in)|"
    rf"\b{_YEARS}[ ](?:jahre[ ]alt|jaar[ ]oud)\b|\b(?:a|tiene|ha|tem)[ ]{_YEARS}[ ](?:ans|años|anni|anos)\b",
)
_AGE_NUMBERS: Final = keywords((*_TEENS, *_TENS))
_AGE_WORDS: Final = keywords(("old", "age", "aged", "turned", "alt", "oud", "ans", "años", "anni", "anos"))
_AGED: Final = keywords(("he", "she", "who"))
_IS = re.compile(r"(?:he|who)(?:['’]s| is) (?:now )?\w", re.IGNORECASE)
_DATED = re.compile(  # begins with a digit, at which alone a search tries it
    r"\d(?<![\w.\-/]\d)(?:\d?(?:[\-/.]|[ ]slash[ ]|\.[ ])\d|(?:(?<=1)[89]|(?<=2)0)\d\d(?!\d)|\d{3}[\-/.]\d)"
)
_BIRTHS: Final = Phrases("born")
MONTH_WORDS: Final = keywords(
    MONTHS.keys()
    | {word for language in LANGUAGES for word in numbers_of(language)["months"].replace("|", " ").split()}
)
_AGES: Final = range(16, 111)
DATE_WORDS: Final = keywords(("b",)) | _BIRTHS.words | _AGE_NUMBERS
"""Words of which a text without digits must have one to say a date."""
BESIDE_DIGITS: Final = DATE_WORDS | MONTH_WORDS | _AGE_WORDS
"""The same of a text that has digits, but no `TextScan.numbered`."""
_CUE_REACH = 48
_HEDGE_REACH = 20
_HEDGES: Final = words_in_any("hedges")
_BIRTH_WORDS: Final = keywords(
    word for phrase in ("b.", *all_phrases("born")) for word in (LETTERS.findall(phrase)[0], phrase.replace(" ", ""))
)


@dataclass(frozen=True, slots=True)
class FoundDate:
    """A date at `start`:`end`; `born` when it is said to be a date of birth, `value` is "" when it was not readable.

    `alternatives`: the other century of a year of two digits.
    """

    value: str
    start: int
    end: int
    born: bool = False
    alternatives: tuple[str, ...] = ()


def find_dates(page: TextScan, day_first: bool, today: date) -> list[FoundDate]:
    """The dates in what is left of a text, in order; a date of birth that cannot be read has an empty value."""
    words = page.keywords
    cued = "b" in words or _BIRTHS.may_be_in(words, page.words)
    months = words & MONTH_WORDS
    starred = "(*" in page.text or "(∗" in page.text
    # Cheap tests, which end most texts.
    written = page.numeric and (cued or starred or months or _DATED.search(page.text) is not None)
    spoken = page.numeric or not _AGE_NUMBERS.isdisjoint(words)
    called = not _AGED.isdisjoint(words) and _IS.search(page.text) is not None
    aged = spoken and (called or not _AGE_WORDS.isdisjoint(words))
    if not (written or cued or aged):
        return []
    text = page.left_low
    cue_spans = []
    if cued:
        starts = page.starts_of(words & _BIRTH_WORDS)
        cue_spans = [match.span() for match in islice(matches_at(_CUE, text, starts), _MOST)]
    cues = [end for _, end in cue_spans]
    read: list[int] = []  # cues with a date right behind
    found: list[FoundDate] = []
    starts = [s for s, e, word in page.runs if word in months or (e - s < 5 and word.isdecimal())] if written else []
    for match in islice(matches_at(_WRITTEN, text, starts), _MOST):
        if match["ns"] == " " and not any(0 <= match.start() - cue <= _CUE_REACH for cue in cues):
            continue
        begin = match.start()
        near = [cue for cue in cues if 0 <= begin - cue <= _CUE_REACH and _AFTER.fullmatch(text, cue, begin)]
        read += near
        born = bool(near) or (bool(cues) and _BIRTH_BEHIND.match(text, match.end()) is not None)
        born = born or (starred and _STARRED.search(text, max(0, begin - 3), begin) is not None)
        values = list(_values(match, day_first, today))
        if values and (born or match["y"] is None or cues):
            found.append(FoundDate(values[0], *match.span(), born, tuple(values[1:])))
        elif values:
            found.append(FoundDate(values[0], *match.span()))
        elif born:
            found.append(FoundDate("", *match.span(), True))
    for match in islice(_AGE.finditer(text), _MOST) if aged else ():
        years = next(filter(None, match.groups())).lower().replace("-", " ")
        age = int(years) if years.isdecimal() else _SPOKEN_AGES[years]
        if age in _AGES:
            year = today.year - age
            found.append(FoundDate(str(year), *match.span(), True, (str(year - 1),)))
    for begin, cue in cue_spans:
        if months and (before := _MONTH_BEFORE.search(text, max(0, begin - _HEDGE_REACH), begin)):
            found.append(FoundDate(f"--{MONTHS[fold(before['month'])]:02}", *before.span("month"), True))
            continue
        if cue in read:
            continue
        around = set(LETTERS.findall(text, cue, cue + _CUE_REACH))
        hedged = None if around.isdisjoint(_HEDGES) else _HEDGED.match(text, cue)
        month = None if around.isdisjoint(MONTH_WORDS) else _MONTH_ALONE.match(text, cue)
        if hedged or month:
            value = "" if month is None or hedged else f"--{MONTHS[fold(month['month'])]:02}"
            start, end = hedged.span("what") if hedged else month.span("month") if month else (cue, cue)
            found = [item for item in found if not start <= item.start < end + _HEDGE_REACH]
            found.append(FoundDate(value, start, end, True))
            continue
        dated = any(0 <= item.start - cue < _CUE_REACH for item in found)
        little = None if dated else _TOO_LITTLE.match(text, cue)
        if little:
            found.append(FoundDate("", *little.span("what"), True))
            continue
        soon = _DIGIT_SOON.match(text, cue)
        if soon is None or any(date.start <= soon.start("what") < date.end for date in found):
            continue
        if short := _SHORT_YEAR.match(text, cue):
            years = _years(short["yy"], today)
            found.append(FoundDate(years[0], *short.span("yy"), True, tuple(years[1:])))
        elif _AFTER.fullmatch(text, cue, soon.start("what")):
            value = _compact(soon["what"], day_first)
            if value or text[begin:cue] != "b.":  # which may be an initial before a phone number
                found.append(FoundDate(value, *soon.span("what"), True))
    return found


def _values(match: re.Match[str], day_first: bool, today: date) -> Iterator[str]:
    if match["y"]:
        yield match["y"]
    elif match["iy"]:
        yield from _day(match["iy"], int(match["im"]), int(match["id"]))
    elif match["na"]:
        first, second = int(match["na"]), int(match["nb"])
        leads = day_first or match["ns"].startswith(".") or first > 12
        day, month = (first, second) if leads and second <= 12 else (second, first)
        for year in _years(match["ny"], today):
            yield from _day(year, month, day)
    elif match["om"]:
        yield f"{match['oy']}-{MONTHS[fold(match['om'])]:02}"
    else:
        named = match["dm"] or match["mm"]
        month, day = MONTHS[fold(named)], int(match["dd"] or match["md"])
        written = match["dy"] or match["my"]
        if written is None:
            if next(_day("2000", month, day), None):
                yield f"--{month:02}-{day:02}"
            return
        for year in _years(written, today):
            yield from _day(year, month, day)


def _day(year: str, month: int, day: int) -> Iterator[str]:
    try:
        if 1000 <= int(year) <= 2999:
            yield date(int(year), month, day).isoformat()
    except ValueError:
        return


def _years(written: str, today: date) -> list[str]:
    """The year in full; of two digits the last such year that is past, and the century before where both may be."""
    digits = written.strip("'’")
    if len(digits) == 4:
        return [digits]
    recent = 2000 + int(digits)
    return [str(recent - 100)] if recent > today.year else [str(recent), str(recent - 100)]


def _compact(written: str, day_first: bool) -> str:
    if not (written.isdecimal() and len(written) == 8):
        return ""
    if written.startswith(("18", "19", "20")) and (day := next(_day(written[:4], *_pair(written[4:])), "")):
        return day
    first, second, year = written[:2], written[2:4], written[4:]
    month, day = (second, first) if day_first else (first, second)
    return next(_day(year, int(month), int(day)), "")


def compact_days(digits: str) -> frozenset[str]:
    """The days that six or eight digits may be, in any order of day, month and year: 280260, 19600228."""
    found: set[str] = set()
    if digits.isdecimal() and len(digits) in (6, 8):
        years = [digits[4:]] if len(digits) == 8 else [f"{century}{digits[4:]}" for century in (19, 20)]
        first, second = _pair(digits[:4])
        for year in years:
            found |= {*_day(year, first, second), *_day(year, second, first)}
        if len(digits) == 8:
            found |= {*_day(digits[:4], *_pair(digits[4:]))}
    return frozenset(found)


def _pair(digits: str) -> tuple[int, int]:
    return int(digits[:2]), int(digits[2:])


def fits(asked: str, known: str) -> bool:
    """Whether a date may be the other: what both say is the same, and they have something in common.

    >>> fits("1972-11", "1972-11-02"), fits("1972", "1971-11-02"), fits("--11-02", "1971-11-02")
    (True, False, True)
    """
    if len(asked) == 4 and asked.startswith("--"):
        return len(known) == 10 and known[5:7] == asked[2:]
    if asked.startswith("--"):
        return known[4:] == asked[1:] if len(known) == 10 else False
    return known.startswith(asked) or (len(known) < len(asked) and asked.startswith(known))
