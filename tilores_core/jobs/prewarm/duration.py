"""Durations as people write them."""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 7 * 86_400.0

_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_FORM: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) ?([smhd]?)", re.ASCII)


def parse_duration(value: object) -> float:
    """Seconds: `90`, `"90s"`, `"30m"`, `"2h"`, `"1d"`; from one second to a week. Raises `ValueError`."""
    text = str(value) if type(value) in (int, float) else value
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 1.0 <= seconds <= LONGEST:
        raise ValueError('this must be a duration from a second to a week, such as "90s", "30m" or "2h"')
    return seconds
