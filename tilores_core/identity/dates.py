"""Dates as people and files write them, with the months of all supported languages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

DateOrder = Literal["day", "month", "unknown"]
"""Which number comes first in 4/12/1980; with `unknown` such a date is not read."""

MONTH_FIRST: Final = frozenset({"US", "PR", "PH"})
"""Regions (ISO 3166) that write 4/12/1980 for the 12th of April."""

# English, German, French, Spanish, Italian, Dutch, Portuguese; the first three letters and the whole word are known.
_MONTH_NAMES: Final = (
    "january januar janvier enero gennaio januari janeiro jän jänner",
    "february februar février fevrier febrero febbraio februari fevereiro fév feb",
    "march märz mars marzo maart março marco mär mrt mrz maerz",
    "april avril abril aprile avr abr",
    "may mai mayo maggio mei maio",
    "june juni juin junio giugno junho",
    "july juli juillet julio luglio julho",
    "august août aout agosto augustus ago aoû",
    "september sept septembre septiembre settembre setembro set",
    "october oktober octobre octubre ottobre outubro okt ott out",
    "november novembre noviembre novembro",
    "december dezember décembre decembre diciembre dicembre dezembro dez dic déc",
)
_AMBIGUOUS_SHORT: Final = {"jui", "mar"}  # juin or juillet; March in all of these languages
_MONTHS: Final = {
    form: number
    for number, names in enumerate(_MONTH_NAMES, 1)
    for name in names.split()
    for form in (name, name[:3], name[:4])
    if form not in _AMBIGUOUS_SHORT
} | {"mar": 3}

_YEAR_FIRST: Final = re.compile(r"(\d{4})([-/. ]?)(\d{1,2})\2(\d{1,2})", re.ASCII)
_NUMERIC: Final = re.compile(r"(\d{1,2})([-/. ])(\d{1,2})\2(\d{4}|\d{2})", re.ASCII)
_DAY_NAME: Final = re.compile(
    r"(\d{1,2})(?:st|nd|rd|th|er|º|°)?\.?[ ./-]*(?:of |de |d')?([^\W\d]{3,10})\.?[ ,./-]*(?:de )?(\d{4}|\d{2})"
)
_NAME_DAY: Final = re.compile(r"([^\W\d]{3,10})\.?[ ./-]*(\d{1,2})(?:st|nd|rd|th)?[ ,./-]+(\d{4}|\d{2})")
_WEEKDAY: Final = re.compile(r"^(?:[^\W\d]{2,10}\.?, (?=\d)|(?:mon|tues|wednes|thurs|fri|satur|sun)day,? )")
_WITH_TIME: Final = re.compile(r"(.+?),?[t ] ?\d{1,2}[:h]\d{2}.{0,40}")
_SHORTEST: Final = 6
_LONGEST: Final = 64
_YOUNGEST_CUSTOMER: Final = 16


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


@dataclass(frozen=True, slots=True)
class NumericDate:
    """A date in numbers that does not say whether 4/12 is in April or December. `points`: 4.12. is."""

    first: int
    second: int
    year: int
    points: bool

    @property
    def proves(self) -> DateOrder:
        """The order that this date proves, `unknown` when it could be either."""
        if self.second > 12 >= self.first:
            return "month"
        return "day" if self.points or self.first > 12 else "unknown"

    def on(self, order: DateOrder) -> date | None:
        proven = self.proves
        if proven != "unknown":
            order = proven
        if order == "unknown" and self.first != self.second:
            return None
        day, month = (self.second, self.first) if order == "month" else (self.first, self.second)
        return _date(self.year, month, day)


def parse_date(text: str, *, day_first: bool = False, birth: bool = False) -> str | None:
    """`YYYY-MM-DD`, or None when `text` as a whole is not a date of the years 1000 to 2999.

    Understands 1980-04-12, 19800412, 1980/4/12, 12.04.1980, 4/12/1980, 12 April 1980, April 12th, 1980, 12 avril
    1980 and such, with or without a time behind. Of 4/12/1980 the first number is the month unless `day_first` or
    unless it cannot be one; with points the day is first. Years of two digits are refused but for a date of `birth`,
    which is that of a customer who is at least sixteen.
    """
    text = text.strip().lower()
    if not _SHORTEST <= len(text) <= _LONGEST:
        return None
    found = read_date(text, birth=birth, short_years=birth)
    if found is None and (match := _WITH_TIME.fullmatch(text)):
        found = read_date(match[1], birth=birth, short_years=birth)
    if isinstance(found, NumericDate):
        found = found.on("day" if day_first else "month")
    return found.isoformat() if found else None


def read_date(text: str, *, birth: bool = False, short_years: bool = True) -> date | NumericDate | None:
    """The date in `text` as a whole, without a time of day; None when it is not one.

    Years of two digits (`short_years`) belong to the past; with `birth` to a customer who is at least sixteen.
    """
    text = text.strip().lower()
    if not _SHORTEST <= len(text) <= _LONGEST:
        return None
    if not text[0].isdigit():
        text = _WEEKDAY.sub("", text, count=1)
    if match := _YEAR_FIRST.fullmatch(text):
        year, separator, month, day = match.groups()
        return _date(int(year), int(month), int(day)) if separator or len(month + day) == 4 else None
    if match := _NUMERIC.fullmatch(text):
        first, separator, second, year = match.groups()
        if len(year) == 2 and not short_years:
            return None
        return NumericDate(int(first), int(second), _year(year, birth), separator == ".")
    if match := _DAY_NAME.fullmatch(text):
        day, month, year = match.groups()
    elif match := _NAME_DAY.fullmatch(text):
        month, day, year = match.groups()
    else:
        return None
    number = _MONTHS.get(month)
    if number is None or (len(year) == 2 and not short_years):
        return None
    return _date(_year(year, birth), number, int(day))


def _year(text: str, birth: bool) -> int:
    year = int(text)
    if len(text) == 4:
        return year
    this_year = date.today().year
    newest = this_year - _YOUNGEST_CUSTOMER if birth else this_year + 1
    century = newest - newest % 100
    return century + year if century + year <= newest else century - 100 + year


def _date(year: int, month: int, day: int) -> date | None:
    if not 1000 <= year <= 2999:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None
