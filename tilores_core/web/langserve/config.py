"""What takes effect of a run config: `configurable`, `tags`, `metadata`, `run_id`. Everything else is ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from tilores_core.errors import InvalidRequestError

_LONGEST_ID: Final = 256
_MOST_STOPS: Final = 16
_MOST_TAGS: Final = 64
# Tags and metadata are sent back with every event, so a small request must not make a huge answer.
_MOST_METADATA: Final = 16_384
_MERGED: Final = ("configurable", "metadata")


class RunConfig(NamedTuple):
    """`fields` are of `ChatRequest`: those of them that were given."""

    fields: Mapping[str, Any]
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = {}


_NO_CONFIG: Final = RunConfig({})


def read_config(value: object, base: Mapping[str, Any] | None, *, param: str = "config") -> RunConfig:
    """Check a config; `base` is the one in the path, over which this one wins. Null means absent.

    Raises `InvalidRequestError` naming the key, such as `config.configurable.max_age`.
    """
    if value is not None and not isinstance(value, dict):
        raise _wrong(param, "must be an object")
    config = _merged(base, value or {}) if base else value
    if not config:
        return _NO_CONFIG
    configurable = config.get("configurable")
    fields = _read_configurable(configurable, f"{param}.configurable") if configurable is not None else {}
    run_id = config.get("run_id") or config.get("runId")
    if run_id:
        fields["run_id"] = _run_id(run_id)
    tags, metadata = config.get("tags"), config.get("metadata")
    return RunConfig(
        fields,
        read_names(tags, f"{param}.tags", most=_MOST_TAGS) if tags is not None else (),
        _read_metadata(metadata, f"{param}.metadata") if metadata is not None else {},
    )


def _merged(base: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**base, **{key: value for key, value in config.items() if value is not None}}
    for key in _MERGED:
        under, over = base.get(key), config.get(key)
        if isinstance(under, dict) and isinstance(over, dict):
            merged[key] = {**under, **over}
    under, over = base.get("tags"), config.get("tags")
    if isinstance(under, list) and isinstance(over, list):
        merged["tags"] = [*under, *over]
    return merged


def read_names(value: object, param: str, *, most: int) -> tuple[str, ...]:
    """A list of strings or null. Raises `InvalidRequestError`."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise _wrong(param, "must be a list of strings")
    if len(value) > most or any(len(name) > _LONGEST_ID for name in value):
        raise _wrong(param, f"must hold at most {most} strings of at most {_LONGEST_ID} characters")
    return tuple(value)


def _read_metadata(value: object, param: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(param, "must be an object")
    try:
        size = len(orjson.dumps(value))
    except TypeError:  # nested deeper than can be written
        raise _wrong(param, "is nested too deeply") from None
    if size > _MOST_METADATA:
        raise _wrong(param, f"must be at most {_MOST_METADATA} bytes")
    return value


def _run_id(value: object) -> str | None:
    """A wish, so anything but a UUID is ignored."""
    if not isinstance(value, str) or len(value) != 36:
        return None
    try:
        return str(UUID(value))
    except ValueError:
        return None


def _read_configurable(value: object, param: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(param, "must be an object")
    fields: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    for key, given in value.items():
        if given is None:
            continue
        if (read := _FIELDS.get(key)) is not None:
            fields[key] = read(given, f"{param}.{key}")
        elif (read := _PARAMETERS.get(key)) is not None:
            parameters[key] = read(given, f"{param}.{key}")
    if parameters:
        fields["parameters"] = parameters
    return fields


def _name(value: Any, param: str) -> str:
    if not isinstance(value, str) or not value or value.isspace() or len(value) > _LONGEST_ID:
        raise _wrong(param, f"must be a string of 1 to {_LONGEST_ID} characters")
    return value


def _identifier(value: Any, param: str) -> str | None:
    # Ids are often whole numbers, and forms send the empty string for one that was not filled in.
    text = str(value) if type(value) is int else value
    if not isinstance(text, str):
        raise _wrong(param, "must be a string")
    if len(text) > _LONGEST_ID or not text.isprintable():
        raise _wrong(param, f"must have at most {_LONGEST_ID} characters, all of them printable")
    return text or None


def _seconds(value: Any, param: str) -> float:
    # `type`, not `isinstance`: true is no number here.
    if type(value) not in (int, float) or not (value >= 0 and isfinite(value)):
        raise _wrong(param, "must be a number of seconds, 0 or more")
    return float(value)


def _flag(value: Any, param: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(param, "must be true or false")
    return value


def _number(low: int, high: int) -> Callable[[Any, str], float]:
    def read(value: Any, param: str) -> float:
        if type(value) not in (int, float) or not low <= value <= high:
            raise _wrong(param, f"must be a number from {low} to {high}")
        return float(value)

    return read


def _positive_integer(value: Any, param: str) -> int:
    if type(value) is not int or value < 1:
        raise _wrong(param, "must be a whole number of at least 1")
    return value


def _integer(value: Any, param: str) -> int:
    if type(value) is not int:
        raise _wrong(param, "must be a whole number")
    return value


def _stop(value: Any, param: str) -> list[str]:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise _wrong(param, "must be a string or a list of strings, none of them empty")
    if len(stops) > _MOST_STOPS:
        raise _wrong(param, f"must hold at most {_MOST_STOPS} strings")
    return stops


def _wrong(param: str, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"{param} {what}", param=param)


_FIELDS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "model": _name,
    "customer_id": _identifier,
    "session_id": _identifier,
    "max_age": _seconds,
    "no_cache": _flag,
}
_PARAMETERS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "max_tokens": _positive_integer,
    "stop": _stop,
    "seed": _integer,
}
