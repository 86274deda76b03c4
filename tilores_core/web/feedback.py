"""`POST /chat/feedback` and `/v1/feedback`: a score for a run id, handed to the tracers.

The body is LangServe's: `run_id`, `key`, and of `score`, `value`, `comment` what there is; other keys are ignored.
The run id may also be a completion's id. Unless traces may say everything (`[tracing] capture = "full"`), words stay
here: the reply shows what was handed on.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from tilores_core.contracts import Feedback
from tilores_core.errors import InvalidRequestError
from tilores_core.web.chat import ChatService, Handler
from tilores_core.web.http_exchange import HttpExchange

NotFound = Callable[[str], tuple[int, dict[str, Any], dict[str, str]]]
"""A text as a reply of status 404 in the protocol that is spoken."""

COMPLETION: Final = "chatcmpl-"
NO_TRACER: Final = "no tracer here takes feedback; name one in [use] tracers (docs/tracing.md)"

_KEY = re.compile(r"[\w .:/\-]{1,100}")
_LONGEST_VALUE = 1_000
_LONGEST_COMMENT = 10_000
_LARGEST_SCORE = 1e9


def feedback_route(service: ChatService, not_found: NotFound) -> Handler:
    async def take(exchange: HttpExchange) -> None:
        body = await service.body(exchange)
        given = read_feedback(body)
        tracing = service.tracing
        if tracing is None or not tracing.takes_feedback:
            await exchange.reply(*not_found(NO_TRACER))
            return
        handed = given if tracing.takes_texts else without_texts(given)
        tracing.give(handed)
        await exchange.reply(200, feedback_body(handed))

    return take


def read_feedback(body: bytes) -> Feedback:
    """Raises `InvalidRequestError` that names the field."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidRequestError("the body is not JSON", fix="send an object with run_id, key and score") from None
    if not isinstance(given, dict):
        raise InvalidRequestError("the body is not an object", fix="send an object with run_id, key and score")
    key = given.get("key")
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InvalidRequestError("what is scored, 1 to 100 letters, digits, spaces, _.:/-", param="key")
    feedback = Feedback(
        run_id=_run_id(given.get("run_id")),
        key=key,
        score=_score(given.get("score")),
        value=_value(given.get("value")),
        comment=_comment(given.get("comment")),
    )
    if feedback.score is None and feedback.value is None and feedback.comment is None:
        raise InvalidRequestError("there is nothing to hand on", param="score", fix="give score, value or comment")
    return feedback


def without_texts(feedback: Feedback) -> Feedback:
    """The score, and the value unless it is text: free text may name a person."""
    value = None if isinstance(feedback.value, str) else feedback.value
    return Feedback(run_id=feedback.run_id, key=feedback.key, score=feedback.score, value=value)


def feedback_body(feedback: Feedback) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {
        "id": str(uuid.uuid4()),
        "run_id": feedback.run_id,
        "key": feedback.key,
        "score": feedback.score,
        "value": feedback.value,
        "comment": feedback.comment,
        "correction": None,
        "created_at": now,
        "modified_at": now,
    }


def _run_id(value: Any) -> str:
    try:
        return str(uuid.UUID(value.removeprefix(COMPLETION)))
    except (AttributeError, ValueError):
        raise InvalidRequestError(
            "no run id", param="run_id", fix="send the run_id, or the completion's id, that came with the answer"
        ) from None


def _score(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, bool | int | float) or not math.isfinite(value) or abs(value) > _LARGEST_SCORE:
        raise InvalidRequestError("a number from -1e9 to 1e9, or true or false", param="score")
    return float(value)


def _value(value: Any) -> str | float | bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and math.isfinite(value) and abs(value) <= _LARGEST_SCORE:
        return float(value)
    if isinstance(value, str) and len(value) <= _LONGEST_VALUE:
        return value
    raise InvalidRequestError(f"a number, a boolean or a text of up to {_LONGEST_VALUE} characters", param="value")


def _comment(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and len(value) <= _LONGEST_COMMENT):
        return value
    raise InvalidRequestError(f"a text of up to {_LONGEST_COMMENT} characters", param="comment")
