"""What OpenAPI says of the server: the chat routes, which FastAPI does not serve, and who may call what.

A test holds the server to it.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    config = {"anyOf": [_embed(config_schema([*_names(models)])), {"type": "null"}]}
    run = _object({"input": question}, {"config": config, "kwargs": {}})
    filtered = _object(
        {"input": question}, {"config": config, "kwargs": {}, **json_schema(EventFilters)["properties"]}
    )
    configs = {"anyOf": [*config["anyOf"], {"type": "array", "items": config}]}
    batch = _object({"inputs": {"type": "array", "items": question}}, {"config": configs, "kwargs": {}})
    one, several, problem = json_schema(Invoked), json_schema(Batched), json_schema(Problem)

    def post(summary: str, body: Schema, content: Schema, headers: Mapping[str, Any] | None = None) -> Schema:
        wrong = {"422": _response("A field is wrong; `loc` names it", {_JSON: problem})}
        late = {"504": _response("No answer in time", {_JSON: problem})}
        return {"post": _post(summary, "langserve", body, content, problem, {**wrong, **late}, headers)}

    def get(summary: str) -> Schema:
        return {"get": _get(summary, "langserve", {"type": "object"}, problem)}

    return {
        "/chat/invoke": post("One question, one answer", run, {_JSON: one}, _CACHE),
        "/chat/batch": post("Several questions, all or nothing", batch, {_JSON: several}),
        "/chat/stream": post("An answer in pieces", run, {_SSE: _events("metadata", "data")}),
        "/chat/stream_log": post("The run as JSON patches", filtered, {_SSE: _events("data")}),
        "/chat/stream_events": post("The run as events", filtered, {_SSE: _events("data")}),
        "/chat/feedback": post_feedback(
            problem, "langserve", {"422": _response("A field is wrong", {_JSON: problem})}
        ),
        "/chat/input_schema": get("JSON Schema of the input"),
        "/chat/output_schema": get("JSON Schema of the output"),
        "/chat/config_schema": get("JSON Schema of the config"),
    }


def _names(models: Models) -> list[str]:
    return [f"{provider}:{info.id}" for provider, info in models.listing()]


# --- OpenAI -------------------------------------------------------------------------------------------------


def _openai_paths() -> Schema:
    error = json_schema(ErrorReply)
    wrong = {
        "400": _response("A field is wrong; `param` names it", {_JSON: error}),
        "404": _response("No such model", {_JSON: error}),
    }
    content = {_JSON: json_schema(Completion), _SSE: _CHUNKS}
    identifier = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    one = _get("One model", "openai", json_schema(ModelBody), error)
    one["parameters"] = [identifier]
    one["responses"]["404"] = wrong["404"]
    return {
        "/v1/chat/completions": {
            "post": _post("A chat completion", "openai", json_schema(CompletionBody), content, error, wrong, _CACHE)
        },
        "/v1/feedback": post_feedback(error, "openai", {"400": wrong["400"]}),
        "/v1/models": {"get": _get("The models", "openai", json_schema(ModelList), error)},
        "/v1/models/{id}": {"get": one},
    }


# --- both ---------------------------------------------------------------------------------------------------


def post_feedback(problem: Schema, tag: str, wrong: Mapping[str, Any]) -> Schema:
    """The route that hands a score to the tracers."""
    handed = _object(
        {"id": {"type": "string"}, "run_id": {"type": "string"}, "key": {"type": "string"}},
        {"score": {"type": ["number", "null"]}, "value": {}, "comment": {"type": ["string", "null"]}},
    )
    missing = {"404": _response("No tracer here takes feedback", {_JSON: problem})}
    return {
        "post": _post(
            "A score for an answer", tag, json_schema(FeedbackBody), {_JSON: handed}, problem, {**wrong, **missing}
        )
    }


def _post(
    summary: str,
    tag: str,
    body: Schema,
    content: Schema,
    problem: Schema,
    wrong: Mapping[str, Any],
    headers: Mapping[str, Any] | None = None,
) -> Schema:
    responses = {
        "200": _response("Done", content, headers),
        **wrong,
        **_refusals(problem),
        "413": _response("The body is too large", {_JSON: problem}),
        "500": _response("A mistake of the server's", {_JSON: problem}),
        "503": _response("The model, the customer source or the server is too busy", {_JSON: problem}, _RETRY_AFTER),
    }
    return {
        "summary": summary,
        "tags": [tag],
        "requestBody": {"required": True, "content": {_JSON: {"schema": body}}},
        "responses": responses,
    }


def _get(summary: str, tag: str, schema: Schema, problem: Schema) -> Schema:
    responses = {"200": _response("Done", {_JSON: schema}), **_refusals(problem)}
    return {"summary": summary, "tags": [tag], "responses": responses}


def _refusals(problem: Schema) -> Schema:
    content = {_JSON: problem}
    return {
        "401": _response("No key, or a wrong one", content),
        "403": _response("Not for this key", content),
        "429": _response("Too many requests from this key", content, _RETRY_AFTER),
    }


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
