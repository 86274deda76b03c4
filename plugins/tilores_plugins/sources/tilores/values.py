"""Values of an answer as records hold them: plain JSON, flat, nothing empty."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tilores_plugins.sources.tilores.selection import MARK

_BIGGEST = 2**63


def flat(record: Mapping[str, Any], scalars: Collection[str]) -> dict[str, Any]:
    """A record's fields by dotted path, None left out. `scalars`: paths whose value is kept as it is."""
    fields: dict[str, Any] = {}
    _flatten(record, "", scalars, fields)
    return fields


def _flatten(record: Mapping[str, Any], before: str, scalars: Collection[str], fields: dict[str, Any]) -> None:
    for key, value in record.items():
        path = before + plain(key)
        if value is None:
            continue
        if isinstance(value, Mapping) and path not in scalars:
            _flatten(value, f"{path}.", scalars, fields)
        elif (cleaned := clean(value)) not in (None, [], "") and path not in fields:
            fields[path] = cleaned


def plain(key: str) -> str:
    """The field's own name where the answer's key names its type too."""
    return key.rpartition(MARK)[2] or key


def clean(value: Any) -> Any:
    """A JSON value that every JSON library can write, without nulls inside."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {plain(key): clean(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [clean(item) for item in value if item is not None]
    if isinstance(value, int) and not isinstance(value, bool) and not -_BIGGEST <= value < _BIGGEST:
        return str(value)
    return value


def texts(fields: Mapping[str, Any], path: str) -> Sequence[str]:
    """What is at a dotted path, as text; of lists each item."""
    if path in fields:
        return _texts(fields[path])
    before, dot, rest = path.rpartition(".")
    while dot:  # inside a list of objects, which stays one field
        if before in fields:
            return _inside(fields[before], rest.split("."))
        before, dot, step = before.rpartition(".")
        rest = f"{step}.{rest}"
    return ()


def text(fields: Mapping[str, Any], path: str | None) -> str | None:
    found = texts(fields, path) if path else ()
    return found[0] if found else None


def _inside(value: Any, steps: Sequence[str]) -> Sequence[str]:
    if isinstance(value, list):
        return [found for item in value for found in _inside(item, steps)]
    if not steps:
        return _texts(value)
    return _inside(value.get(steps[0]), steps[1:]) if isinstance(value, Mapping) else ()


def _texts(value: Any) -> Sequence[str]:
    if isinstance(value, list):
        return [found for item in value for found in _texts(item)]
    if isinstance(value, str):
        return (value.strip(),) if value.strip() else ()
    return (str(value),) if isinstance(value, int | float) and not isinstance(value, bool) else ()
