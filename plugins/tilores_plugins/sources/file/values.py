"""Values as records hold them: plain JSON, nothing empty."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d{0,14})\.\d{1,15}", re.ASCII)
_IDENTIFYING = re.compile(
    r"(?:^|_|\b)(?:id|no|nr|number|code|zip|postcode|postal|plz|iban|bic|ssn|tax|phone|mobile|fax|tel|last4|key|ref)(?:$|_|\b)",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BIGGEST = 2**63


def stays_text(column: str) -> bool:
    """Whether digits in this column name something, so that they are no number."""
    return bool(_IDENTIFYING.search(_CAMEL.sub("_", column).replace(" ", "_").replace("-", "_")))


def typed(text: str) -> Any:
    """A CSV value: true, false, or a number where writing it again gives the same text; else the text."""
    if _INTEGER.fullmatch(text) and text != "-0":
        return int(text)
    if _DECIMAL.fullmatch(text) and repr(number := float(text)) == text:
        return number
    return {"true": True, "false": False}.get(text.lower(), text)


def clean(value: Any) -> Any:
    """A JSON value that every JSON library can write: no lone surrogates, no integer beyond 64 bits."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -_BIGGEST <= value < _BIGGEST else str(value)
    if isinstance(value, Mapping):
        return {clean(key): clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item) for item in value]
    return value


def json_type(value: Any) -> str:
    """The JSON type's name."""
    if isinstance(value, bool):
        return "boolean"
    for kind, name in ((str, "string"), (int, "integer"), (float, "number"), (list, "array"), (Mapping, "object")):
        if isinstance(value, kind):
            return name
    return "null"
