"""What bears a claim out: every value of a text, in each reading that it may have.

Made once of a customer's records as they are rendered, so that systems, dates of records and names of fields count
too. An answer may write a value otherwise than the records do; what is accepted as the same:

| records | answer |
| --- | --- |
| 1234.5 | 1,234.50; 1235 (rounded); about 1,200 (with a word that says so); 1.2 thousand |
| 1.234,56 or 1 234,56 | 1,234.56 |
| 309360 or 1200000 | 309 360, 1.2m |
| 742 | seven hundred and forty-two, siebenhundertzweiundvierzig |
| 1500 | 1.500 (which is 1.5 as well) |
| 0.45 or 45 or 45,0 % | 45 % |
| 1983-03-14 | 14 March 1983, 14. März 1983, March 14th, 3/14/1983, March 1983, 1983, and the age or "for 14 years" |
| +1 503-555-0142 | (503) 555-0142, 503.555.0142 |
| TCK-318852 | tck 318852, 318852 |
| a card number | its last digits, said to be that; 4111 **** **** 4821 |
| a list of numbers | their sum, their mean, how many they are |
| 373 fields | "367 further fields" |
| Hawthorne, Edwina | Edwina Hawthorne, Ms. Hawthorne, Hawthorne's |

Other results of arithmetic are not: of a few hundred numbers some two make nearly any sum.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from tilores_core.chat.customer.dates import find_dates
from tilores_core.chat.customer.tokens import TextScan
from tilores_core.chat.grounding.amounts import Claim, clock_time, plain_number
from tilores_core.chat.grounding.figures import POSTCODE, SMALL, join_groups
from tilores_core.chat.grounding.names import words_of
from tilores_core.chat.grounding.vocabulary import OTHER_MONTHS, RIVALS
from tilores_core.contracts import Customer
from tilores_core.identity import normalise_email, parse_date

_LAYOUT = str.maketrans(dict.fromkeys('"{}[]|<>', " "))
_AROUND = ".,;:!?'’‘“”()*_`…$€£¥%~+="
_DIGIT = re.compile(r"[0-9]")
_DIGITS = re.compile(r"\d+", re.ASCII)
_ISO = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d))?(?:[T ].*)?", re.ASCII)
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_POINTS_AND_COMMA = re.compile(r"-?\d{1,3}(?:[.'’]\d{3})+,\d+|-?\d{1,3}(?:['’]\d{3})+(?:[.,]\d+)?", re.ASCII)
_POINT_THOUSANDS = re.compile(r"[1-9]\d{0,2}\.\d{3}", re.ASCII)
_SHORT_DATE = re.compile(r"\d{1,2}[\-./ ](?:[^\W\d_]{3,9}|\d{1,2})[\-./ ]\d{2}")
_COMMA = re.compile(r"-?\d+,\d+", re.ASCII)
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_RUN = re.compile(r"\d[\d ().\-/]{5,40}\d", re.ASCII)
_IBAN = re.compile(r"[A-Z]{2}\d\d(?: [A-Z0-9]{1,4}){3,8}", re.ASCII)
_NOT_DIGIT = re.compile(r"\D", re.ASCII)
_NOT_CODE = re.compile(r"[\W_]+")
_MONTH = re.compile(r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)")
_BEFORE_MONTH: Final = 8  # "14th of "
_BEHIND_MONTH: Final = 18  # "tember 14th, 2025"
_WORD_DATE = re.compile(
    r"(?:\d{1,2}(?:st|nd|rd|th)? (?:of )?[A-Z][a-z]{2,8}\.?,?|[A-Z][a-z]{2,8}\.? \d{1,2}(?:st|nd|rd|th)?,?)"
    r"(?: \d{4})?",
    re.ASCII,
)
_TIME = re.compile(
    r"(?<![\d:])(\d{1,2})[:h](\d\d)(?!\d)(?::\d\d(?:\.\d+)?)?(?: ?([ap])\.?m\b)?", re.ASCII | re.IGNORECASE
)
_NEGATIVE = re.compile(r"[-\u2212][$€£¥]?\d[\d.,'’]*|[$€£¥]-\d[\d.,]*|\([$€£¥]?\d[\d.,]*\)|\d[\d.,]*-")
_HEAD: Final = 8  # characters, with a country code
_SUFFIX: Final = 7  # digits: the shortest telephone number
_LONGEST_NUMBER = 15
_EPSILON = 1e-9
_NO_YEAR = 2000  # a leap year, to read a date that has none


@dataclass(frozen=True, slots=True)
class Evidence:
    """The values of a text. `words` are folded; `digits` are those of long numbers, by the last seven of them."""

    words: frozenset[str] = frozenset()
    numbers: tuple[float, ...] = ()
    negatives: tuple[float, ...] = ()  # their absolute values
    times: frozenset[str] = frozenset()
    years: frozenset[int] = frozenset()
    spans: frozenset[int] = frozenset()
    days: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    digits: Mapping[str, tuple[str, ...]] | None = None
    lines: int = 0

    def bears_out(self, claim: Claim) -> bool:
        """Whether the text states what is claimed, in this or another spelling. Names are the guard's."""
        if claim.negative and not _has_number(self.negatives, claim):
            return False
        if claim.unit:
            own, rivals = RIVALS[claim.unit]
            if own.isdisjoint(self.words) and not rivals.isdisjoint(self.words):
                return False
        match claim.shape:
            case "number":
                return (
                    _has_number(self.numbers, claim)
                    or (not claim.side and claim.value.is_integer() and claim.value in self.years)
                    or (claim.other is not None and _has_number(self.numbers, claim, claim.other, claim.other_slack))
                )
            case "spaced":
                parts = map(float, claim.text.split())
                return _has_number(self.numbers, claim) or all(
                    part <= SMALL or _has_number(self.numbers, claim, part, 0.5) for part in parts
                )
            case "percent":
                return _has_number(self.numbers, claim) or _has_number(
                    self.numbers, claim, claim.value / 100, claim.slack / 100
                )
            case "count":
                return claim.value <= self.lines or _has_number(self.numbers, claim)
            case "years":
                return claim.value in self.spans or _has_number(self.numbers, claim)
            case "time":
                return claim.text in self.times
            case "day" | "month_day" | "month":
                return any(day in self.days for day in claim.text.split("|"))
            case "email":
                return claim.text in self.emails
            case "code" | "digits":
                return claim.text in self.codes or (claim.shape == "digits" and self._has_digits(claim.text))
            case "head":
                return any(claim.text in code[:_HEAD] for code in self.codes)
            case "tail":
                head, _, tail = claim.text.rpartition("*")
                return any(code.endswith(tail) and code.startswith(head) for code in self.codes)
        return False

    def _has_digits(self, digits: str) -> bool:
        """Equal but for a country code or the zero that stands for it."""
        bare = digits.lstrip("0")
        others = [known.lstrip("0") for known in (self.digits or {}).get(digits[-_SUFFIX:], ())]
        return any(bare.endswith(other) or other.endswith(bare) for other in others)


def _has_number(
    numbers: tuple[float, ...], claim: Claim, value: float | None = None, slack: float | None = None
) -> bool:
    value, slack = (claim.value if value is None else value), (claim.slack if slack is None else slack)
    at = bisect_left(numbers, value - (slack if claim.side <= 0 else 0) - _EPSILON)
    return at < len(numbers) and numbers[at] <= value + (slack if claim.side >= 0 else 0) + _EPSILON


def evidence_of(text: str, customers: Iterable[Customer] = (), *, today: date | None = None) -> Evidence:
    """The values of `text`, with what follows from `customers`: sums of their lists, spans of years until `today`."""
    reader = _Reader()
    tokens = set(join_groups(text).translate(_LAYOUT).split())
    for token in tokens:
        if "@" in token:
            reader.email(token)
        if _DIGIT.search(token):
            reader.token(token)
    for match in (*_IBAN.finditer(text), *POSTCODE.finditer(text)):
        reader.codes.add(_NOT_CODE.sub("", match[0]).casefold())
    for match in _TIME.finditer(text) if ":" in text else ():
        if time := clock_time(match[1], match[2], (match[3] or "")[:1].lower()):
            reader.times.add(time)
    for match in _RUN.finditer(text):
        reader.digits.add(_NOT_DIGIT.sub("", match[0]))
    for month in _MONTH.finditer(text):
        start = max(0, month.start() - _BEFORE_MONTH)
        for match in _WORD_DATE.finditer(text, start, month.end() + _BEHIND_MONTH):
            reader.word_date(match[0])
    if not OTHER_MONTHS.keys().isdisjoint(tokens):
        reader.foreign_dates(text, today or date(2100, 1, 1))
    ends = [today] if today is not None else []
    for customer in customers:
        ends += _newest(customer)
        reader.numbers.update(_derive_numbers(customer))
    signs = (sign for sign in "$€£¥" if sign in text)
    return reader.evidence(words_of(text).union(signs), ends, text.count("\n"))


class _Reader:
    def __init__(self) -> None:
        self.numbers: set[float] = set()
        self.negatives: set[float] = set()
        self.times: set[str] = set()
        self.years: set[int] = set()
        self.days: set[str] = set()
        self.emails: set[str] = set()
        self.codes: set[str] = set()
        self.digits: set[str] = set()

    def email(self, token: str) -> None:
        for part in token.split(","):
            if (address := normalise_email(part.strip(_AROUND))) is not None:
                self.emails.add(address)

    def token(self, token: str) -> None:
        bare = token.strip(_AROUND)
        if _NEGATIVE.fullmatch(token.rstrip(".,;:")):
            positive = bare.strip("-\u2212$€£¥")
            if (plain := plain_number(positive)) is not None and len(plain) <= _LONGEST_NUMBER:
                self.negatives.add(float(plain))
                self.numbers.add(float(plain))
        if _PLAIN.fullmatch(bare):
            self._number(bare)
        elif iso := _ISO.fullmatch(bare):
            self._date(iso[1], iso[2], iso[3])
        elif _THOUSANDS.fullmatch(bare):
            self._number(bare.replace(",", ""))
            self._read_token(bare)  # or three numbers of a list
        elif _POINTS_AND_COMMA.fullmatch(bare):
            self._number(plain_number(bare.lstrip("-")) or "0")
        elif "," in bare:
            if _COMMA.fullmatch(bare):  # 4,25 is a number or two of a list
                self._number(bare.replace(",", "."))
            self._read_token(bare)
        else:
            self._other(bare)

    def _read_token(self, token: str) -> None:
        for part in token.split(","):
            if _DIGIT.search(part) and "," not in part:
                self.token(part)

    def _number(self, text: str) -> None:
        digits = text.lstrip("-")
        if len(digits) <= _LONGEST_NUMBER:
            value = float(digits)
            self.numbers.add(value)
            if _POINT_THOUSANDS.fullmatch(digits):
                self.numbers.add(float(digits.replace(".", "")))
            if len(digits) == 4 and digits.isdigit():
                self.years.add(int(value))
        if len(digits) > 3:
            self.codes.add(digits.replace(".", ""))

    def _date(self, year: str, month: str, day: str | None = None) -> None:
        self.years.add(int(year))
        self.days.add(f"{year}-{month}")
        if day is not None:
            self.days |= {f"{year}-{month}-{day}", f"--{month}-{day}"}

    def _other(self, bare: str) -> None:
        """Codes and telephone numbers, dates in another order, numbers with a unit, names of fields."""
        for day in {parse_date(bare), parse_date(bare, day_first=True)} - {None}:
            self._date(*str(day).split("-"))
        if _SHORT_DATE.fullmatch(bare):
            for found in find_dates(TextScan(bare), True, date.today()):
                if len(found.value) == 10:
                    self._date(*found.value.split("-"))
        code = _NOT_CODE.sub("", bare).casefold()
        self.codes.add(code)
        lettered = not code.isdigit()
        for digits in _DIGITS.findall(bare):
            if lettered and len(digits) <= _LONGEST_NUMBER:
                self.numbers.add(float(digits))
                if len(digits) > 3:
                    self.codes.add(digits)
        if not lettered and _DIGITS.findall(bare)[0] != code:
            self.years.update(int(part) for part in _DIGITS.findall(bare) if len(part) == 4)

    def foreign_dates(self, text: str, today: date) -> None:
        """Dates with the month in words of another language."""
        for word in OTHER_MONTHS:
            at = text.find(word)
            while at >= 0:
                for found in find_dates(TextScan(text[max(0, at - _BEFORE_MONTH) : at + _BEHIND_MONTH]), True, today):
                    if len(found.value) > 6 and found.value[0] != "-":
                        self._date(*found.value.split("-"))
                at = text.find(word, at + 1)

    def word_date(self, written: str) -> None:
        has_year = written[-4:].isdigit()
        day = parse_date(written if has_year else f"{written.rstrip(',')} {_NO_YEAR}")
        if day is not None:
            if has_year:
                self._date(*day.split("-"))
            else:
                self.days.add(f"-{day[4:]}")

    def evidence(self, words: frozenset[str], ends: Iterable[date], lines: int) -> Evidence:
        by_suffix: dict[str, tuple[str, ...]] = {}
        for digits in self.digits:
            by_suffix[digits[-_SUFFIX:]] = (*by_suffix.get(digits[-_SUFFIX:], ()), digits)
        return Evidence(
            words=words,
            numbers=tuple(sorted(self.numbers)),
            negatives=tuple(sorted(self.negatives)),
            times=frozenset(self.times),
            years=frozenset(self.years),
            spans=_spans(self.days, list(ends)),
            days=frozenset(self.days),
            emails=frozenset(self.emails),
            codes=frozenset(self.codes | self.digits),
            digits=by_suffix,
            lines=lines,
        )


def _spans(days: Iterable[str], ends: list[date]) -> frozenset[int]:
    """Whole years from each of the days until each of the ends: ages, and how long something lasts."""
    marks = [(end.year, f"{end:%m-%d}") for end in ends]
    spans = {end - int(day[:4]) - (day[5:] > mark) for day in days if len(day) == 10 for end, mark in marks}
    return frozenset(span for span in spans if span > SMALL)


def _newest(customer: Customer) -> list[date]:
    """When the records were last brought up to date: an age in them may be of that day."""
    stamps = [record.updated_at[:10] for record in customer.records if record.updated_at]
    try:
        return [date.fromisoformat(max(stamps))] if stamps else []
    except ValueError:
        return []


def _derive_numbers(customer: Customer) -> Iterator[float]:
    """Of each list: how many, and sum and mean of its numbers, or of the numbers under each key of its objects."""
    for record in customer.records:
        for value in record.fields.values():
            if isinstance(value, list) and value:
                yield float(len(value))
                yield from _summarise(value)


def _summarise(values: list[Any]) -> Iterator[float]:
    columns: dict[str, list[float]] = {}
    for item in values:
        for key, value in item.items() if isinstance(item, dict) else (("", item),):
            if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
                columns.setdefault(key, []).append(float(value))
    for column in columns.values():
        yield abs(sum(column))
        yield abs(sum(column) / len(column))
