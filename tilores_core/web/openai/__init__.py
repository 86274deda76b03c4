"""The OpenAI protocol as pure functions: bytes to a request, an answer to bytes. No sockets, no framework."""

from __future__ import annotations

from tilores_core.web.openai.decode import (
    CompletionRequest as CompletionRequest,
    decode_completion as decode_completion,
)
from tilores_core.web.openai.encode import (
    completion_body as completion_body,
    completion_template as completion_template,
)
from tilores_core.web.openai.errors import (
    ErrorReply as ErrorReply,
    error_reply as error_reply,
    method_not_allowed as method_not_allowed,
    route_not_found as route_not_found,
)
from tilores_core.web.openai.models import (
    find_model as find_model,
    model_body as model_body,
    models_body as models_body,
)
from tilores_core.web.openai.stream import (
    CompletionInfo as CompletionInfo,
    completion_chunks as completion_chunks,
    completion_stream as completion_stream,
)
