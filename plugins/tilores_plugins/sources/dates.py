"""Dates of birth and time stamps in the fields of a source. The order of day and month is one for a whole column."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Final

from tilores_core import DateOrder, NumericDate, read_date

_CLOCK: Final = r"(?P<hour>\d{1,2})[:h.](?P<minute>\d{2})(?:[:.](?P<second>\d{2})(?:[.,](?P<part>\d{1,9}))?)?"
_TIME: Final = re.compile(
    rf"(?P<date>.+?)(?:[t ]|, ?){_CLOCK}(?: uhr)?(?: ?(?P<half>[ap]\.?m\.?))?"
    r"(?: ?(?P<zone>(?:utc|gmt)?[+-]\d{2}(?::?\d{2})?|z|[a-z]{3,4}))?(?: \([^()]*\))?"
)
# "Sun Jun  1 10:00:00 2025", "Sun Jun 01 2025 10:00:00 GMT+0200 (CEST)"
_UNIX: Final = re.compile(r"[a-z]{3} ([a-z]{3}) +(\d{1,2}) (?:(\d{4}) )?(\d\d:\d\d:\d\d.*?)(?: (\d{4}))?")
_COMPACT: Final = re.compile(r"((?:19|20)\d{6})t?(\d{2})(\d{2})(\d{2})(z?)")
_DOTNET: Final = re.compile(r"/date\((-?\d+)(?:[+-]\d{4})?\)/")
_EPOCH: Final = re.compile(r"-?(\d{9,19})(?:\.\d+)?")
_SERIAL: Final = re.compile(r"(\d{5})(?:[.,]\d+)?")
_SERIALS: Final = range(10_000, 73_051)  # 1927 to 2099
_FIRST_SERIAL: Final = datetime(1899, 12, 30)
_EPOCH_START: Final = datetime(1970, 1, 1)
_AFTERNOON: Final = 13
# In hours. Letters that stand for several zones are those of the languages that are read here.
_ZONES: Final = {
    **dict.fromkeys(("z", "utc", "gmt", "wet"), 0.0),
    **dict.fromkeys(("cet", "mez", "bst", "west"), 1.0),
    **dict.fromkeys(("cest", "mesz", "eet", "sast"), 2.0),
    "eest": 3.0,
    "ist": 5.5,
    "sgt": 8.0,
    "jst": 9.0,
    "aest": 10.0,
    "aedt": 11.0,
    "nzst": 12.0,
    "nzdt": 13.0,
    "brt": -3.0,
    "edt": -4.0,
    "est": -5.0,
    "cdt": -5.0,
    "cst": -6.0,
    "mdt": -6.0,
    "mst": -7.0,
    "pdt": -7.0,
    "pst": -8.0,
}


def to_date(text: str, order: DateOrder, *, birth: bool = False) -> str | None:
    """`YYYY-MM-DD`, or None when `text` is not a date; a time of day behind it is ignored.

    A date of birth written as a moment is read where that moment is of the same day in the zone it was entered in: at
    22:00 UTC a day has begun east of Greenwich.
    """
    day = _day(text.strip().lower().removesuffix(".0"), order, birth)
    return day.isoformat() if day else None


def _day(text: str, order: DateOrder, birth: bool) -> date | None:
    found = read_date(text, birth=birth)
    if found is None and (serial := _from_serial(text)) is not None:
        return serial.date()
    if found is None and (moment := _from_epoch(text)) is not None:
        return None if birth and moment.hour >= _AFTERNOON else moment.date()
    if found is None and (match := _TIME.fullmatch(_reorder(text))):
        if birth and _ZONES.get(match["zone"] or "") == 0 and not match["half"] and int(match["hour"]) >= _AFTERNOON:
            return None
        found = read_date(match["date"].rstrip(" ,"), birth=birth)
    return found.on(order) if isinstance(found, NumericDate) else found


def is_iso(text: str) -> bool:
    """Whether a text begins as a time stamp of ISO 8601, with a time of day."""
    return len(text) > 10 and text[4] == "-" == text[7]


def find_numeric_date(text: str, *, birth: bool) -> NumericDate | None:
    """The date in `text`, with or without a time of day, where it could be of two orders."""
    text = text.strip().lower()
    found = read_date(text, birth=birth)
    if found is None and " " in text:
        found = read_date(text.split()[0].rstrip(","), birth=birth)
    return found if isinstance(found, NumericDate) else None


def to_instant(text: str, order: DateOrder) -> tuple[datetime, str] | None:
    """A time stamp to compare by (UTC where it names a zone), and in ISO 8601; None when it is not one.

    Understands dates of all the forms above with or without a time (24 hours or AM/PM, zones), seconds, milliseconds,
    microseconds or nanoseconds since 1970, and the day numbers of spreadsheets.
    """
    text = text.strip()
    if is_iso(text):  # most are
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                return moment, moment.isoformat()
            moment = moment.astimezone(UTC).replace(tzinfo=None)
            return moment, f"{moment.isoformat()}Z"
    text = text.lower()
    if match := _COMPACT.fullmatch(text):
        text = f"{match[1]} {match[2]}:{match[3]}:{match[4]}{match[5]}"
    if (since := _from_epoch(text)) is not None:
        return since, since.isoformat(timespec="seconds") + "Z"
    if (serial := _from_serial(text)) is not None:
        whole = serial.time() == datetime.min.time()
        return serial, serial.date().isoformat() if whole else serial.isoformat(timespec="seconds")
    text = _reorder(text)
    day = _day(text.removesuffix(".0"), order, birth=False)
    if day is None:
        return None
    start = datetime(day.year, day.month, day.day)
    match = _TIME.fullmatch(text)
    return (start, day.isoformat()) if match is None else _with_time(start, match)


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
    if zone in _ZONES:
        shift = timedelta(hours=_ZONES[zone])
    elif (sign := max(zone.rfind("+"), zone.rfind("-"))) >= 0:
        digits = zone[sign + 1 :].replace(":", "").ljust(4, "0")
        shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:])) * (1 if zone[sign] == "+" else -1)
    else:
        return None
    moment -= shift
    return moment, f"{moment.isoformat()}Z"


def _reorder(text: str) -> str:
    match = _UNIX.fullmatch(text)
    return f"{match[1]} {match[2]} {match[3] or match[5]} {match[4]}" if match and (match[3] or match[5]) else text


def _from_epoch(text: str) -> datetime | None:
    """Of time since 1970: up to 10 digits are seconds, 13 milliseconds, 16 microseconds, 19 nanoseconds."""
    if match := _DOTNET.fullmatch(text):
        return _EPOCH_START + timedelta(milliseconds=int(match[1]))
    match = _EPOCH.fullmatch(text)
    if match is None or len(match[1]) == 14:
        return None
    scale = 1000 ** ((len(match[1]) - 8) // 3 if len(match[1]) > 10 else 0)
    try:
        return datetime.fromtimestamp(float(text) / scale, UTC).replace(tzinfo=None)
    except (OverflowError, OSError, ValueError):
        return None


def _from_serial(text: str) -> datetime | None:
    match = _SERIAL.fullmatch(text)
    if match is None or int(match[1]) not in _SERIALS:
        return None
    moment = _FIRST_SERIAL + timedelta(days=float(text.replace(",", ".")))
    return (moment + timedelta(microseconds=500_000)).replace(microsecond=0)
