"""What OpenAPI says of the server: the chat routes, which FastAPI does not serve, and who may call what.

A test holds the server to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tilores_core.chat.models import Models
from tilores_core.web.auth import Authenticator
from tilores_core.web.bodies import json_schema
from tilores_core.web.feedback import FeedbackBody
from tilores_core.web.guard import PluginRouters
from tilores_core.web.langserve.config import config_schema
from tilores_core.web.langserve.decode import EventFilters
from tilores_core.web.langserve.schemas import Batched, Invoked, Problem, input_schema
from tilores_core.web.openai.body import CompletionBody
from tilores_core.web.openai.schemas import Completion, ErrorReply, ModelBody, ModelList

Schema = dict[str, Any]

_JSON: Final = "application/json"
_SSE: Final = "text/event-stream"
_CHUNKS: Final[Schema] = {
    "type": "object",
    "description": "Each event: a chunk as JSON, an object with `error`, or `[DONE]`.",
    "required": ["data"],
    "properties": {"data": {"type": "string", "pattern": r"^(\{.*\}|\[DONE\])$"}},
    "additionalProperties": False,
}
_REQUEST_ID: Final[Schema] = {
    "X-Request-Id": {"schema": {"type": "string"}, "description": "The request's own, or one made for it."}
}
_RETRY_AFTER: Final[Schema] = {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds."}}
_CACHE: Final[Schema] = {
    "X-Tilores-Cache": {"schema": {"type": "string"}, "description": "l1, l2, … or miss; not with a stream."}
}
_METRICS: Final = "/metrics"
_ADMIN_PATHS: Final = ("/admin/", "/health/detailed")
_CHAT_PATHS: Final = ("/events/",)
_KEYS: Final[Schema] = {
    "chatKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of TILORES_API_KEYS, or the generated one.",
    },
    "adminKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of TILORES_ADMIN_KEYS, or the generated one.",
    },
}


def describe(app: FastAPI, models: Models, authenticator: Authenticator, plugins: PluginRouters) -> None:
    """Let the application's OpenAPI description hold the chat routes too, and the keys that this server wants."""
    chat: list[Schema] = [] if authenticator.chat.open else [{"chatKey": []}]

    def openapi() -> Schema:
        if app.openapi_schema is None:
            described = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            for path, operations in described["paths"].items():
                for method, operation in operations.items():
                    scope = {"type": "http", "path": path, "method": method.upper()}
                    needs_chat_key = path.startswith(_CHAT_PATHS) or plugins.need_key(scope)
                    is_admin = path.startswith(_ADMIN_PATHS)
                    operation["security"] = [{"adminKey": []}] if is_admin else chat if needs_chat_key else []
                    if path == _METRICS and not authenticator.loopback:
                        operation["security"] = [{"chatKey": []}, {"adminKey": []}]
                    for response in operation["responses"].values():
                        response.setdefault("headers", {}).update(_REQUEST_ID)
            paths = {**_langserve_paths(models), **_openai_paths()}
            for operations in paths.values():
                for operation in operations.values():
                    operation["security"] = chat
            described["paths"] = {**paths, **described["paths"]}
            described.setdefault("components", {})["securitySchemes"] = _KEYS
            app.openapi_schema = described
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


# --- LangServe ----------------------------------------------------------------------------------------------


def _langserve_paths(models: Models) -> Schema:
    question = _embed(input_schema())
    names = [f"{provider}:{info.id}" for provider, info in models.listing()]
    config = {"anyOf": [_embed(config_schema(names)), {"type": "null"}]}
    filters = json_schema(EventFilters)["properties"]
    run = _object({"input": question}, {"config": config, "kwargs": {}})
    filtered = _object({"input": question}, {"config": config, "kwargs": {}, **filters})
    configs = {"anyOf": [*config["anyOf"], {"type": "array", "items": config}]}
    batch = _object({"inputs": {"type": "array", "items": question}}, {"config": configs, "kwargs": {}})
    operation = partial(_operation, tag="langserve", problem=json_schema(Problem))
    wrong = {"422": "A field is wrong; `loc` names it"}
    late = {**wrong, "504": "No answer in time"}

    def post(summary: str, body: Schema, **content: Any) -> Schema:
        return {"post": operation(summary, body=body, wrong=late, **content)}

    def schema_of(what: str) -> Schema:
        return {"get": operation(f"JSON Schema of the {what}", json={"type": "object"})}

    return {
        "/chat/invoke": post("One question, one answer", run, json=json_schema(Invoked), headers=_CACHE),
        "/chat/batch": post("Several questions, all or nothing", batch, json=json_schema(Batched)),
        "/chat/stream": post("An answer in pieces", run, events=_events("metadata", "data")),
        "/chat/stream_log": post("The run as JSON patches", filtered, events=_events("data")),
        "/chat/stream_events": post("The run as events", filtered, events=_events("data")),
        "/chat/feedback": {"post": _feedback(operation, wrong)},
        "/chat/input_schema": schema_of("input"),
        "/chat/output_schema": schema_of("output"),
        "/chat/config_schema": schema_of("config"),
    }


# --- OpenAI -------------------------------------------------------------------------------------------------


def _openai_paths() -> Schema:
    operation = partial(_operation, tag="openai", problem=json_schema(ErrorReply))
    wrong = {"400": "A field is wrong; `param` names it"}
    unknown = {"404": "No such model"}
    completion = operation(
        "A chat completion",
        json=json_schema(Completion),
        events=_CHUNKS,
        body=json_schema(CompletionBody),
        wrong={**wrong, **unknown},
        headers=_CACHE,
    )
    identifier = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    one = operation("One model", json=json_schema(ModelBody), wrong=unknown)
    return {
        "/v1/chat/completions": {"post": completion},
        "/v1/feedback": {"post": _feedback(operation, wrong)},
        "/v1/models": {"get": operation("The models", json=json_schema(ModelList))},
        "/v1/models/{id}": {"get": {**one, "parameters": [identifier]}},
    }


# --- both ---------------------------------------------------------------------------------------------------


def _feedback(operation: Callable[..., Schema], wrong: Mapping[str, str]) -> Schema:
    """The route that hands a score to the tracers."""
    handed = _object(
        {"id": {"type": "string"}, "run_id": {"type": "string"}, "key": {"type": "string"}},
        {"score": {"type": ["number", "null"]}, "value": {}, "comment": {"type": ["string", "null"]}},
    )
    missing = {"404": "No tracer here takes feedback"}
    return operation("A score for an answer", json=handed, body=json_schema(FeedbackBody), wrong={**wrong, **missing})


def _operation(
    summary: str,
    *,
    tag: str,
    problem: Schema,
    json: Schema | None = None,
    events: Schema | None = None,
    body: Schema | None = None,
    wrong: Mapping[str, str] | None = None,
    headers: Schema | None = None,
) -> Schema:
    """One operation. `json`, `events`: what it answers; `problem`: how it says what is wrong, which is in `wrong`
    (status -> description) besides what all have in common."""
    refusals = {**(wrong or {}), "401": "No key, or a wrong one", "403": "Not for this key"}
    if body is not None:
        refusals |= {"413": "The body is too large", "500": "A mistake of the server's"}
    later = {"429": "Too many requests from this key"}
    if body is not None:
        later["503"] = "The model, the customer source or the server is too busy"
    content = {_JSON: json} if json is not None else {}
    if events is not None:
        content[_SSE] = events
    described: Schema = {
        "summary": summary,
        "tags": [tag],
        "responses": {
            "200": _response("Done", content, headers),
            **{status: _response(text, {_JSON: problem}) for status, text in refusals.items()},
            **{status: _response(text, {_JSON: problem}, _RETRY_AFTER) for status, text in later.items()},
        },
    }
    if body is not None:
        described["requestBody"] = {"required": True, "content": {_JSON: {"schema": body}}}
    return described


def _response(description: str, content: Schema, headers: Mapping[str, Any] | None = None) -> Schema:
    return {
        "description": description,
        "headers": {**_REQUEST_ID, **(headers or {})},
        "content": {media: {"schema": schema} for media, schema in content.items()},
    }


def _object(required: Schema, optional: Schema | None = None) -> Schema:
    return {"type": "object", "required": [*required], "properties": {**required, **(optional or {})}}


def _embed(schema: Schema) -> Schema:
    """A whole schema as a part of the description, which states the dialect itself."""
    return {key: value for key, value in schema.items() if key != "$schema"}


def _events(*names: str) -> Schema:
    return {
        "type": "object",
        "description": "Each event; its data is JSON, and `end` has none.",
        "required": ["event"],
        "properties": {"event": {"enum": [*names, "error", "end"]}, "data": {"type": "string"}},
        "additionalProperties": False,
    }
