"""Dates as people and files write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

_NAMES = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTHS = {name[:length]: n for n, name in enumerate(_NAMES, 1) for length in (3, 4, len(name))}
_YEAR_FIRST = re.compile(r"(\d{4})([-/.]?)(\d{1,2})\2(\d{1,2})(?:[t ]\d{1,2}:\d{2}.{0,24})?", re.ASCII)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/. ])(\d{1,2})\2(\d{4})(?:[t ]\d{1,2}:\d{2}.{0,24})?", re.ASCII)
_DAY_MONTH = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?[\s.-]*(?:of\s+)?([a-z]{3,9})\.?[\s,.-]*(\d{4})", re.ASCII)
_MONTH_DAY = re.compile(r"([a-z]{3,9})\.?[\s.-]*(\d{1,2})(?:st|nd|rd|th)?[\s,.-]+(\d{4})", re.ASCII)


MONTH_FIRST: Final = frozenset({"US", "PR", "PH"})
"""Regions (ISO 3166) that write 4/12/1980 for the 12th of April."""


@dataclass(frozen=True, slots=True)
class Locale:
    """How identifiers are read that do not say it themselves.

    `region` (ISO 3166, two capitals): of phone numbers without a country code. `day_first`: 4/12/1980 is in December.
    """

    region: str = "US"
    day_first: bool = False

    @classmethod
    def of(cls, region: str | None, day_first: bool | None = None) -> Locale:
        """Where nothing is said of the order of day and month, the region's is taken; without a region, US."""
        region = region or "US"
        return cls(region, region not in MONTH_FIRST if day_first is None else day_first)


def parse_date(text: str, *, day_first: bool = False) -> str | None:
    """`YYYY-MM-DD`, or None when `text` as a whole is not a date of the years 1000 to 2999.

    Understands 1980-04-12, 19800412, 1980/4/12, 12.04.1980, 4/12/1980, 12 April 1980, April 12th, 1980 and such, with
    or without a time behind. Of 4/12/1980 the first number is the month unless `day_first` or unless it cannot
    be one; with points the day is first. Years of two digits are refused.
    """
    text = text.strip().lower()
    if not 8 <= len(text) <= 48:
        return None
    if match := _YEAR_FIRST.fullmatch(text):
        year, separator, month, day = match.groups()
        if not separator and len(month + day) != 4:
            return None
        return _date(int(year), int(month), int(day))
    if match := _YEAR_LAST.fullmatch(text):
        first, separator, second, year = match.groups()
        return _numeric(int(year), int(first), int(second), day_first=day_first or separator == ".")
    if match := _DAY_MONTH.fullmatch(text):
        return _format_date(match[3], match[2], match[1])
    if match := _MONTH_DAY.fullmatch(text):
        return _format_date(match[3], match[1], match[2])
    return None


def _numeric(year: int, first: int, second: int, *, day_first: bool) -> str | None:
    day, month = (first, second) if (day_first or first > 12) and second <= 12 else (second, first)
    return _date(year, month, day)


def _format_date(year: str, month: str, day: str) -> str | None:
    number = _MONTHS.get(month)
    return _date(int(year), number, int(day)) if number else None


def _date(year: int, month: int, day: int) -> str | None:
    if not 1000 <= year <= 2999:
        return None
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None
