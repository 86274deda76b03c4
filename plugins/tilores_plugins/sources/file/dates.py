"""Dates and time stamps as files write them. The order of day and month is one for a whole column."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

Order = Literal["day", "month", "unknown"]
"""Which number comes first in 4/12/1980; with `unknown` such a date is not read."""

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
    "september septembre septiembre settembre setembro sept set",
    "october oktober octobre octubre ottobre outubro okt ott out",
    "november novembre noviembre novembro",
    "december dezember décembre decembre diciembre dicembre dezembro dez dic déc",
)
_AMBIGUOUS_SHORT: Final = {"jui", "mar"}  # juin or juillet; March in all of these languages
_MONTHS: Final = {
    form: number
    for number, names in enumerate(_MONTH_NAMES, 1)
    for name in names.split()
    for form in (name, name[:3])
    if form not in _AMBIGUOUS_SHORT
} | {"mar": 3}

_YEAR_FIRST: Final = re.compile(r"(\d{4})([-/. ]?)(\d{1,2})\2(\d{1,2})")
_NUMERIC: Final = re.compile(r"(\d{1,2})([-/. ])(\d{1,2})\2(\d{4}|\d{2})")
_DAY_NAME: Final = re.compile(
    r"(\d{1,2})(?:st|nd|rd|th|er|º|°)?\.?[ ./-]*(?:of |de |d')?([^\W\d]{3,10})\.?[ ,./-]*(?:de )?(\d{4}|\d{2})"
)
_NAME_DAY: Final = re.compile(r"([^\W\d]{3,10})\.?[ ./-]*(\d{1,2})(?:st|nd|rd|th)?[ ,./-]+(\d{4}|\d{2})")
_WEEKDAY: Final = re.compile(r"^[^\W\d]{2,10}\.?, (?=\d)|^(?:mon|tues|wednes|thurs|fri|satur|sun)day,? ")
_TIME: Final = re.compile(
    r"(?P<date>.+?)(?:[t ]|, ?)(?P<hour>\d{1,2})(?::|h)(?P<minute>\d{2})"
    r"(?::(?P<second>\d{2})(?:[.,](?P<part>\d{1,9}))?)?"
    r" ?(?P<half>[ap]\.?m\.?)?(?: ?(?P<zone>z|utc|gmt|[+-]\d{2}:?\d{2}|[+-]\d{2}|[a-z]{3,4}))?"
)
_EPOCH: Final = re.compile(r"(\d{9,10}|\d{12,13})(?:\.\d+)?")
_SERIAL: Final = re.compile(r"(\d{5})(\.\d+)?")
_SERIALS: Final = range(18_264, 73_051)  # 1950 to 2099
_FIRST_SERIAL: Final = datetime(1899, 12, 30)
_LONGEST: Final = 60
_YOUNGEST_CUSTOMER: Final = 16


@dataclass(frozen=True, slots=True)
class NumericDate:
    """A date in numbers that does not say whether 4/12 is in April or December. `points`: 4.12. is."""

    first: int
    second: int
    year: int
    points: bool

    @property
    def says(self) -> Order:
        """The order that this date proves, `unknown` when it could be either."""
        if self.points or (self.first > 12 >= self.second):
            return "day"
        if self.second > 12 >= self.first:
            return "month"
        return "unknown"

    def on(self, order: Order) -> date | None:
        said = self.says
        if said != "unknown":
            order = said
        if order == "unknown":
            return _date(self.year, self.first, self.second) if self.first == self.second else None
        day, month = (self.first, self.second) if order == "day" else (self.second, self.first)
        return _date(self.year, month, day)


def parse(text: str, *, birth: bool = False) -> date | NumericDate | None:
    """The date in `text` as a whole, without a time of day; None when it is not one.

    Years of two digits belong to the past; with `birth` to a customer who is at least sixteen.
    """
    text = _WEEKDAY.sub("", text.strip().lower(), count=1)
    if not 5 < len(text) <= _LONGEST:
        return None
    if match := _YEAR_FIRST.fullmatch(text):
        year, separator, month, day = match.groups()
        return _date(int(year), int(month), int(day)) if separator or len(month + day) == 4 else None
    if match := _NUMERIC.fullmatch(text):
        first, separator, second, year = match.groups()
        return NumericDate(int(first), int(second), _year(year, birth), separator == ".")
    if match := _DAY_NAME.fullmatch(text):
        day, month, year = match.groups()
    elif match := _NAME_DAY.fullmatch(text):
        month, day, year = match.groups()
    else:
        return None
    number = _MONTHS.get(month)
    return _date(_year(year, birth), number, int(day)) if number else None


def to_date(text: str, order: Order, *, birth: bool = False) -> str | None:
    """`YYYY-MM-DD`, or None when `text` is not a date; a time of day behind it is ignored."""
    found = parse(text, birth=birth)
    if found is None and (match := _TIME.fullmatch(text.strip().lower())):
        found = parse(match["date"].rstrip(" ,"), birth=birth)
    if found is None and (serial := _from_serial(text.strip())) is not None:
        found = serial.date()
    if isinstance(found, NumericDate):
        found = found.on(order)
    return found.isoformat() if found else None


def to_instant(text: str, order: Order) -> tuple[datetime, str] | None:
    """A time stamp to compare by (UTC where it names a zone), and in ISO 8601; None when it is not one.

    Understands dates of all the forms above with or without a time (24 hours or AM/PM, zones), seconds or
    milliseconds since 1970, and the day numbers of spreadsheets.
    """
    text = text.strip().lower()
    if match := _EPOCH.fullmatch(text):
        seconds = float(text) / (1000 if len(match[1]) > 10 else 1)
        moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
        return moment, moment.isoformat(timespec="seconds") + "Z"
    if (moment_or_none := _from_serial(text)) is not None:
        whole = moment_or_none.time() == datetime.min.time()
        shown = moment_or_none.date().isoformat() if whole else moment_or_none.isoformat(timespec="seconds")
        return moment_or_none, shown
    match = _TIME.fullmatch(text)
    day = to_date(text, order)
    if day is None:
        return None
    start = datetime.fromisoformat(day)
    return (start, day) if match is None else _with_time(start, match)


def _with_time(day: datetime, match: re.Match[str]) -> tuple[datetime, str] | None:
    hour, half = int(match["hour"]), match["half"]
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    part = (match["part"] or "")[:6].ljust(6, "0")
    try:
        moment = day.replace(
            hour=hour, minute=int(match["minute"]), second=int(match["second"] or 0), microsecond=int(part)
        )
    except ValueError:
        return None
    zone = match["zone"]
    if zone is None:
        return moment, moment.isoformat()
    if zone[0] in "+-":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        moment = moment - shift if zone[0] == "+" else moment + shift
    elif zone not in ("z", "utc", "gmt"):
        return moment, moment.isoformat()  # a zone by its letters may be one of several
    return moment, f"{moment.isoformat()}Z"


def _from_serial(text: str) -> datetime | None:
    match = _SERIAL.fullmatch(text)
    if match is None or int(match[1]) not in _SERIALS:
        return None
    moment = _FIRST_SERIAL + timedelta(days=float(text))
    return (moment + timedelta(microseconds=500_000)).replace(microsecond=0)


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
