"""The OpenAI protocol as pure functions: bytes to a request, an answer to bytes. No sockets, no framework."""

from __future__ import annotations

from tilores_core.web.openai.decode import CompletionRequest, decode_completion
from tilores_core.web.openai.encode import completion_body, completion_template
from tilores_core.web.openai.errors import ErrorReply, error_reply, method_not_allowed, route_not_found
from tilores_core.web.openai.models import find_model, model_body, models_body
from tilores_core.web.openai.stream import CompletionInfo, completion_chunks, completion_stream

__all__ = [
    "CompletionInfo",
    "CompletionRequest",
    "ErrorReply",
    "completion_body",
    "completion_chunks",
    "completion_stream",
    "completion_template",
    "decode_completion",
    "error_reply",
    "find_model",
    "method_not_allowed",
    "model_body",
    "models_body",
    "route_not_found",
]
