"""The body of `POST /v1/chat/completions`: bytes in, one checked request out.

Written by hand, since it runs before every cached answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tilores_core.errors import InvalidRequestError
from tilores_core.web.openai.context import decode_context, derived_session
from tilores_core.web.openai.messages import decode_messages
from tilores_core.web.openai.parameters import decode_parameters
from tilores_core.web.request import ChatRequest, Limits, check_limits

_LONGEST_MODEL = 256

HEADERS = (b"x-customer-id", b"x-session-id", b"cache-control", b"user-agent")
"""The headers that a decoded request depends on, besides its body."""


@dataclass(slots=True)
class CompletionRequest:
    """One completion request. `include_usage` is set only together with `stream`.

    `usage_on_finish`: the client stops reading at the finish chunk, so that chunk must carry the usage too. Not
    for everybody: LangChain's client adds up what it finds in the chunks and would count twice.
    """

    chat: ChatRequest
    stream: bool = False
    include_usage: bool = False
    usage_on_finish: bool = False


def decode_completion(body: bytes, headers: Mapping[bytes, bytes], limits: Limits) -> CompletionRequest:
    """Check a request body and its headers (names in lower case).

    Unknown keys are ignored, null means absent. Raises `InvalidRequestError` whose `param` is the path of the
    first thing that is wrong, such as `messages[1].content[0].type`, and nothing else.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(
            f"the body is not valid JSON (line {error.lineno}, column {error.colno})", fix="send a JSON object"
        ) from None
    if type(data) is not dict:
        raise InvalidRequestError("the body must be a JSON object", fix="send an object with model and messages")
    model = data.get("model")
    if type(model) is not str or not model or len(model) > _LONGEST_MODEL or model.isspace():
        raise InvalidRequestError(
            "model must be the name of a model", param="model", fix="GET /v1/models lists the names"
        )
    raw = data.get("messages")
    if type(raw) is list and len(raw) > limits.max_messages:
        check_limits(tuple(raw), limits, "messages")  # says so before the work of looking at them all
    messages = decode_messages(raw)
    check_limits(messages, limits, "messages")
    customer_id, session_id, max_age, no_cache, no_store = decode_context(data, headers)
    stream, include_usage = _streaming(data)
    chat = ChatRequest(
        messages=messages,
        model=model,
        customer_id=customer_id,
        session_id=session_id or derived_session(messages),
        parameters=decode_parameters(data),
        max_age=max_age,
        no_cache=no_cache,
        no_store=no_store,
    )
    if not stream:
        return CompletionRequest(chat)
    stops_early = include_usage and headers.get(b"user-agent", b"").startswith(b"AnythingLLM")
    return CompletionRequest(chat, stream, include_usage, stops_early)


def _streaming(data: Mapping[str, Any]) -> tuple[bool, bool]:
    stream = data.get("stream")
    options = data.get("stream_options")
    if stream is None and options is None:
        return False, False
    if stream is not None and type(stream) is not bool:
        raise InvalidRequestError("stream must be true or false", param="stream")
    if options is None:
        return bool(stream), False
    if type(options) is not dict:
        raise InvalidRequestError("stream_options must be an object", param="stream_options")
    usage = options.get("include_usage")
    if usage is not None and type(usage) is not bool:
        raise InvalidRequestError(
            "stream_options.include_usage must be true or false", param="stream_options.include_usage"
        )
    return bool(stream), bool(stream and usage)
