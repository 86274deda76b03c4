"""`POST /chat/feedback` and `/v1/feedback`: a score for a run id, for the tracers and for live quality.

The body is LangServe's: `run_id`, `key`, and of `score`, `value`, `comment` what there is; other keys are ignored.
The run id may also be a completion's id. Unless traces may say everything (`[tracing] capture = "full"`), words stay
here: the reply shows what was handed on.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from tilores_core.contracts import Feedback
from tilores_core.errors import InvalidRequestError
from tilores_core.web.bodies import read_json
from tilores_core.web.chat import ChatService, Handler
from tilores_core.web.http_exchange import HttpExchange

NotFound = Callable[[str], tuple[int, dict[str, Any], dict[str, str]]]
"""A text as a reply of status 404 in the protocol that is spoken."""

COMPLETION: Final = "chatcmpl-"
NO_TRACER: Final = "no tracer here takes feedback; name one in [use] tracers (docs/tracing.md)"

_FIXES: Final = {
    "": "send an object with run_id, key and score",
    "run_id": "send the run_id, or the completion's id, that came with the answer",
    "key": "name what is scored in 1 to 100 letters, digits, spaces, _.:/-",
}
Number = Annotated[float, Meta(ge=-1e9, le=1e9)]


class FeedbackBody(Struct):
    run_id: Annotated[str, Meta(pattern="^(chatcmpl-)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
    key: Annotated[str, Meta(pattern=r"^[\w .:/\-]{1,100}$")]
    score: bool | Number | None = None
    value: bool | Number | Annotated[str, Meta(max_length=1_000)] | None = None
    comment: Annotated[str, Meta(max_length=10_000)] | None = None


def feedback_route(service: ChatService, not_found: NotFound) -> Handler:
    async def take(exchange: HttpExchange) -> None:
        body = await service.body(exchange)
        given = read_feedback(body)
        tracing = service.tracing
        traced = tracing is not None and tracing.takes_feedback
        if not traced and service.quality is None:
            await exchange.reply(*not_found(NO_TRACER))
            return
        handed = given if tracing is not None and tracing.takes_texts else without_texts(given)
        if tracing is not None and traced:
            tracing.give(handed)
        if service.quality is not None:
            service.quality.feedback(given.run_id, _as_share(given))
        await exchange.reply(200, feedback_body(handed))

    return take


def read_feedback(body: bytes) -> Feedback:
    """Raises `InvalidRequestError` that names the field."""
    given = read_json(FeedbackBody, body, fixes=_FIXES)
    feedback = Feedback(
        run_id=str(uuid.UUID(given.run_id.removeprefix(COMPLETION))),
        key=given.key,
        score=None if given.score is None else float(given.score),
        value=given.value,
        comment=given.comment,
    )
    if feedback.score is None and feedback.value is None and feedback.comment is None:
        raise InvalidRequestError("there is nothing to hand on", param="score", fix="give score, value or comment")
    return feedback


def _as_share(feedback: Feedback) -> float | None:
    """The score, or true and false as 1 and 0."""
    if feedback.score is None and isinstance(feedback.value, bool):
        return float(feedback.value)
    return feedback.score


def without_texts(feedback: Feedback) -> Feedback:
    """The score, and the value unless it is text: free text may name a person."""
    value = None if isinstance(feedback.value, str) else feedback.value
    return replace(feedback, value=value, comment=None)


def feedback_body(feedback: Feedback) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {
        "id": str(uuid.uuid4()),
        **asdict(feedback),
        "correction": None,
        "created_at": now,
        "modified_at": now,
    }
