"""Filter conditions and sort criteria over records, as the page on record insights defines them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cmp_to_key, partial
from typing import Any

from tests.tilores_instance.paths import FieldError, number_of, text_of, time_of, value_at

Record = dict[str, Any]
Condition = Mapping[str, Any]

_NUMBERS: dict[str, Callable[[Any, Any], bool]] = {
    "lessThan": operator.lt,
    "lessEquals": operator.le,
    "greaterThan": operator.gt,
    "greaterEquals": operator.ge,
}
_TIMES: dict[str, Callable[[Any, Any], bool]] = {
    "after": operator.gt,
    "since": operator.ge,
    "before": operator.lt,
    "until": operator.le,
}


def meets(record: Record, conditions: Sequence[Condition]) -> bool:
    """Whether the record meets all of them. Raises FieldError for a value that cannot be compared."""
    return all(_meets_one(record, condition) != bool(condition.get("invert")) for condition in conditions)


def _meets_one(record: Record, condition: Condition) -> bool:
    value = value_at(record, condition["field"])
    is_null = condition.get("isNull")
    if is_null is not None and is_null != (value is None):
        return False
    return _meets_text(value, condition) and _meets_range(value, condition)


def _meets_text(value: Any, condition: Condition) -> bool:
    sensitive = bool(condition.get("caseSensitive"))
    asked: dict[str, Any] = {name: condition.get(name) for name in ("equals", "startsWith", "endsWith", "likeRegex")}
    asked = {name: wanted for name, wanted in asked.items() if wanted is not None}
    if not asked:
        return True
    if value is None:
        return False
    text = text_of(value, sensitive)
    for name, wanted in asked.items():
        if name == "equals":
            good = _equal(value, wanted, sensitive)
        elif name == "likeRegex":
            good = _search(wanted, text, sensitive)
        else:
            part = text_of(wanted, sensitive)
            good = text.startswith(part) if name == "startsWith" else text.endswith(part)
        if not good:
            return False
    return True


def _equal(value: Any, wanted: Any, sensitive: bool) -> bool:
    try:
        return number_of(value) == number_of(wanted)
    except FieldError:
        return text_of(value, sensitive) == text_of(wanted, sensitive)


def _search(pattern: str, text: str, sensitive: bool) -> bool:
    try:
        return re.search(pattern, text, 0 if sensitive else re.IGNORECASE) is not None
    except re.error as error:
        raise FieldError(f"error parsing regexp: {error}") from None


def _meets_range(value: Any, condition: Condition) -> bool:
    for table, parse in ((_NUMBERS, number_of), (_TIMES, time_of)):
        for name, holds in table.items():
            wanted = parse(condition.get(name))
            if wanted is None:
                continue
            found = parse(value)
            if found is None or not holds(found, wanted):
                return False
    return True


def sort_records(records: Sequence[Record], criteria: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Stable; by numbers where every value is one, else by lower-cased text; nulls first with DESC, last with ASC."""
    ordered = list(records)
    for criterion in reversed(criteria):
        sign = -1 if criterion.get("direction") == "DESC" else 1  # not `reverse`: equal values keep their order
        keys = _keys(ordered, criterion["field"])
        pairs = sorted(zip(keys, ordered, strict=True), key=cmp_to_key(partial(_order, sign)))
        ordered = [record for _, record in pairs]
    return ordered


def _keys(records: Sequence[Record], path: str) -> list[Any]:
    values = [value_at(record, path) for record in records]
    try:
        return [number_of(value) for value in values]
    except FieldError:
        return [None if value is None else text_of(value) for value in values]


def _order(sign: int, one: tuple[Any, Record], other: tuple[Any, Record]) -> int:
    """With sign 1 ascending and None after everything."""
    a, b = one[0], other[0]
    if a is None or b is None:
        return sign * ((a is None) - (b is None))
    return sign * int((a > b) - (a < b))
