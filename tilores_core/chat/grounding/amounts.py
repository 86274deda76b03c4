"""Numbers with what is said beside them: currencies, per cent, scales, words that round or bound them, signs."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from tilores_core.chat.grounding.figures import SMALL
from tilores_core.chat.grounding.vocabulary import (
    ABOVE,
    AGED,
    BELOW,
    COUNTED,
    HEDGES,
    PERCENT,
    SCALES,
    YEARS,
)

Kind = Literal["number", "date", "email", "phone", "account", "name"]
KINDS: Final[tuple[Kind, ...]] = ("number", "date", "email", "phone", "account", "name")

LONGEST_NUMBER: Final = 15  # digits that a float holds exactly
_THOUSANDS = re.compile(r"[1-9]\d{0,2}\.\d{3}", re.ASCII)


class Claim(NamedTuple):
    """One value. `text` is what it is compared by, `value` and `slack` are for numbers, `other` is a second reading
    of the same figures (1.500 may be 1,500).

    `shape` is how to compare: `number`, `spaced` (a number in two groups, or two numbers), `percent`, `years` (a span
    of so many), `count` ("40 more"), `day` (ISO), `month_day` (`--06-30`), `month` (`2025-06`), `time` (of the day,
    `14:30`), `digits`, `code`, `head` and `tail` (beginning and end of a longer one), `email`, `name`. `side`: 1 when
    the value is said to be above the number, -1 when below. `unit`: what it is counted in, as in `RIVALS`.
    """

    kind: Kind
    shape: str
    text: str
    value: float = 0.0
    slack: float = 0.0
    other: float | None = None
    other_slack: float = 0.5
    side: int = 0
    negative: bool = False
    unit: str = ""


def read_number(match: re.Match[str], before: str, after: str) -> Claim | None:
    behind = match["behind"] or ""
    digits = match["digits"].strip(",.'’\u00a0\u202f")
    if behind in ("st", "nd", "rd", "th", "x", "s"):
        return None if behind != "s" else read_amount(digits, after)  # an ordinal or a factor; "the 1990s"
    percent = behind == "%" or after.lower() in PERCENT
    paid = bool(match["money"])
    scale = SCALES.get(behind) or SCALES.get(after) or SCALES.get(after.lower(), 1.0)
    metres = not paid and "m" in (behind, after)  # or months, or millions; of money they are millions
    if metres:
        scale = 1.0
    marked = paid or percent or scale != 1.0 or behind in ("€", "$", "£", "¥")
    if before in AGED:
        after = "years"
    claim = read_amount(digits, after, scale=scale, percent=percent, marked=marked, before=before)
    if claim is None or not metres:
        return claim
    millions = read_amount(digits, after, scale=SCALES["m"], marked=True, before=before)
    return claim if millions is None else claim._replace(other=millions.value, other_slack=millions.slack)


def read_amount(
    digits: str, after: str, *, scale: float = 1.0, percent: bool = False, marked: bool = False, before: str = ""
) -> Claim | None:
    """A number as a claim; None for a small count."""
    hedged, bounded = before in HEDGES, before in ABOVE or before in BELOW
    plain = plain_number(digits)
    if plain is None:
        return None
    whole, _, decimals = plain.partition(".")
    if len(whole) > LONGEST_NUMBER or (not decimals and len(whole) > 9 and scale == 1.0 and not marked):
        return Claim("account", "digits", whole)
    value = float(plain)
    if not marked and not decimals and value <= SMALL:
        return None
    # Without its last decimals a number is rounded; said to be rough, it is so to its last figure that is not 0.
    unit = 10.0 ** -len(decimals) * scale
    if (hedged or scale != 1.0) and not decimals:
        unit = 10.0 ** (len(whole) - len(whole.rstrip("0"))) * scale
        if hedged and not bounded and plain.rstrip("0")[-1:] == "5" and len(plain.rstrip("0")) > 1:
            unit *= 5  # "roughly 750"
        if unit > value * scale / 2:  # one figure says too little: "about 700" for 742, but not for 655
            unit = value * scale / (5 if hedged and not bounded else 10)
    slack = unit if bounded else unit / 2
    shape = "percent" if percent else "number"
    if not marked and not decimals and (after.lower().startswith(YEARS) or after in COUNTED):
        shape = "count" if after in COUNTED else "years"
    other = float(digits.replace(".", "")) * scale if _THOUSANDS.fullmatch(digits) else None
    zeros = len(digits) - len(digits.rstrip("0"))
    return Claim(
        "number",
        shape,
        plain,
        value * scale,
        slack,
        other,
        10.0**zeros * scale * (1.0 if bounded else 0.5) if hedged else 0.5,
        (before in ABOVE) - (before in BELOW),
    )


def clock_time(hour: str, minute: str, half: str = "") -> str | None:
    """`14:30`, None when it is not a time; `half`: a, p or nothing."""
    hours = int(hour) % 12 + 12 * (half == "p") if half else int(hour)
    return f"{hours:02}:{minute}" if hours < 24 and int(minute) < 60 and (not half or 0 < int(hour) <= 12) else None


def plain_number(digits: str) -> str | None:
    """`1,234.50`, `1.234,50` and `1 234.5` as `1234.5`, without needless zeros; None when it is not a number."""
    if digits.isdigit():
        return digits
    if not digits.isascii() or "'" in digits:
        digits = digits.replace("\u00a0", "").replace("\u202f", "").replace("'", "").replace("’", "")
    comma, point = digits.rfind(","), digits.rfind(".")
    if comma >= 0 and point >= 0:
        decimal, thousands = (",", ".") if comma > point else (".", ",")
        digits = digits.replace(thousands, "").replace(decimal, ".")
    elif comma >= 0:
        groups = digits.split(",")
        grouped = all(len(group) == 3 for group in groups[1:])
        digits = "".join(groups) if grouped else digits.replace(",", ".") if len(groups) == 2 else ""
    elif digits.count(".") > 1:
        groups = digits.split(".")
        digits = "".join(groups) if all(len(group) == 3 for group in groups[1:]) else ""
    if not digits:
        return None
    whole, _, decimals = digits.partition(".")
    decimals = decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole
