"""How callers say numbers and dates, in seven languages; the phrases are in phrases.toml."""

from __future__ import annotations

import random
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

PHRASES: dict[str, Any] = tomllib.loads(Path(__file__).with_name("phrases.toml").read_text(encoding="utf-8"))
ONES, TEENS, TENS, _ORDINALS = (list[str](PHRASES["spoken"][key]) for key in ("ones", "teens", "tens", "ordinals"))
DIGITS, MONTHS = PHRASES["digits"], PHRASES["months"]


def year_in_words(year: int) -> str:
    if 2000 <= year < 2010:
        return "two thousand" + ("" if year == 2000 else f" {rest_in_words(year - 2000)}")
    rest = year % 100
    head = {19: "nineteen", 20: "twenty", 18: "eighteen"}[year // 100]
    return f"{head} {'oh ' + ONES[rest] if 0 < rest < 10 else rest_in_words(rest) if rest else 'hundred'}"


def rest_in_words(n: int) -> str:
    if n < 10:
        return ONES[n]
    if n < 20:
        return TEENS[n - 10]
    return TENS[n // 10] + (f" {ONES[n % 10]}" if n % 10 else "")


def day_in_words(day: int) -> str:
    if day <= 20:
        return _ORDINALS[day - 1]
    tens = "twenty" if day < 30 else "thirty"
    return "thirtieth" if day == 30 else f"{tens} {_ORDINALS[day % 10 - 1]}"


def say_date(rng: random.Random, day: date, language: str) -> tuple[str, bool]:
    """The date as somebody says it, and whether it is the whole date."""
    month = MONTHS[language][day.month - 1]
    if language != "en":
        joined = {"de": ". ", "nl": " ", "fr": " ", "it": " "}.get(language, " de ")
        last = " de " if language in ("es", "pt") else " "
        return f"{day.day}{joined}{month}{last}{day.year}", True
    kind = rng.randint(0, 9)
    suffix = "th" if 10 <= day.day <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    match kind:
        case 0:
            return day.isoformat(), True
        case 1:
            return f"{day.month}/{day.day}/{day.year}", True
        case 2:
            return f"{day.month:02}/{day.day:02}/{day.year % 100:02}", True
        case 3:
            return f"{month} {day.day}{suffix}, {day.year}", True
        case 4:
            return f"{day.day} {month[:3]} {day.year}", True
        case 5:
            return f"the {day.day}{suffix} of {month} {day.year}", True
        case 6:
            return f"{month.lower()} {day_in_words(day.day)} {year_in_words(day.year)}", True
        case 7:
            return f"the {day_in_words(day.day)} of {month.lower()} {year_in_words(day.year)}", True
        case 8:
            return f"{month} {day.year}", False
        case _:
            return str(day.year), False


def say_digits(rng: random.Random, digits: str, language: str) -> str:
    """Digit by digit, with "double" and "oh" in English."""
    words = DIGITS[language]
    said: list[str] = []
    i = 0
    while i < len(digits):
        pair = i + 1 < len(digits) and digits[i] == digits[i + 1]
        triple = i + 2 < len(digits) and digits[i] == digits[i + 1] == digits[i + 2]
        if language == "en" and triple and rng.random() < 0.3:
            said.append(f"triple {words[int(digits[i])]}")
            i += 3
        elif language == "en" and pair and rng.random() < 0.5:
            said.append(f"double {words[int(digits[i])]}")
            i += 2
        else:
            zero = language == "en" and digits[i] == "0" and rng.random() < 0.5
            said.append("oh" if zero else words[int(digits[i])])
            i += 1
    return " ".join(said)


def write_phone(rng: random.Random, digits: str) -> str:
    a, b, c = digits[:3], digits[3:6], digits[6:]
    return rng.choice(
        (f"({a}) {b}-{c}", f"{a} {b} {c}", f"{a}-{b}-{c}", f"+1 {a} {b} {c}", f"{a}.{b}.{c}", digits,
         f"1-{a}-{b}-{c}", f"({a}) {b}-{c} ext 12", f"+1{digits}", f"{a} {b} {c[:2]} {c[2:]}")
    )  # fmt: skip


def as_heard(text: str) -> str:
    """As speech recognition writes: lower case, no punctuation, no apostrophes."""
    text = re.sub(r"\bjr\.", "junior", re.sub(r"\bsr\.", "senior", text.lower()))
    text = re.sub(r"['’](?=s\b)", "", text)
    text = re.sub(r"(?<=\bo)['’]|(?<=\bd)['’]", " ", text)
    text = re.sub(r"(?<=[^\W\d_])-(?=[^\W\d_])", " ", text)
    text = re.sub(r"[?!¿¡.,;:]+(?=\s|$)|[¿¡]|(?<=\s)-(?=\s)", "", text)
    return " ".join(text.split())
