"""The bodies of the LangServe routes: bytes in, checked requests out. By hand: it runs before every cached answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
from msgspec import Struct, field
from msgspec.structs import replace

from tilores_core.errors import InvalidRequestError
from tilores_core.settings import ChatTable
from tilores_core.web.bodies import convert, without_halves
from tilores_core.web.langserve.config import Names, RunConfig, add_kwargs, read_config
from tilores_core.web.langserve.errors import ConfigCountError, InvalidJsonError, MissingFieldError
from tilores_core.web.langserve.messages import parse_messages
from tilores_core.web.request import ChatRequest


class EventFilters(Struct, frozen=True):
    """Which runs a client wants to hear of: with any `include_*`, those that match one; never an `exclude_*`."""

    include_names: Names | None = None
    include_types: Names | None = None
    include_tags: Names | None = None
    exclude_names: Names | None = None
    exclude_types: Names | None = None
    exclude_tags: Names | None = None

    def passes(self, *, name: str, type: str, tags: tuple[str, ...]) -> bool:
        def matches(names: Names | None, types: Names | None, wanted: Names | None) -> bool:
            return name in (names or ()) or type in (types or ()) or not set(tags).isdisjoint(wanted or ())

        included = self.include_names, self.include_types, self.include_tags
        excluded = self.exclude_names, self.exclude_types, self.exclude_tags
        return (not any(included) or matches(*included)) and not matches(*excluded)


_LONG_NUMBER: Final = re.compile(rb"[0-9]{19}")
NO_FILTERS: Final = EventFilters()


class RunRequest(Struct, kw_only=True):
    """One run asked for. `input` is as it came, for the streams that send it back."""

    chat: ChatRequest
    input: Any
    filters: EventFilters = NO_FILTERS
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


def decode_run(body: bytes, limits: ChatTable, *, base_config: Mapping[str, Any] | None = None) -> RunRequest:
    """The body of `invoke`, `stream`, `stream_log` and `stream_events`.

    `base_config` is the config in the path (`decode_config_hash`). Raises `InvalidRequestError` whose `param` is
    the path of the first thing that is wrong, and nothing else.
    """
    data = _load(body)
    if "input" not in data:
        raise MissingFieldError("input is missing", param="input", fix='send {"input": …}')
    config = add_kwargs(read_config(data.get("config"), base_config), data.get("kwargs"))
    # Three keys are the usual ones; the rest are filters, and only the streams have them.
    filters = convert(EventFilters, data, "") if len(data) > 3 else NO_FILTERS
    return _run(data["input"], "input", config, limits, filters)


def decode_batch(
    body: bytes, limits: ChatTable, *, base_config: Mapping[str, Any] | None = None
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


def _run(value: object, param: str, config: RunConfig, limits: ChatTable, filters: EventFilters) -> RunRequest:
    messages = parse_messages(value, param=param, limits=limits)
    return RunRequest(
        chat=ChatRequest(messages=messages, **config.fields),
        input=value,
        filters=filters,
        tags=config.tags,
        metadata=config.metadata,
    )


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
