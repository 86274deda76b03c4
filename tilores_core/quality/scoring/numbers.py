"""Figures in a text with their units, also those that are said in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from tilores_core.chat.customer.numbers import with_figures
from tilores_core.chat.customer.tokens import TextScan
from tilores_core.chat.grounding.amounts import plain_number
from tilores_core.chat.grounding.vocabulary import HEDGES, ONES, TEENS, TENS

_CURRENCIES: Final = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
_UNIT_WORDS: Final = {
    "USD": "usd dollar dollars buck bucks",
    "EUR": "eur euro euros",
    "GBP": "gbp pound pounds sterling",
    "CAD": "cad",
    "SEK": "sek krona kronor",
    "JPY": "jpy yen",
    "percent": "percent percentage prozent",
    "second": "s sec secs second seconds",
    "minute": "min mins minute minutes",
    "hour": "h hr hrs hour hours",
    "day": "d day days",
    "week": "week weeks",
    "month": "month months",
    "year": "yr yrs year years",
    "km": "km kilometre kilometres kilometer kilometers",
    "mile": "mi mile miles",
    "metre": "metre metres meter meters",
}
_UNIT_OF: Final = {word: unit for unit, words in _UNIT_WORDS.items() for word in words.split()}
_SIZES: Final = {  # unit -> family, size in it
    "second": ("time", 1.0),
    "minute": ("time", 60.0),
    "hour": ("time", 3600.0),
    "day": ("time", 86_400.0),
    "week": ("time", 604_800.0),
    "month": ("months", 1.0),
    "year": ("months", 12.0),
    "km": ("length", 1.0),
    "mile": ("length", 1.609344),
    "metre": ("length", 0.001),
}
UNITS: Final = frozenset(_UNIT_WORDS)
"""The units that a fact may have."""

_SCALES: Final = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "k": 1e3, "m": 1e6, "bn": 1e9}
_NUMBER = re.compile(
    r"(?<![\w.,/:])(?P<about>[~≈])?(?P<sign>[+\-\u2212])?"
    r"(?P<money>[$€£¥]|\b(?:USD|EUR|GBP|CAD|SEK|JPY)\s)?(?P<digits>\d(?:[\d,.'’\u00a0\u202f]*\d)?)"
    r"(?P<behind>\s?[%€$£¥]|(?:k|K|m|M|bn)\b)?(?![\w/:])"
    r"(?:[ \-](?P<after>[^\W\d_]+)\b)?(?:[ ](?P<then>[^\W\d_]+)\b)?",
)
_GROUPED_BY_SPACE = re.compile(r"(?<![\d.,])([1-9]\d{0,2}(?:[ \u00a0\u202f]\d{3})+)(?=[.,]\d{1,2}(?!\d)|\D|$)")
_SMALL_WORDS: Final = {"zero": 0, **ONES, "ten": 10, "eleven": 11, "twelve": 12, **TEENS, **TENS}
_SMALL = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(TENS)})[- ](?P<ones>{'|'.join(ONES)})|(?P<one>{'|'.join(_SMALL_WORDS)}))\b",
    re.IGNORECASE,
)
_SPOKEN_POINT = re.compile(r"(\d+) point ((?:\d+ ?)+)", re.IGNORECASE)
_CENTS = re.compile(
    r"(?<![\d,])(\d[\d,]*)(?: US)? (dollars?|euros?|pounds?)(?:,? and)? (\d{1,2})(?: cents?| pence)", re.IGNORECASE
)
_HEDGED = re.compile(
    r"(?:\b(?:" + "|".join(sorted(HEDGES - {"some", "up", "than"})) + r"|more than|less than|up to|some)|[~≈])\s*$",
    re.IGNORECASE,
)
_HEDGED_BEHIND = re.compile(r"\W{0,3}(?:or so|or thereabouts|roughly|approximately|rounded)\b", re.IGNORECASE)
_MOST: Final = 200
_ROUGHLY: Final = 0.05
_EPSILON: Final = 1e-9


@dataclass(frozen=True, slots=True)
class NumberMention:
    """A number at `start`:`end` of the text with figures. `values`: its readings, as 1.234 may be one or a thousand.

    `slack`: how far the true value may lie away when the number is a rounded one.
    """

    values: tuple[float, ...]
    slack: float
    unit: str
    start: int
    end: int

    def compare(self, value: float, unit: str, tolerance: float) -> str:
        """Return `exact`, `rounded` or "" (another number), against a value in a unit ("" fits any)."""
        if unit and self.unit and self.unit != unit:
            own, wanted = _SIZES.get(self.unit), _SIZES.get(unit)
            if own is None or wanted is None or own[0] != wanted[0]:
                return ""
            factor = own[1] / wanted[1]
        else:
            factor = 1.0
        for reading in self.values:
            distance = abs(abs(reading * factor) - abs(value))
            if distance <= tolerance + _EPSILON:
                return "exact"
            if distance <= self.slack * factor + _EPSILON:
                return "rounded"
        return ""


def with_all_figures(text: str) -> str:
    """Return `text` with figures for all numbers in words, also single ones and those with "point" and "cents"."""
    figures = with_figures(TextScan(text), "en")
    text = _SMALL.sub(_small, text if figures is None else figures.text)
    text = _SPOKEN_POINT.sub(lambda m: f"{m[1]}.{m[2].replace(' ', '')}" + (" " if m[2].endswith(" ") else ""), text)
    text = _CENTS.sub(lambda m: f"{m[1]}.{m[3]:0>2} {m[2]}", text)
    return _GROUPED_BY_SPACE.sub(lambda m: re.sub(r"\D", "", m[1]), text)


def _small(match: re.Match[str]) -> str:
    if match["one"]:
        return str(_SMALL_WORDS[match["one"].lower()])
    return str(TENS[match["tens"].lower()] + ONES[match["ones"].lower()])


@lru_cache(maxsize=2048)
def find_numbers(text: str) -> tuple[NumberMention, ...]:
    """The numbers in a text that `with_all_figures` made; also durations in two parts ("6 minutes 52 seconds")."""
    found: list[NumberMention] = []
    for match in _NUMBER.finditer(text):
        if len(found) == _MOST:
            break
        mention = _mention(match, text)
        if mention is not None:
            found.append(mention)
    found += _durations(found, text)
    return tuple(found)


def _mention(match: re.Match[str], text: str) -> NumberMention | None:
    digits = match["digits"]
    plain = plain_number(digits)
    if plain is None:
        return None
    behind = (match["behind"] or "").strip().lower()
    after, then = (match["after"] or "").lower(), (match["then"] or "").lower()
    scale = _SCALES.get(behind) or _SCALES.get(after, 1.0)
    named = then if after in _SCALES or after == "us" else after
    unit = _CURRENCIES.get((match["money"] or behind or " ").strip()) or (match["money"] or "").strip()
    if not unit:
        unit = "percent" if behind == "%" or (after, then) == ("per", "cent") else _UNIT_OF.get(named, "")
    values = [float(plain) * scale]
    if re.fullmatch(r"\d{1,3}\.\d{3}", digits):  # a thousand, in many countries
        values.append(float(digits.replace(".", "")) * scale)
    hedged = bool(
        match["about"] or _HEDGED.search(text[: match.start("digits")]) or _HEDGED_BEHIND.match(text, match.end())
    )
    whole, _, decimals = plain.partition(".")
    slack = 0.5 * 10.0 ** -len(decimals) * scale
    if hedged or scale != 1.0:
        zeros = 0 if decimals else len(whole) - len(whole.rstrip("0"))
        slack = min(10.0 ** (zeros - len(decimals)) * scale, _ROUGHLY * values[0])
    return NumberMention(tuple(values), slack, unit, match.start("digits"), match.end("digits"))


def _durations(found: list[NumberMention], text: str) -> list[NumberMention]:
    together = []
    for first, second in pairwise(found):
        one, two = _SIZES.get(first.unit), _SIZES.get(second.unit)
        if one is None or two is None or one[0] != two[0] or one[1] <= two[1]:
            continue
        if re.fullmatch(r"[ \-]?[^\W\d_]+,?(?: and)? ", text[first.end : second.start]):
            value = first.values[0] * one[1] / two[1] + second.values[0]
            together.append(NumberMention((value,), 0.0, second.unit, first.start, second.end))
    return together
