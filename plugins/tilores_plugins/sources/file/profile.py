"""What the values of a column say about it: read once over the whole file, before its rows are indexed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tilores_core import DateOrder, NumericDate, read_date
from tilores_plugins.sources.dates import find_numeric_date, is_iso, to_date, to_instant
from tilores_plugins.sources.file.values import as_text, fold_text, has_lost_digits, is_empty

Column = tuple[str, ...]  # the keys to follow, more than one for a column inside an object

_MOST_REMEMBERED: Final = 50_000  # values of an id column that are compared with later rows
_POINT_ZERO: Final = re.compile(r"\d+(?P<zero>\.0+)?")
MISSING: Final = frozenset(("NA", "None", "Nan"))
_NUMBER: Final = re.compile(r"-?\d+(?:[.,]\d+)*")
_LOOKED_AT: Final = 1_000  # rows in which columns that no role took are looked at
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_STATED_ORDER: Final = re.compile(r"\b(d|m)\1[-/. ]?(?!\1)[dmtj]", re.IGNORECASE)  # "born (MM/DD/YYYY)"
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_PHONE: Final = re.compile(r"\+?[\d][\d ()/.-]{7,18}\d")


def value_at(fields: Mapping[str, Any], column: Column) -> Any:
    """The value, None when it or an object on the way is missing."""
    value = fields.get(column[0])
    for key in column[1:]:
        value = value.get(key) if isinstance(value, dict) else None
    return value


@dataclass(slots=True)
class DateTally:
    """How the dates of a column are written. `first_unread`: the first rows whose value is not a date."""

    day: int = 0
    month: int = 0
    either: int = 0
    read: int = 0
    unread: int = 0
    first_unread: list[int] = field(default_factory=list)

    def add(self, text: str, line: int, *, birth: bool) -> None:
        found = None if is_iso(text) else read_date(text, birth=birth)
        if found is None:
            read = (to_date(text, "month", birth=True) if birth else to_instant(text, "month")) is not None
            found = None if is_iso(text) else find_numeric_date(text, birth=birth)  # with a time of day behind it
        else:
            read = True
        if isinstance(found, NumericDate):
            read = read and (found.on("day") or found.on("month")) is not None
            if read:
                self.day += found.proves == "day" and not found.points
                self.month += found.proves == "month"
                self.either += found.proves == "unknown" and found.first != found.second
        self.read += read
        if not read:
            self.unread += 1
            if len(self.first_unread) < 3:
                self.first_unread.append(line)

    def order(self, name: str, setting: bool | None, *, region_day_first: bool) -> tuple[DateOrder, str | None]:
        """The column's order, and what an operator should look at."""
        if setting is None and (stated := _STATED_ORDER.search(name)):
            setting = stated[1].lower() == "d"
        if setting is not None:
            order: DateOrder = "day" if setting else "month"
            against = self.month if setting else self.day
            wrong = f"{against} dates of {name!r} prove the other order than is said" if against else None
            return order, wrong
        if self.day and self.month:
            return "unknown", (
                f"{name!r} mixes day/month ({self.day} dates) and month/day ({self.month}); the {self.either} "
                "dates that could be either are not read: set day_first in [plugins.file], or mend the file"
            )
        if self.day or self.month:
            return ("day" if self.day else "month"), None
        order = "day" if region_day_first else "month"
        if not self.either:
            return order, None
        return order, (
            f"no date of {name!r} proves whether the day or the month is first; {order} first is assumed for "
            f"{self.either} dates: set day_first in [plugins.file]"
        )


class IdTally:
    """Whether rows with the same id are about the same person, by their names.

    `conflicts`: pairs of rows that share no word of the name; `relatives`: those whose other words differ, as first
    names in a household do, unless they share a date of birth: then it is a name that was changed.
    """

    def __init__(self) -> None:
        self.filled = self.repeated = self.compared = self.conflicts = self.relatives = 0
        self._people: dict[int, tuple[frozenset[str], frozenset[str]]] = {}

    def add(self, text: str, names: frozenset[str], births: frozenset[str]) -> None:
        self.filled += 1
        key = hash(text)
        person = self._people.get(key)
        if person is None:
            if len(self._people) < _MOST_REMEMBERED:
                self._people[key] = names, births
            return
        before, born = person
        self.repeated += 1
        if names and before:
            self.compared += 1
            if names.isdisjoint(before):
                self.conflicts += 1
            elif births.isdisjoint(born):
                one, other = ({word[0] for word in words} for words in (names - before, before - names))
                self.relatives += bool(one and other) and one.isdisjoint(other)

    @property
    def is_an_id(self) -> bool:
        """Rows of one id about different people: then it names something else, or a household."""
        households = self.relatives > 1 and self.relatives * 2 > self.compared
        return bool(self.filled) and self.conflicts * 5 <= self.compared and not households

    @property
    def groups_people(self) -> bool:
        """Whether rows that share a value are about one person, always."""
        return self.compared > 0 and not self.conflicts and not self.relatives and self.repeated < self.filled - 1

    def reason(self) -> str:
        """Why it is not an id."""
        differing = self.conflicts + self.relatives
        found = f"{differing} of {self.compared} repeated values belong to people with different names"
        return found if self.filled else "it is empty"


class Profile:
    """Tallies over all rows. `ids`, `dates`: the columns that could be those; `births` of them are dates of birth."""

    def __init__(
        self,
        *,
        ids: Iterable[Column],
        dates: Iterable[Column],
        births: Iterable[Column],
        numbers: Iterable[Column],
        names: Sequence[Column],
        others: Iterable[str],
    ) -> None:
        self.rows = 0
        self.ids = {column: IdTally() for column in ids}
        self.dates = {column: DateTally() for column in dates}
        self._births = frozenset(births)
        self._numbers = {column: [0, 0, 0] for column in numbers}  # filled, whole numbers, those ending with .0
        self._names = names
        # Filled, like an e-mail address, like a phone number, numbers or NA, NA.
        self._others = {name: [0, 0, 0, 0, 0] for name in others}

    def add(self, fields: Mapping[str, Any], line: int) -> None:
        self.rows += 1
        names = frozenset(
            word for column in self._names for word in _WORD.findall(fold_text(str(value_at(fields, column) or "")))
        )
        births = frozenset(text for column in self._births if (text := _text(value_at(fields, column))))
        for column, tally in self.ids.items():
            if text := _text(value_at(fields, column)):
                tally.add(text, names, births)
        for column, dates in self.dates.items():
            if text := _text(value_at(fields, column)):
                dates.add(text, line, birth=column in self._births)
        for column, counts in self._numbers.items():
            if text := _text(value_at(fields, column)):
                match = _POINT_ZERO.fullmatch(text)
                counts[0] += 1
                counts[1] += match is not None or has_lost_digits(text)
                counts[2] += match is not None and match["zero"] is not None
        if self.rows <= _LOOKED_AT:
            self._look_at_others(fields)

    def _look_at_others(self, fields: Mapping[str, Any]) -> None:
        for name, counts in self._others.items():
            value = fields.get(name)
            if isinstance(value, str) and value:
                counts[0] += 1
                counts[1] += _EMAIL.fullmatch(value) is not None
                counts[2] += _PHONE.fullmatch(value) is not None and sum(map(str.isdigit, value)) >= 9
                counts[3] += value in MISSING or _NUMBER.fullmatch(value) is not None
                counts[4] += value in MISSING

    def has_point_zero(self, column: Column) -> bool:
        """Whether the column holds whole numbers that a program wrote as 1001.0."""
        filled, whole, zeros = self._numbers.get(column, (0, 0, 0))
        return bool(zeros) and whole == filled

    def find_unused_contacts(self) -> tuple[list[str], list[str]]:
        """Columns that look like e-mail addresses and like phone numbers by their values, and were given no role."""
        emails = [name for name, (filled, like, *_) in self._others.items() if filled and like * 2 >= filled]
        phones = [name for name, (filled, _, like, *_) in self._others.items() if filled >= 3 and like == filled]
        return emails, phones

    def find_numeric(self) -> frozenset[str]:
        """Columns of numbers in which some are said to be missing."""
        return frozenset(name for name, (filled, *_, like, na) in self._others.items() if 0 < na < like == filled)


def _text(value: Any) -> str:
    text = as_text(value)
    return "" if is_empty(text, identifying=True) else text
