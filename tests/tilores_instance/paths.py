"""Values out of a record by a path such as `address.city` or `tags.0`; a missing step is None."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


class FieldError(ValueError):
    """A value that the asked-for function cannot work with."""


def value_at(record: Any, path: str) -> Any:
    """The value at this path, which may be a list or an object."""
    value = record
    for step in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list):
            value = value[int(step)] if step.isdecimal() and int(step) < len(value) else None
        else:
            return None
    return value


def text_of(value: Any, case_sensitive: bool = False) -> str:
    """The string that comparisons use: lists and objects as JSON, whole floats without their point."""
    if isinstance(value, dict | list):
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, float) and value.is_integer():
        text = str(int(value))
    else:
        text = str(value)
    return text if case_sensitive else text.lower()


def number_of(value: Any) -> float | None:
    """Numbers, and strings that hold one. Raises FieldError for anything else but None."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise FieldError(f"not a number: {value!r}") from None
    raise FieldError(f"expected a numeric value but received {type(value).__name__}")


def time_of(value: Any) -> datetime | None:
    """An instant, UTC where the text has no zone. Raises FieldError for a date without a time."""
    if value is None:
        return None
    text = str(value)
    if "T" not in text:
        raise FieldError(f"cannot parse {text!r} as a time: it has no time of day")
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise FieldError(f"cannot parse {text!r} as a time") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
