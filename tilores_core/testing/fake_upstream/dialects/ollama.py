"""Ollama's chat: one JSON object a line, the last with `done` and the counts. It refuses no content by itself."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import orjson

from tilores_core.testing.fake_upstream.dialects.base import (
    Dialect,
    Response,
    Stream,
    count,
    dump,
    json_response,
    seconds,
    sizes,
)
from tilores_core.testing.fake_upstream.values import Asked, Problem, Request, Said, Tool

_WHEN: Final = "2026-01-01T00:00:00.000000Z"
_ROLES: Final = ("system", "user", "assistant", "tool")
_PER_MESSAGE: Final = 3


class Ollama(Dialect):
    name = "ollama"
    protocol = "ollama"
    stream_type = "application/x-ndjson"
    statuses: ClassVar[Mapping[str, int]] = {"content": 400}
    malformed_event = b'{"model": "broken", "message": {"ro\n'

    # --- reading

    def asks(self, request: Request) -> bool:
        return request.method == "POST" and request.path == "/api/chat"

    def authenticate(self, request: Request) -> None:
        """A server of one's own asks for no key; one behind a proxy refuses a wrong one."""
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if given and not hmac.compare_digest(given.encode(), self.key.encode()):
            raise Problem("key", given=given)

    def read(self, request: Request) -> Asked:
        body = request.json()
        model = self.needs_model(body.get("model"))
        asked = _read(body, model)
        self.needs_room(model, asked.words)
        return asked

    def other(self, request: Request) -> Mapping[str, Any]:
        match request.method, request.path:
            case "GET", "/api/tags":
                return {
                    "models": [{"name": name, "model": name, "modified_at": _WHEN} for name in self.list_models()]
                }
            case "GET", "/api/version":
                return {"version": "0.12.0"}
            case "POST", "/api/show":
                model = self.needs_model(request.json().get("model"))
                window = (self.models or {}).get(model) or 8192
                abilities = ["completion", "tools", "vision"]
                return {"model_info": {"llama.context_length": window}, "capabilities": abilities}
            case _:
                return super().other(request)

    # --- answering

    def whole(self, asked: Asked, said: Said) -> Mapping[str, Any]:
        message = {"role": "assistant", "content": said.text, **_thinking(said), **_calls(said)}
        return {"model": asked.model, "created_at": _WHEN, "message": message, **_done(said)}

    def stream(self, asked: Asked, said: Said) -> Stream:
        frame = {"model": asked.model, "created_at": _WHEN}

        def line(message: Mapping[str, Any], last: Mapping[str, Any] | None = None) -> bytes:
            made = {**frame, "message": {"role": "assistant", "content": "", **message}, **(last or {"done": False})}
            return dump(made) + b"\n"

        return Stream(
            head=[line(_thinking(said))] if said.reasoning else [],
            pieces=[line({"content": piece}) for piece in said.pieces],
            calls=[line(_calls(said))] if said.tool_calls else [],
            finish=[line({}, _done(said))],
        )

    # --- refusals

    def problem(self, problem: Problem, *, streamed: bool = False) -> Response:
        headers = {} if problem.retry_after is None else {"retry-after": seconds(problem.retry_after)}
        return json_response(self.status(problem), {"error": _message(problem)}, headers)

    def error_event(self, problem: Problem, asked: Asked) -> bytes:
        return orjson.dumps({"error": _message(problem)}) + b"\n"


def _message(problem: Problem) -> str:
    match problem.kind:
        case "key":
            return "unauthorized"
        case "model":
            return f"model '{problem.model}' not found"
        case "route":
            return "404 page not found"
        case "context":
            words, limit = sizes(problem)
            return f"prompt too long; exceeded max context length by {words - limit} tokens"
        case "content":
            return "the prompt was refused"
        case "rate" | "quota":
            return "you've reached your hourly usage limit"
        case "permission":
            return "forbidden"
        case "server":
            return "llama runner process has terminated: exit status 2"
        case "overloaded":
            return "server busy, please try again.  maximum pending requests exceeded"
        case _:
            return problem.message or "invalid request"


def _read(body: Mapping[str, Any], model: str) -> Asked:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Problem("field", "messages is required", param="messages")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise Problem("field", "invalid message role", param="messages")
        if not isinstance(message.get("content", ""), str):
            raise Problem("field", "json: cannot unmarshal into Go struct field ChatRequest.messages of type string")
    options: Mapping[str, Any] = body.get("options") or {}
    texts = [str(message.get("content") or "") for message in messages]
    asking = [text for m, text in zip(messages, texts, strict=True) if m["role"] == "user"]
    limit = options.get("num_predict")
    return Asked(
        model=model,
        streamed=body.get("stream") is not False,  # it streams unless it is told not to
        question=asking[-1] if asking else "",
        words=count(*texts) + _PER_MESSAGE * len(messages),
        body=body,
        tool_result=texts[-1] if messages[-1]["role"] == "tool" else None,
        tools=tuple(_tool(tool["function"]) for tool in body.get("tools") or []),
        max_tokens=limit if isinstance(limit, int) and limit > 0 else None,
        stop=tuple(options.get("stop") or ()),
        schema=_schema(body.get("format")),
        images=sum(len(message.get("images") or []) for message in messages),
    )


def _tool(function: Mapping[str, Any]) -> Tool:
    return Tool(name=function["name"], parameters=function.get("parameters") or {})


def _schema(form: Any) -> Mapping[str, Any] | None:
    if not form:
        return None
    return form if isinstance(form, dict) else {}


def _thinking(said: Said) -> Mapping[str, Any]:
    return {"thinking": said.reasoning} if said.reasoning else {}


def _calls(said: Said) -> Mapping[str, Any]:
    if not said.tool_calls:
        return {}
    made = [
        {"id": call.id, "function": {"index": number, "name": call.name, "arguments": dict(call.arguments)}}
        for number, call in enumerate(said.tool_calls)
    ]
    return {"tool_calls": made}


def _done(said: Said) -> Mapping[str, Any]:
    """The fields of the last line. Tool calls and everything else end with `stop`, save at the limit."""
    if said.finish is None:
        return {"done": False}
    return {
        "done": True,
        "done_reason": "length" if said.finish == "length" else "stop",
        "total_duration": 5_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": said.input_tokens,
        "prompt_eval_duration": 1_000_000,
        "eval_count": said.output_tokens,
        "eval_duration": 3_000_000,
    }
