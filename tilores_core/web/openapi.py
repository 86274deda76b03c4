"""What OpenAPI says of the chat routes, which FastAPI does not serve; a test holds the server to it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tilores_core.chat.models import Models
from tilores_core.web.langserve.schemas import config_schema, input_schema

_JSON = "application/json"
_SSE = "text/event-stream"


def describe_chat(app: FastAPI, models: Models) -> None:
    """Let the application's OpenAPI description hold the chat routes too."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            described = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            described["paths"] = {**_chat_paths(models), **described["paths"]}
            described.setdefault("components", {}).setdefault("securitySchemes", {})["key"] = {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key. Ignored by a server that has none.",
            }
            app.openapi_schema = described
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _chat_paths(models: Models) -> dict[str, Any]:
    names = [f"{provider}:{info.id}" for provider, info in models.listing()]
    run = {
        "type": "object",
        "required": ["input"],
        "properties": {
            "input": _inlined(input_schema()),
            "config": {"anyOf": [_inlined(config_schema(names)), {"type": "null"}]},
            "kwargs": {},
        },
    }
    batch = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "inputs": {"type": "array", "items": _inlined(input_schema())},
            "config": {},
            "kwargs": {},
        },
    }
    reply = {
        "type": "object",
        "required": ["output", "metadata"],
        "properties": {"output": {"type": "object"}, "metadata": {"type": "object"}},
    }
    problem = {
        "type": "object",
        "required": ["detail", "message"],
        "properties": {"detail": {}, "message": {"type": "string"}},
    }
    paths: dict[str, Any] = {
        "/chat/invoke": {"post": _post("One question, one answer", run, {_JSON: reply}, problem)},
        "/chat/batch": {"post": _post("Several questions, all or nothing", batch, {_JSON: reply}, problem)},
        "/chat/stream": {"post": _post("An answer in pieces", run, {_SSE: {"type": "string"}}, problem)},
        "/chat/stream_log": {"post": _post("The run as JSON patches", run, {_SSE: {"type": "string"}}, problem)},
        "/chat/stream_events": {"post": _post("The run as events", run, {_SSE: {"type": "string"}}, problem)},
    }
    for name, summary in (
        ("input_schema", "JSON Schema of the input"),
        ("output_schema", "JSON Schema of the output"),
        ("config_schema", "JSON Schema of the config"),
    ):
        paths[f"/chat/{name}"] = {"get": _get(summary, "langserve", problem)}
    error = {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"type": "string", "minLength": 1},
                    "type": {"type": "string", "minLength": 1},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                },
            }
        },
    }
    paths["/v1/chat/completions"] = {
        "post": _post(
            "A chat completion",
            _completion_request(),
            {_JSON: {"type": "object", "required": ["id", "choices", "usage"]}, _SSE: {"type": "string"}},
            error,
            tag="openai",
            wrong="400",
        )
    }
    paths["/v1/models"] = {"get": _get("The models", "openai", error)}
    paths["/v1/models/{id}"] = {
        "get": {
            **_get("One model", "openai", error),
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
        }
    }
    paths["/v1/models/{id}"]["get"]["responses"]["404"] = _response("No such model", {_JSON: error})
    return paths


def _completion_request() -> dict[str, Any]:
    message = {
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": {"enum": ["system", "developer", "user", "assistant", "tool", "function"]},
            "content": {
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}, {"type": "null"}]
            },
        },
    }
    return {
        "type": "object",
        "required": ["model", "messages"],
        "properties": {
            "model": {"type": "string", "minLength": 1},
            "messages": {"type": "array", "minItems": 1, "items": message},
            "stream": {"type": ["boolean", "null"]},
            "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2},
            "top_p": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
            "max_tokens": {"type": ["integer", "null"], "minimum": 1},
            "stop": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
            "metadata": {"type": ["object", "null"]},
        },
    }


def _post(
    summary: str,
    body: dict[str, Any],
    content: dict[str, Any],
    error: dict[str, Any],
    *,
    tag: str = "langserve",
    wrong: str = "422",
) -> dict[str, Any]:
    responses = {"200": _response("Done", content), **_errors(error)}
    responses[wrong] = _response("A field is wrong; the body names it", {_JSON: error})
    if tag == "openai":
        responses["404"] = _response("No such model", {_JSON: error})
    return {
        "summary": summary,
        "tags": [tag],
        "security": [{"key": []}, {}],
        "requestBody": {"required": True, "content": {_JSON: {"schema": body}}},
        "responses": responses,
    }


def _get(summary: str, tag: str, error: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": summary,
        "tags": [tag],
        "security": [{"key": []}, {}],
        "responses": {"200": _response("Done", {_JSON: {"type": "object"}}), "401": _errors(error)["401"]},
    }


def _errors(error: dict[str, Any]) -> dict[str, Any]:
    said = {
        "401": "No key, or a wrong one",
        "403": "Not for this key",
        "413": "The body is too large",
        "429": "Too many requests from this key; see Retry-After",
        "500": "A mistake of the server's",
        "503": "The model, the customer source or the server is too busy; see Retry-After",
        "504": "No answer in time",
    }
    return {status: _response(text, {_JSON: error}) for status, text in said.items()}


def _response(description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "content": {media: {"schema": schema} for media, schema in content.items()},
    }


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without `$defs`, which OpenAPI keeps elsewhere: references become what they name, once."""
    definitions = schema.get("$defs", {})

    def walk(value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            reference = value.get("$ref")
            if isinstance(reference, str):
                return walk(definitions.get(reference.rpartition("/")[2], {}), depth + 1) if depth < 8 else {}
            return {key: walk(item, depth) for key, item in value.items() if key != "$defs"}
        if isinstance(value, list):
            return [walk(item, depth) for item in value]
        return value

    inlined: dict[str, Any] = walk(schema, 0)
    return inlined
