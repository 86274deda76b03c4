"""The values that a text states, read word by word.

A claim is of one of six kinds. What it takes to bear it out is in `evidence`. Not claims, as they say nothing of a
customer or cannot be told from plain speech: whole numbers up to twelve without a currency or a per cent sign (counts
and lists: "three", "3"), "a hundred". Numbers in words, in any of the seven languages, are read as
figures first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from tilores_core.chat.customer.dates import find_dates
from tilores_core.chat.customer.tokens import TextScan
from tilores_core.chat.grounding.amounts import LONGEST_NUMBER, Claim, Kind, clock_time, read_amount, read_number
from tilores_core.chat.grounding.figures import SMALL, in_figures, join_groups
from tilores_core.chat.grounding.names import find_claimed_names
from tilores_core.chat.grounding.vocabulary import (
    DAY_BEFORE,
    HEADS,
    MINUS,
    MONTHS,
    OF,
    PEOPLE,
    RIVALS,
    TAILS,
    THAN,
)
from tilores_core.identity import normalise_email, parse_date

_PHONE_DIGITS = range(7, 16)
_MOST_GROUPS = 8

AROUND = ".,;:!?'\"’‘“”()[]{}<>*_`…"
_DIGIT = re.compile(r"[0-9]")
_NUMBER = re.compile(
    r"[~≈+\-\u2212]?(?P<money>[$€£¥])?[+\-\u2212]?(?P<digits>\d[\d,.'’\u00a0\u202f]*)"
    r"(?P<behind>%|[€$£¥]|k|K|m|M|bn|st|nd|rd|th|s|x)?"
)
_UNIT = re.compile(
    r"(\d+(?:[.,]\d+)?)[-\u2010-\u2012]?(?:[a-z]{1,2}|days?|weeks?|months?|years?(?:-old)?|hours?|minutes?)"
)
_ISO = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d)(?:[T ].*)?)?", re.ASCII)
_WRITTEN_DATE = re.compile(r"\d{1,4}[/.]\d{1,2}[/.]\d{1,4}", re.ASCII)
_CLOCK = re.compile(r"24/7|\d{1,2}[:.]\d\d(?::\d\d)?(?:am|pm|h)?|\d{1,2}(?:am|pm)", re.ASCII | re.IGNORECASE)
_TIME = re.compile(
    r"(?P<hour>\d{1,2})(?:[:h](?P<minute>\d\d)(?::\d\d)?)?(?P<half>[ap]\.?m)?", re.ASCII | re.IGNORECASE
)
_TRAILING_MINUS = re.compile(r"[\d.,]*\d-[.,;:]?", re.ASCII)
_LONGEST_DAY = 4
_DAY = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?", re.ASCII)
_YEAR = re.compile(r"(?:1[89]|20|21)\d\d", re.ASCII)
_GROUP = re.compile(r"[+(]*\d[\d().\-/]*", re.ASCII)
_PHONE_SHAPE = re.compile(r"\+|\(\d|0\d{2}|\d{3}[-. ]\d{3,4}(?:[-. ]\d{4})?$|\d{2,4}(?:[ -]\d{2,4}){2,}$", re.ASCII)
_FIRST_GROUP = re.compile(r"[1-9]\d{0,2}", re.ASCII)
_SECOND_GROUP = re.compile(r"\d{3}", re.ASCII)
_MASKED = re.compile(r"([A-Z]{0,2}\d{2,6})?(?:[*•xX…#.]{2,}|…)[ -]?(\d{2,6})")
_DAY_AND_MONTH = re.compile(r"(\d{1,2})\.(\d{1,2})\.\.?", re.ASCII)
_LETTERED = re.compile(r"[^\W\d_]")
_NOT_CODE = re.compile(r"[\W_]+")
_PARTS = re.compile(r"[-\u2010-\u2015/:_]+")
_IBAN_START = re.compile(r"[A-Za-z]{2}\d\d(?:[A-Z0-9]{4})?", re.ASCII)
_IBAN_GROUP = re.compile(r"[A-Z0-9]{1,4}|[a-z]{0,4}\d{1,4}", re.ASCII)


_TAIL_REACH: Final = 6  # words between "digits" or "ends" and the figures


def claims(text: str, known: frozenset[str] = frozenset()) -> list[Claim]:
    """The values that `text` states; `known` are words that may be in any name (folded)."""
    found = list(_in_words(join_groups(in_figures(text)).split()))
    found += [Claim("name", "name", name) for name in find_claimed_names(text, known)]
    return found


def _in_words(words: Sequence[str]) -> Iterator[Claim]:
    position = 0
    while position < len(words):
        word, used = words[position], 1
        made: Sequence[Claim] = ()
        if "@" in word:
            if (address := normalise_email(word.strip(AROUND))) is not None:
                made = (Claim("email", "email", address),)
        elif not word.isalpha() and _DIGIT.search(word):
            used, made = _with_digits(words, position)
        elif word in MONTHS or word.strip(AROUND) in MONTHS:
            used, made = _month_first(words, position)
        yield from made
        position += used


# --- dates in words --------------------------------------------------------------------------------------


def _month_first(words: Sequence[str], position: int) -> tuple[int, tuple[Claim, ...]]:
    """ "March 14, 1983", "March 1983", "March 14" from the month on; how many words it took."""
    month = MONTHS[words[position].strip(AROUND)]
    following = _after(words, position)
    if following in OF:
        following = _after(words, position + 1)
        if _YEAR.fullmatch(following):
            return 3, (Claim("date", "month", f"{following}-{month:02}"),)
        return 1, ()
    if day := _DAY.fullmatch(following):
        year = _after(words, position + 1)
        if _YEAR.fullmatch(year):
            return 3, (_day(int(year), month, int(day[1])),)
        return 2, (_month_day(month, int(day[1])),)
    if _YEAR.fullmatch(following) and words[position][-1] != ".":
        return 2, (Claim("date", "month", f"{following}-{month:02}"),)
    return 1, ()


def _day_first(words: Sequence[str], position: int, bare: str) -> tuple[int, tuple[Claim, ...]]:
    """ "14 March 1983", "the 14th of March"; (0, ()) when it is none."""
    day = _DAY.fullmatch(bare)
    if not day:
        return 0, ()
    at = position + 1
    if _after(words, position) in OF:
        at += 1
    month = MONTHS.get(words[at].strip(AROUND)) if at < len(words) else None
    if month is None:
        return 0, ()
    if _after(words, at) in OF:
        at += 1
    year = _after(words, at)
    if _YEAR.fullmatch(year):
        return at + 2 - position, (_day(int(year), month, int(day[1])),)
    return at + 1 - position, (_month_day(month, int(day[1])),)


def _day(year: int, month: int, day: int) -> Claim:
    return Claim("date", "day", f"{year}-{month:02}-{day:02}")


def _month_day(month: int, day: int) -> Claim:
    return Claim("date", "month_day", f"--{month:02}-{day:02}")


# --- everything with digits ------------------------------------------------------------------------------


def _with_digits(words: Sequence[str], position: int) -> tuple[int, Sequence[Claim]]:
    """The claims from a word with a digit on, and how many words they took."""
    word = words[position]
    bare = word.strip(AROUND)
    if len(bare) <= _LONGEST_DAY:
        used, dated = _day_first(words, position, bare)
        if dated:
            return used, dated
    if (spaced := _find_spaced(word, words, position)) is not None:
        return 2, (spaced,)
    if not _stands_alone(bare, word, words, position):
        if masked := _MASKED.fullmatch(word.strip(".,;:!?'\"()")):
            return 1, (Claim("account", "tail", f"{(masked[1] or '').lower()}*{masked[2]}"),)
        if (grouped := _read_grouped(words, position)) is not None:
            return grouped
    before, after = _before(words, position), _after(words, position)
    if before in THAN and position > 1:  # "more than 700", "cerca de 740"
        before = _before(words, position - 1)
    if (time := _time(bare, after)) is not None:
        return 1, (Claim("date", "time", time),)
    if before in DAY_BEFORE and (day := _DAY_AND_MONTH.fullmatch(word.rstrip(",;:!?"))) and int(day[2]) <= SMALL:
        return 1, (_month_day(int(day[2]), int(day[1])),)
    if before == "is" and not after and _before(words, position - 1) in PEOPLE:
        after = "years"  # "she is 42"
    if (
        bare.isdigit()
        and len(bare) <= 6
        and (before in ("ending", "ends", "last", "digits") or _is_tail(words, position))
    ):
        return 1, (Claim("account", "tail", bare),)
    if bare.isalnum() and len(bare) <= 4 and _has_before(words, position, HEADS):
        return 1, (Claim("account", "head", bare.casefold()),)
    negative = before in MINUS or word.lstrip("('\"").startswith(("-", "\u2212")) or _TRAILING_MINUS.fullmatch(word)
    unit = next((sign for sign in "$€£¥" if sign in word), after.lower())
    return 1, tuple(
        claim._replace(negative=bool(negative), unit=unit if unit in RIVALS else "")
        if claim.kind == "number"
        else claim
        for claim in _single(bare, word, before, after)
    )


def _find_spaced(word: str, words: Sequence[str], position: int) -> Claim | None:
    """ "309 360": one number or two; of longer rows and of the last digits of a number it is neither."""
    if not _FIRST_GROUP.fullmatch(word) or position + 1 == len(words):
        return None
    second = words[position + 1].rstrip(AROUND)
    beside = _before(words, position)[-1:] + _after(words, position + 1)[:1]
    if not _SECOND_GROUP.fullmatch(second) or _DIGIT.search(beside) or _is_tail(words, position):
        return None
    return Claim("number", "spaced", f"{word} {second}", float(word + second))


def _is_tail(words: Sequence[str], position: int) -> bool:
    """Whether figures are said to be the last of a longer number: "ends in 2222", "die letzten vier Ziffern sind"."""
    return _has_before(words, position, TAILS)


def _has_before(words: Sequence[str], position: int, cues: frozenset[str]) -> bool:
    return any(word.strip(AROUND).lower() in cues for word in words[max(0, position - _TAIL_REACH) : position])


def _stands_alone(bare: str, word: str, words: Sequence[str], position: int) -> bool:
    """Whether a word cannot be a part of a long number; most cannot."""
    if len(bare) > 6 or not bare.replace(",", "").replace(".", "").isdigit() or word[0] in "+(*•…#":
        return False
    return position + 1 == len(words) or words[position + 1][0] not in "0123456789(+"


def _read_grouped(words: Sequence[str], position: int) -> tuple[int, Sequence[Claim]] | None:
    """A telephone, card or account number that may be written in groups; None when it is none."""
    first = words[position].strip(".,;:!?'\"")
    if _IBAN_START.fullmatch(first):
        last = position
        while last + 1 < len(words) and _IBAN_GROUP.fullmatch(words[last + 1].strip(AROUND)) and last < position + 9:
            last += 1
            if words[last][-1] in ".,;:!?":
                break
        code = _code(" ".join(words[position : last + 1]))
        if len(code) >= 15:
            return last + 1 - position, (Claim("account", "code", code),)
    if not _GROUP.fullmatch(first) or _ISO.fullmatch(first) or _WRITTEN_DATE.fullmatch(first):
        return None
    last = position
    while (
        last + 1 < len(words)
        and last + 1 < position + _MOST_GROUPS
        and words[last][-1] not in ".,;:!?"
        and _GROUP.fullmatch(words[last + 1].rstrip(".,;:!?'\""))
    ):
        last += 1
    written = " ".join(words[position : last + 1]).strip(".,;:!?'\" ")
    digits = "".join(filter(str.isdigit, written))
    if len(digits) not in _PHONE_DIGITS and not (last > position and len(digits) > LONGEST_NUMBER):
        return None
    if _PHONE_SHAPE.match(written) and not _NUMBER.fullmatch(written):
        kind: Kind = "phone" if len(digits) in _PHONE_DIGITS else "account"
        return last + 1 - position, (Claim(kind, "digits", digits),)
    return None


def _single(bare: str, word: str, before: str, after: str) -> Iterator[Claim]:
    if iso := _ISO.fullmatch(bare):
        yield Claim("date", "day" if iso[3] else "month", "-".join(filter(None, iso.groups())))
    elif _WRITTEN_DATE.fullmatch(bare) and (day := _parse_date(bare)):
        yield Claim("date", "day", day)
    elif match := _NUMBER.fullmatch(_with_sign(bare, word)):
        if (claim := read_number(match, before, after)) is not None:
            yield claim
    elif _CLOCK.fullmatch(bare):
        return
    elif unit := _UNIT.fullmatch(bare):
        if (claim := read_amount(unit[1], "years" if "year" in bare else after)) is not None:
            yield claim
    elif _LETTERED.search(bare):
        code = _code(bare)
        if len(code) >= 4 and sum(c.isdigit() for c in code) > 1:
            yield Claim("account", "code", code)
    else:
        for part in _PARTS.split(bare):
            if (number := _NUMBER.fullmatch(part)) and (claim := read_number(number, before, after)) is not None:
                yield claim


def _time(bare: str, after: str) -> str | None:
    """A time of the day, on 24 hours: 14:30, 2:30 pm, 14h30, 4 pm."""
    match = _TIME.fullmatch(bare)
    if match is None:
        return None
    half = (match["half"] or after[:1] * (after.lower().strip(".") in ("am", "pm", "a.m", "p.m"))).lower()[:1]
    return None if match["minute"] is None and not half else clock_time(match["hour"], match["minute"] or "00", half)


def _with_sign(bare: str, word: str) -> str:
    """The sign of the currency stays, also outside brackets and quotes."""
    return bare if bare[:1] in "$€£¥" or not word.startswith(("$", "€", "£", "¥")) else word[0] + bare


def _parse_date(text: str) -> str | None:
    """A date in figures. Where day and month could change places both are claimed, joined by a bar."""
    days = dict.fromkeys(filter(None, (parse_date(text), parse_date(text, day_first=True))))
    if not days:  # a year of two digits
        read = [day for first in (False, True) for day in find_dates(TextScan(text), first, date.today())]
        days = dict.fromkeys(value for day in read for value in (day.value, *day.alternatives) if len(value) == 10)
    return "|".join(days) or None


def _code(text: str) -> str:
    return _NOT_CODE.sub("", text).casefold()


def _before(words: Sequence[str], position: int) -> str:
    return words[position - 1].strip(AROUND).lower() if position else ""


def _after(words: Sequence[str], position: int) -> str:
    return words[position + 1].strip(AROUND) if position + 1 < len(words) else ""
