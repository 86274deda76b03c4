"""What takes effect of a run config (`configurable`, `tags`, `metadata`, `run_id`; everything else is ignored) and of
the arguments of the client's call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import orjson
from msgspec import Meta, Struct

from tilores_core.errors import InvalidRequestError
from tilores_core.llm.parameters import SAMPLER_PARAMETERS, SERVER_PARAMETERS
from tilores_core.web.bodies import Identifier, Integer, ShortText, convert, identifier, json_schema, seconds

_MAX_TAGS: Final = 64
# Tags and metadata are sent back with every event, so a small request must not make a huge answer.
_MAX_METADATA_BYTES: Final = 16_384
_MERGED: Final = ("configurable", "metadata")
_PARAMETERS: Final = ("temperature", "top_p", "max_tokens", "stop", "seed")
# They shape an answer, and LangServe's protocol has no place for them.
_NOT_TAKEN: Final = frozenset(
    {
        *("tools", "tool_choice", "functions", "function_call", "response_format", "logit_bias", "logprobs", "n"),
        *("presence_penalty", "frequency_penalty", "reasoning_effort", "verbosity", "modalities", "audio"),
        *(*SERVER_PARAMETERS, *SAMPLER_PARAMETERS, "extra_body"),
    }
)

Names = Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=_MAX_TAGS)]
StopText = Annotated[str, Meta(min_length=1)]


class Configurable(Struct):
    """What a client may set for one run. Null means absent."""

    model: ShortText | None = None
    customer_id: Annotated[Identifier, Meta(description="The customer that the question is about.")] | None = None
    session_id: Annotated[Identifier, Meta(description="The conversation that it belongs to.")] | None = None
    max_age: Annotated[float, Meta(ge=0, description="Accept answers up to this many seconds old.")] | None = None
    no_cache: Annotated[bool, Meta(description="Ask for a fresh answer.")] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    stop: StopText | Annotated[list[StopText], Meta(max_length=16)] | None = None
    seed: Integer | None = None


class ConfigBody(Struct):
    """A LangChain run config."""

    configurable: Configurable | None = None
    tags: Names | None = None
    metadata: dict[str, Any] | None = None
    run_id: Annotated[Any, Meta(description="A UUID to be kept as the run's id; anything else is ignored.")] = None
    runId: Any = None  # the JavaScript client's spelling


class RunConfig(NamedTuple):
    """The `config` of a LangServe request. `fields`: the fields of `ChatRequest` that were given."""

    fields: Mapping[str, Any]
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = {}


_NO_CONFIG: Final = RunConfig({})


def read_config(value: object, base: Mapping[str, Any] | None, *, param: str = "config") -> RunConfig:
    """Check a config; `base` is the one in the path, over which this one wins. Null means absent.

    Raises `InvalidRequestError` naming the key, such as `config.configurable.max_age`.
    """
    if base and (value is None or isinstance(value, dict)):
        value = _merge(base, value or {})
    if not value and (value is None or isinstance(value, dict)):
        return _NO_CONFIG
    config = convert(ConfigBody, value, param)
    fields = {} if config.configurable is None else _fields(config.configurable, f"{param}.configurable")
    if (wanted := _run_id(config.run_id or config.runId)) is not None:
        fields["run_id"] = wanted
    if config.metadata:
        _check_metadata(config.metadata, f"{param}.metadata")
    return RunConfig(fields, tuple(config.tags or ()), config.metadata or {})


def add_kwargs(config: RunConfig, kwargs: object, param: str = "kwargs") -> RunConfig:
    """`config` with the parameters among the arguments of the client's call (`bind`); clients send others too.

    Raises `InvalidRequestError` for a parameter that is wrong, or that no answer would follow.
    """
    if not isinstance(kwargs, dict) or not kwargs:
        return config
    if refused := sorted(name for name in _NOT_TAKEN & kwargs.keys() if kwargs[name]):
        at = f"{param}.{refused[0]}"
        raise InvalidRequestError(f"{at} is not taken by this protocol", param=at, fix="ask /v1/chat/completions")
    given = {name: kwargs[name] for name in _PARAMETERS if name in kwargs}
    if (most := kwargs.get("max_completion_tokens")) is not None:
        given["max_tokens"] = most
    fields = _fields(convert(Configurable, given, param), param)
    if not fields:
        return config
    parameters = {**config.fields.get("parameters", {}), **fields["parameters"]}
    return config._replace(fields={**config.fields, "parameters": parameters})


def _merge(base: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**base, **{key: value for key, value in config.items() if value is not None}}
    for key in _MERGED:
        under, over = base.get(key), config.get(key)
        if isinstance(under, dict) and isinstance(over, dict):
            merged[key] = {**under, **over}
    under, over = base.get("tags"), config.get("tags")
    if isinstance(under, list) and isinstance(over, list):
        merged["tags"] = [*under, *over]
    return merged


def _fields(given: Configurable, at: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if given.model is not None:
        if given.model.isspace():
            raise InvalidRequestError(f"{at}.model must be the name of a model", param=f"{at}.model")
        fields["model"] = given.model
    for name in ("customer_id", "session_id"):
        if (text := identifier(getattr(given, name), f"{at}.{name}")) is not None:
            fields[name] = text
    if given.max_age is not None:
        fields["max_age"] = seconds(given.max_age, f"{at}.max_age")
    if given.no_cache is not None:
        fields["no_cache"] = given.no_cache
    parameters = {name: value for name in _PARAMETERS if (value := getattr(given, name)) is not None}
    if isinstance(stop := parameters.get("stop"), str):
        parameters["stop"] = [stop]
    if parameters:
        fields["parameters"] = parameters
    return fields


def _check_metadata(value: Mapping[str, Any], param: str) -> None:
    try:
        size = len(orjson.dumps(value))
    except TypeError:
        raise InvalidRequestError(f"{param} is nested too deeply", param=param, fix="send it flatter") from None
    if size > _MAX_METADATA_BYTES:
        raise InvalidRequestError(f"{param} must be at most {_MAX_METADATA_BYTES} bytes", param=param)


def _run_id(value: object) -> str | None:
    """A wish, so anything but a UUID is ignored."""
    if not isinstance(value, str) or len(value) != 36:
        return None
    try:
        return str(UUID(value))
    except ValueError:
        return None


def config_schema(models: Sequence[str]) -> dict[str, Any]:
    """The config's JSON Schema. `models` are examples only: a known provider's other models may be named too."""
    schema = json_schema(ConfigBody)
    del schema["properties"]["runId"]
    configurable = next(kind for kind in schema["properties"]["configurable"]["anyOf"] if "properties" in kind)
    configurable["properties"]["model"].update(description="provider:model", examples=list(models))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "ChatConfig"}
