"""A text with its numbers in figures and in one piece, so that each value is a word of its own."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from tilores_core.chat.customer.contacts import find_emails
from tilores_core.chat.customer.numbers import number_language, with_figures
from tilores_core.chat.customer.tokens import TextScan
from tilores_core.chat.customer.words import LANGUAGES, language_of
from tilores_core.chat.grounding.vocabulary import MONTHS, SMALL_NUMBERS, SPOKEN_NUMBER

SMALL: Final = 12
"""Whole numbers up to this one are counts that anybody makes."""

_DIGIT = re.compile(r"[0-9]")
_WORDS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_SHORT_YEAR = re.compile(r"(?<=[ ,])['’](\d\d)(?!\d)")
_LAST_CENTURY: Final = 30  # '31 and later years are of the last century
_PARTS = {"half": 0.5, "quarter": 0.25, "": 0.0}
_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_SPOKEN_PERCENT = re.compile(rf"\b({'|'.join(_ONES)})(?: and a (half|quarter))? (?=per ?cent)", re.IGNORECASE)
_SPOKEN_AREA = re.compile(r"area code (?=\d)", re.IGNORECASE)
_TRUNK = re.compile(r"\+(\d{1,3})[ ]?\(0\)[ ]?")
_MASK = re.compile(r"(?:[xX*•]{2,4}[ \-]){1,4}(\d{2,6})(?!\d)")
_MIDDLE_MASKED = re.compile(r"(?<!\w)([A-Z]{0,2}\d{2,6})[ -]?(?:[xX*•]{2,6}[ -]?){1,5}(\d{2,6})(?!\d)")
_NAMED_DAY = re.compile(
    r"(?<!\w)(\d{1,2}(?:st|nd|rd|th|\.)?)[ -]([^\W\d_]{3,9})(\.?,?)[ -](\d{4}|\d\d)(?![\w:]|[.,]\d)"
)
_SPACED = re.compile(
    r"(?<![\d.,])(?<!\d )([1-9]\d{0,2}(?:[ \u00a0\u202f]\d{3})+)"
    r"(?=[.,]\d{1,2}(?!\d)|[ \u00a0\u202f]?(?:[€$£%]|euros?\b|eur\b|usd\b|gbp\b))|"
    r"(?<![\d.,+])(?<!\d )([1-9]\d?(?:[ \u00a0\u202f]\d{3}){2,})(?![ ]?\d)",
    re.IGNORECASE,
)


POSTCODE = re.compile(r"\b(?:[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d)\b", re.ASCII)
"""British and Canadian ones, of two words."""


def join_groups(text: str) -> str:
    """Return `text` with numbers like 1 234,56 in one piece."""
    return _SPACED.sub(lambda match: re.sub(r"\D", "", match[0]), text) if _DIGIT.search(text) else text


def in_figures(text: str) -> str:
    """Return `text` with every number in figures: spoken ones and addresses, those in the digits of other scripts,
    '83, masked ones."""
    if not text.isascii():
        text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() and not c.isascii() else c for c in text)
    if _DIGIT.search(text):
        text = _NAMED_DAY.sub(_in_full, _MIDDLE_MASKED.sub(r"\1****\2", text))
        text = POSTCODE.sub(lambda match: match[0].replace(" ", ""), text)
        text = _SPOKEN_AREA.sub("prefix ", text)
        text = _MASK.sub(r"****\1", _TRUNK.sub(r"+\1 ", _SHORT_YEAR.sub(_whole_year, text)))
    if "cent" in text:
        text = _SPOKEN_PERCENT.sub(_small_percent, text)
    if " dot " in text:
        for email in reversed(find_emails(TextScan(text))):
            text = f"{text[: email.start]}{email.value}{text[email.end :]}"
    page = TextScan(text)
    words = page.words
    if not any(SPOKEN_NUMBER.match(word) for word in words) and len(words & SMALL_NUMBERS) < 2:
        return text
    likely = number_language(page, language_of(page.keywords, words))
    for language in (likely, *(other for other in LANGUAGES if other != likely)):
        figures = with_figures(page, language, least=SMALL + 1)
        if figures is not None:
            return figures.text
    return text


def _small_percent(match: re.Match[str]) -> str:
    return f"{_ONES.index(match[1].lower()) + 1 + _PARTS[match[2] or '']:g} "


def _whole_year(match: re.Match[str]) -> str:
    return _with_century(match[1])


def _with_century(year: str) -> str:
    return f"{19 if int(year) > _LAST_CENTURY else 20}{year}"


def _in_full(match: re.Match[str]) -> str:
    """ "14-Mar-83" as "14 Mar 1983"."""
    day, month, mark, year = match.groups()
    if month not in MONTHS and month.lower() not in MONTHS:
        return match[0]
    return f"{day} {month}{mark} {_with_century(year) if len(year) == 2 else year}"
