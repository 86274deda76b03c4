"""What is masked for every customer: addresses of e-mail, numbers of every kind, dates, identifiers.

| what | stays |
| --- | --- |
| whole numbers of one or two digits: counts and lists | 3, 42 |
| every other number, amount, rate, time, telephone, card or account number | nothing |
| a date in any order, also in English and German words | nothing |
| a word or code with three digits or more, IBANs, national ids | nothing |
| numbers in words but for a single small one | three |

So no spelling of a number needs to be known to be masked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple


class Span(NamedTuple):
    """A piece of a text, and what stands in its place."""

    start: int
    end: int
    label: str


_EMAIL = re.compile(
    r"[\w.+'\-]+\s?@\s?[\w\-]+(?:\s?\.\s?[\w\-]+)*"
    r"|\b[\w.\-]+(?: (?:dot|underscore|dash) [\w\-]+)* at [\w\-]+(?: dot [\w\-]+)+",
    re.IGNORECASE,
)
_URL = re.compile(r"\b(?:[a-z][a-z0-9+.\-]*://|www\.)\S+", re.IGNORECASE)
_IBAN = re.compile(r"\b[A-Za-z]{2}\d{2}(?:[ \-]?[A-Za-z0-9]{1,4}){3,8}\b", re.ASCII)
# National insurance (GB), social security (US), DNI/NIE (ES), INSEE (FR), steuer-id (DE) and such: what has three
# digits in a row is caught as a code; these are the forms that are written in groups of two or with letters around.
_NATIONAL = re.compile(
    r"\b[A-Za-z]{2}[ \-]?\d{2}[ \-]?\d{2}[ \-]?\d{2}[ \-]?[A-Da-d]\b"
    r"|\b[12] ?\d{2} ?\d{2} ?\d[\dABab] ?\d{3} ?\d{3}(?: ?\d{2})?\b"
    r"|\b[XYZxyz]?[ \-]?\d{7,8}[ \-]?[A-Za-z]\b"
)
# A number with all that may stand between its groups. The lookarounds keep what belongs to a word together with it.
_NUMBER = re.compile(
    r"[$€£¥₹+\-\u2212(]*\d(?:[\d.,:/'’()\-\u2010-\u2014\u00a0\u202f ]*\d)?\)?(?:\s?(?:%|[$€£¥₹]|k\b|bn\b|m\b))?",
    re.IGNORECASE,
)
_CODE = re.compile(r"[^\W_]*\d[^\W_]*(?:[\-_/.#][^\W_]+)*|[^\W\d_]+(?:[\-_/.#][^\W_]*\d[^\W_]*)+")
_DIGIT = re.compile(r"\d")
_SEPARATED = re.compile(r"\d[^\d\s]+\d|\d[^\d]*[.,/:][^\d]*\d")
_UNIT = re.compile(r"[$€£¥₹%kmb]", re.IGNORECASE)

_MONTH: Final = (
    r"(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli|aug(?:ust)?"
    r"|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)\.?"
)
_DATE = re.compile(
    rf"\b\d{{1,2}}(?:st|nd|rd|th|\.)?\s?(?:of\s)?{_MONTH}(?:,?\s?\d{{2,4}})?\b"
    rf"|\b{_MONTH}\s?(?:the\s)?\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s?\d{{4}})?\b"
    rf"|\b{_MONTH},?\s?\d{{4}}\b",
    re.IGNORECASE,
)

_SMALL: Final = "zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple"
_LARGE: Final = (
    "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fourty|fifty"
    "|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|point"
)
_WORDED = re.compile(
    rf"\b(?:a |one )?(?:{_SMALL}|{_LARGE})(?:(?:\s|-|, | and ){{1,2}}(?:{_SMALL}|{_LARGE}))+\b", re.IGNORECASE
)

_PLAIN: Final = ((_EMAIL, "email"), (_URL, "address"), (_IBAN, "account"), (_NATIONAL, "id"), (_DATE, "date"))


def spans(text: str) -> Iterator[Span]:
    """What these rules mask in `text`, overlaps included."""
    for pattern, label in _PLAIN:
        for match in pattern.finditer(text):
            yield Span(match.start(), match.end(), label)
    for match in _WORDED.finditer(text):
        yield Span(match.start(), match.end(), "number")
    for match in _CODE.finditer(text):
        if len(_DIGIT.findall(match[0])) >= 3:
            lettered = any(character.isalpha() for character in match[0])
            yield Span(match.start(), match.end(), "id" if lettered else "number")
    for match in _NUMBER.finditer(text):
        if not _stays(match[0]):
            yield Span(match.start(), match.end(), _kind(match[0]))


def _stays(written: str) -> bool:
    """A whole number of one or two digits without a unit, or two of one digit in a row."""
    if _UNIT.search(written) or _SEPARATED.search(written):
        return False
    return all(len(group) <= 2 for group in re.findall(r"\d+", written)) and len(_DIGIT.findall(written)) <= 2


def _kind(written: str) -> str:
    digits = "".join(character for character in written if character.isdecimal())
    if 12 <= len(digits) <= 19 and passes_luhn(digits):
        return "card"
    return "phone" if written.lstrip("(").startswith("+") and len(digits) >= 7 else "number"


def passes_luhn(digits: str) -> bool:
    """The checksum of card numbers (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, character in enumerate(reversed(digits)):
        value = int(character) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
