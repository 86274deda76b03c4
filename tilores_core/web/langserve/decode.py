"""The bodies of the LangServe routes: bytes in, checked requests out. By hand: it runs before every cached answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from tilores_core.errors import InvalidRequestError
from tilores_core.web.bodies import without_halves
from tilores_core.web.langserve.config import RunConfig, add_kwargs, read_config, read_names
from tilores_core.web.langserve.errors import ConfigCountError, InvalidJsonError, MissingFieldError
from tilores_core.web.langserve.messages import parse_messages
from tilores_core.web.request import ChatRequest, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilters:
    """Which runs a client wants to hear of: with any `include_*`, those that match one; never an `exclude_*`."""

    include_names: tuple[str, ...] = ()
    include_types: tuple[str, ...] = ()
    include_tags: tuple[str, ...] = ()
    exclude_names: tuple[str, ...] = ()
    exclude_types: tuple[str, ...] = ()
    exclude_tags: tuple[str, ...] = ()

    def passes(self, *, name: str, type: str, tags: tuple[str, ...]) -> bool:
        if self.include_names or self.include_types or self.include_tags:
            wanted = (
                name in self.include_names
                or type in self.include_types
                or not set(tags).isdisjoint(self.include_tags)
            )
        else:
            wanted = True
        return (
            wanted
            and name not in self.exclude_names
            and type not in self.exclude_types
            and set(tags).isdisjoint(self.exclude_tags)
        )


_LONG_NUMBER: Final = re.compile(rb"[0-9]{19}")
NO_FILTERS: Final = EventFilters()
_FILTERS: Final = (
    "include_names",
    "include_types",
    "include_tags",
    "exclude_names",
    "exclude_types",
    "exclude_tags",
)


@dataclass(slots=True, kw_only=True)
class RunRequest:
    """One run asked for. `input` is as it came, for the streams that send it back."""

    chat: ChatRequest
    input: Any
    filters: EventFilters = NO_FILTERS
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


def decode_run(body: bytes, limits: Limits, *, base_config: Mapping[str, Any] | None = None) -> RunRequest:
    """The body of `invoke`, `stream`, `stream_log` and `stream_events`.

    `base_config` is the config in the path (`decode_config_hash`). Raises `InvalidRequestError` whose `param` is
    the path of the first thing that is wrong, and nothing else.
    """
    data = _load(body)
    if "input" not in data:
        raise MissingFieldError("input is missing", param="input", fix='send {"input": …}')
    config = add_kwargs(read_config(data.get("config"), base_config), data.get("kwargs"))
    # Three keys are the usual ones; the rest are filters, and only the streams have them.
    filters = _read_filters(data) if len(data) > 3 else NO_FILTERS
    return _run(data["input"], "input", config, limits, filters)


def decode_batch(
    body: bytes, limits: Limits, *, base_config: Mapping[str, Any] | None = None
) -> tuple[RunRequest, ...]:
    """The body of `batch`, one request per input. Raises as `decode_run` does; one bad input fails all.

    A wished run id goes to the first input that has it: ids of one batch are different.
    """
    data = _load(body)
    if "inputs" not in data:
        raise MissingFieldError("inputs is missing", param="inputs", fix='send {"inputs": […]}')
    inputs = data["inputs"]
    if not isinstance(inputs, list):
        raise InvalidRequestError("inputs must be a list", param="inputs", fix='send {"inputs": […]}')
    if len(inputs) > limits.max_batch:
        raise InvalidRequestError(
            f"{len(inputs)} inputs, at most {limits.max_batch} are allowed",
            param="inputs",
            fix="send several smaller batches",
        )
    configs = _add_kwargs(_read_configs(data.get("config"), len(inputs), base_config), data.get("kwargs"))
    runs = [
        _run(value, f"inputs[{index}]", config, limits, NO_FILTERS)
        for index, (value, config) in enumerate(zip(inputs, configs, strict=True))
    ]
    return tuple(_different_ids(runs))


def _load(body: bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(body)
        if b'"args"' in body and _LONG_NUMBER.search(body):
            data = json.loads(body)  # orjson makes floats of integers that have more than 64 bits
    except (ValueError, RecursionError):
        if (mended := without_halves(body)) is not None:
            return _load(mended)
        raise InvalidJsonError from None
    if not isinstance(data, dict):
        raise InvalidRequestError("the body must be a JSON object", fix='send {"input": …}')
    return data


def _read_configs(value: object, count: int, base: Mapping[str, Any] | None) -> list[RunConfig]:
    if not isinstance(value, list):
        return [read_config(value, base)] * count
    if len(value) != count:
        raise ConfigCountError(len(value), count)
    return [read_config(config, base, param=f"config[{index}]") for index, config in enumerate(value)]


def _add_kwargs(configs: list[RunConfig], kwargs: object) -> list[RunConfig]:
    """The JavaScript client sends a list of them, the Python client one object."""
    if not isinstance(kwargs, list):
        return [add_kwargs(config, kwargs) for config in configs]
    each = [*kwargs, *[None] * (len(configs) - len(kwargs))]
    return [
        add_kwargs(config, one, f"kwargs[{index}]")
        for index, (config, one) in enumerate(zip(configs, each, strict=False))
    ]


def _run(value: object, param: str, config: RunConfig, limits: Limits, filters: EventFilters) -> RunRequest:
    messages = parse_messages(value, param=param, limits=limits)
    return RunRequest(
        chat=ChatRequest(messages=messages, **config.fields),
        input=value,
        filters=filters,
        tags=config.tags,
        metadata=config.metadata,
    )


def _read_filters(data: Mapping[str, Any]) -> EventFilters:
    given = {name: read_names(data.get(name), name) for name in _FILTERS}
    return EventFilters(**given) if any(given.values()) else NO_FILTERS


def _different_ids(runs: list[RunRequest]) -> list[RunRequest]:
    seen: set[str] = set()
    kept = []
    for run in runs:
        if run.chat.run_id in seen:
            run = replace(run, chat=replace(run.chat, run_id=None))
        elif run.chat.run_id is not None:
            seen.add(run.chat.run_id)
        kept.append(run)
    return kept
