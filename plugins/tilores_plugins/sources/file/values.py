"""Values as records hold them: plain JSON, nothing empty, without the marks that spreadsheets leave."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

_INTEGER: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9]\d{0,14})\.\d{1,15}", re.ASCII)
_IDENTIFYING: Final = re.compile(
    r"(?:^|_|\b)(?:id|no|nr|number|code|zip|postcode|postal|plz|iban|bic|ssn|tax|phone|mobile|fax|tel|last4|key|ref)(?:$|_|\b)",
    re.IGNORECASE,
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BIGGEST: Final = 2**63
_QUOTED_FORMULA: Final = re.compile(r'="(.*)"', re.DOTALL)
_TEXT_MARK: Final = re.compile(r"'(?=[\d+=-])")
_POINT_ZERO: Final = re.compile(r"(\d+)\.0+")
_GROUPED: Final = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+", re.ASCII)
_SCIENTIFIC: Final = re.compile(r"\d(?:[.,]\d+)?e\+\d{1,3}", re.IGNORECASE)
_INVISIBLE: Final = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u200e\u200f\u202a\u202c\u00ad")) | {
    0xA0: " "
}
_NULLS: Final = frozenset(
    (
        *("null", "NULL", "(null)", "(NULL)", "<null>", "<NULL>", "nan", "NaN", "NAN", "NaT", "<NA>", "undefined"),
        *("n/a", "N/A", "#n/a", "#N/A", "#NA", "\\N", "-", "--"),
    )
)
"""Null and Nan with one capital are names, None and NA may mean something."""
_DIGITS: Final = frozenset("0123456789")
_NO_IDENTIFIERS: Final = frozenset(
    ("null", "none", "nil", "nan", "nat", "na", "n.a.", "unknown", "unbekannt", "k.a.")
)


def cell(text: str) -> str:
    """What a cell of a table holds: without blanks around it, invisible characters and a spreadsheet's text marks."""
    if not text.isascii():
        text = text.translate(_INVISIBLE)
    text = text.strip()
    if text[:1] == "=" and (quoted := _QUOTED_FORMULA.fullmatch(text)):
        return quoted[1].strip()
    return _TEXT_MARK.sub("", text, count=1) if text[:1] == "'" else text


def is_empty(text: str, *, identifying: bool = False) -> bool:
    """Whether a value is absent: nothing, or a word for it such as NULL or N/A.

    In columns that identify (but not names) also the words that elsewhere may mean something (none, NA), and rules
    drawn under a header.
    """
    if not text or text in _NULLS:
        return True
    if not identifying or text[0] in _DIGITS:
        return False
    return text.lower() in _NO_IDENTIFIERS or not any(map(str.isalnum, text))


def without_point_zero(text: str) -> str:
    """`1001.0`, as a number column with gaps is written, as `1001`."""
    match = _POINT_ZERO.fullmatch(text)
    return match[1] if match else text


def plain_id(text: str) -> str:
    """An id without the marks that are put around it: #1001, {3F25…}, 1,001."""
    if text[0] == "#" and text[1:].isalnum():
        return text[1:]
    if text[0] == "{" and text[-1] == "}":
        return text[1:-1]
    return text.replace(",", "") if _GROUPED.fullmatch(text) else text


def has_lost_digits(text: str) -> bool:
    """Whether it is a number in scientific notation (4.9E+11): which digits it had cannot be told."""
    return bool(_SCIENTIFIC.fullmatch(text))


def stays_text(column: str) -> bool:
    """Whether digits in this column name something, so that they are not a number."""
    return bool(_IDENTIFYING.search(_CAMEL.sub("_", column).replace(" ", "_").replace("-", "_").replace(".", "_")))


def parse_value(text: str) -> Any:
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


def as_text(value: Any) -> str:
    """A value of JSON as the text of an identifier; empty when it is not one."""
    if isinstance(value, str):
        return cell(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def fold_text(text: str) -> str:
    """Lower case without accents, to compare the names of two rows."""
    return "".join(c for c in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(c))


def json_type(value: Any) -> str:
    """The JSON type's name."""
    if isinstance(value, bool):
        return "boolean"
    for kind, name in ((str, "string"), (int, "integer"), (float, "number"), (list, "array"), (Mapping, "object")):
        if isinstance(value, kind):
            return name
    return "null"
