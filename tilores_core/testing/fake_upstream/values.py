"""What a fake upstream answers, how it fails, and what it was asked. All times are seconds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Finish = Literal["stop", "length", "tool_calls", "content_filter"]

_PIECE = re.compile(r"\s*\S+|\s+$")


def pieces_of(text: str) -> tuple[str, ...]:
    """The text word by word, nothing lost. One piece is one token everywhere in the fake upstream."""
    return tuple(_PIECE.findall(text))


# --- faults ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpError:
    """The provider's own error body with this status; `retry_after` becomes the header (None: no header).

    `quota`: the account is empty, not the caller too quick, so that waiting does not help; the provider's own status.
    """

    status: int = 500
    retry_after: float | None = None
    quota: bool = False


@dataclass(frozen=True, slots=True)
class InvalidKey:
    """The key is refused, whatever it is."""


@dataclass(frozen=True, slots=True)
class ContextTooLong:
    """The prompt does not fit, whatever its length."""


@dataclass(frozen=True, slots=True)
class ContentRefused:
    """The prompt is refused for its content. `Reply(finish="content_filter")` refuses while answering."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset before anything was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """Nothing comes, for ever. `headers`: the status line and headers of a stream do come, and then nothing."""

    headers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """`after` pieces come, then nothing for `seconds` (None: for ever) and then the rest."""

    after: int = 2
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """`after` pieces come, then the socket is closed without the end of the body; `reset`: by a reset."""

    after: int = 2
    reset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NoFinish:
    """The stream ends cleanly, but no finish reason was said; `mark`: with the protocol's end mark all the same."""

    mark: bool = False


@dataclass(frozen=True, slots=True)
class NoEndMark:
    """The finish reason is said and the end mark ([DONE], message_stop) is not. A finished answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedEvent:
    """After `after` pieces comes an event that cannot be read; then the stream goes on as if nothing were."""

    after: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvent:
    """After `after` pieces the protocol's own error event, as for `status`; then the stream ends."""

    after: int = 2
    status: int = 500


@dataclass(frozen=True, slots=True)
class MalformedReply:
    """Status 200, and a body that is not JSON (a proxy's page)."""


Fault = (
    HttpError
    | InvalidKey
    | ContextTooLong
    | ContentRefused
    | Reset
    | Hang
    | Stall
    | Cut
    | NoFinish
    | NoEndMark
    | MalformedEvent
    | ErrorEvent
    | MalformedReply
)


# --- what is said ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of the tool `name`."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None


Quirk = Literal[
    "comments",
    "idle",
    "lines",
    "usage",
    "no-index",
    "same-index",
    "no-id",
    "object-arguments",
    "no-arguments",
]
"""What some providers do that is not in their protocol: comments, `retry` and `id` between events; events that carry
nothing (filters, pings); data over several lines that end in CRLF; the totals with each piece; tool calls without an
index, with the same one, without an id, with an object as arguments, or with none."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says to one request.

    `text`: None lets the fake upstream answer by itself (see `FakeUpstream`). `pieces`: the text as it is
    streamed, by default word by word. `tool_calls`: instead of or after the text. `reasoning`: thinking shown
    before the text, where the protocol has a place for it. `finish`: None says what fits.
    `reason`: the finish reason in the provider's own words, whatever it is. `quirks`: see `Quirk`.
    `input_tokens`, `output_tokens`: instead of counting.

    `seconds` pass before the status line, `first_token` seconds between the headers and the first piece (a reply that
    is not streamed: added to `seconds`), `between` seconds after each piece.
    """

    text: str | None = None
    pieces: tuple[str, ...] | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    finish: Finish | None = None
    reason: str | None = None
    quirks: tuple[Quirk, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float = 0.0
    first_token: float = 0.0
    between: float = 0.0
    fault: Fault | None = None


ReplyLike = str | Reply | Fault


def as_reply(given: ReplyLike) -> Reply:
    if isinstance(given, Reply):
        return given
    return Reply(given) if isinstance(given, str) else Reply(fault=given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer before it has the shape of a protocol."""

    pieces: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...]
    reasoning: str
    finish: Finish | None
    input_tokens: int
    output_tokens: int
    stopped_by: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


# --- what is asked ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request, its header names in lower case, `path` without the query and decoded."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as an object; `Problem` when it is none."""
        try:
            found = json.loads(self.body)  # not by orjson: it makes floats of integers of more than 64 bits
        except ValueError:
            raise Problem("json", "We could not parse the JSON body of your request.") from None
        if not isinstance(found, dict):
            raise Problem("json", "The body must be a JSON object.")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that was offered: its name and the JSON Schema of its arguments."""

    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request in words that all protocols share.

    `question`: the last user message's text. `tool_result`: the text of the tool result that ends the conversation.
    `choice`: None (the model decides), `none`, `any`, or the name of the tool that must be called. `schema`: of
    the JSON that was asked for (empty: any object), None when none was. `words`: pieces in all messages.
    """

    model: str
    streamed: bool
    question: str
    words: int
    body: Mapping[str, Any]
    tool_result: str | None = None
    tools: tuple[Tool, ...] = ()
    choice: str | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    images: int = 0
    usage_wanted: bool = True


ProblemKind = Literal[
    "json",
    "field",
    "context",
    "content",
    "key",
    "quota",
    "permission",
    "route",
    "model",
    "rate",
    "server",
    "overloaded",
]


class Problem(Exception):
    """A request that is refused, before it has the shape of a protocol. `param` is the field it is about."""

    def __init__(
        self,
        kind: ProblemKind,
        message: str = "",
        *,
        param: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        model: str = "",
        given: str = "",
    ) -> None:
        super().__init__(message or kind)
        self.kind: ProblemKind = kind
        self.message = message
        self.param = param
        self.status = status
        self.retry_after = retry_after
        self.model = model
        self.given = given
        """What the caller sent and the provider repeats in its message: the key, or the prompt."""


@dataclass(slots=True, kw_only=True)
class Recorded:
    """One request for an answer and what became of it.

    `at`: `time.monotonic()` when it was complete. `pieces`: how many were sent. `disconnected`: the client closed the
    connection before the end. `done`: everything that the reply holds was sent.
    """

    model: str
    streamed: bool
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    at: float
    pieces: int = 0
    disconnected: bool = False
    done: bool = False


Otherwise = ReplyLike | Callable[[Asked], ReplyLike]
