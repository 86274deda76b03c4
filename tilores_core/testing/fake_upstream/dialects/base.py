"""What the fake upstream needs to know of a wire protocol: how to read a request, and the bytes of what goes back."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from tilores_core.testing.fake_upstream.values import Asked, Problem, ProblemKind, Request, Said, pieces_of

UNKNOWN = re.compile(r"^no-such")
"""Names that no fake upstream knows as a model when its models are not given."""

_STATUS = {
    "json": 400,
    "field": 400,
    "context": 400,
    "content": 400,
    "key": 401,
    "quota": 429,
    "permission": 403,
    "route": 404,
    "model": 404,
    "rate": 429,
    "server": 500,
    "overloaded": 503,
}


_KINDS: Mapping[int, ProblemKind] = {
    401: "key",
    402: "quota",
    403: "permission",
    404: "model",
    429: "rate",
    498: "overloaded",
    502: "overloaded",
    503: "overloaded",
    504: "overloaded",
    529: "overloaded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The events of a streamed answer in the order in which they go out.

    `head` before the first piece, `pieces` one for each piece of text, `calls` the tool calls, `finish` what says why
    it ended, `tail` what may follow (usage), `mark` the protocol's own end. `waiting`: sent while the model thinks.
    """

    head: Sequence[bytes]
    pieces: Sequence[bytes]
    calls: Sequence[bytes]
    finish: Sequence[bytes]
    unfinished: Sequence[bytes] = ()
    """Instead of `finish` when no reason is said."""
    tail: Sequence[bytes] = ()
    mark: Sequence[bytes] = ()
    waiting: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Dialect(ABC):
    """One provider's wire protocol. `base_path` is what its clients' base URL has after the host."""

    name: ClassVar[str]
    protocol: ClassVar[str] = "openai"
    """Whose protocol it is: `openai`, `anthropic`, `google` or `ollama`."""
    base_path: ClassVar[str] = ""
    stream_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    statuses: ClassVar[Mapping[str, int]] = {}
    """Where the provider's status for a kind of problem differs from the usual one."""

    def __init__(self, *, key: str, models: Mapping[str, int | None] | None) -> None:
        self.key = key
        self.models = models

    # --- reading

    @abstractmethod
    def asks(self, request: Request) -> bool:
        """Whether the request is one for an answer, whatever may be wrong with it."""

    @abstractmethod
    def authenticate(self, request: Request) -> None:
        """Raises `Problem` when the key is not the fake upstream's."""

    @abstractmethod
    def read(self, request: Request) -> Asked:
        """Raises `Problem` when the provider would refuse the request."""

    def other(self, request: Request) -> Mapping[str, Any]:
        """The JSON of another route (a list of models), or `Problem`."""
        raise Problem("route", f"Invalid URL ({request.method} {request.path})")

    # --- answering

    @abstractmethod
    def whole(self, asked: Asked, said: Said) -> Mapping[str, Any]:
        """The body of an answer that is not streamed."""

    @abstractmethod
    def stream(self, asked: Asked, said: Said) -> Stream: ...

    @abstractmethod
    def problem(self, problem: Problem, *, streamed: bool = False) -> Response:
        """The refusal as the provider words it."""

    @abstractmethod
    def error_event(self, problem: Problem, asked: Asked) -> bytes:
        """The protocol's error in the middle of a stream."""

    malformed_event: ClassVar[bytes] = b'data: {"choices": [{"delta": {"content": "bro\n\n'

    def headers(self) -> Mapping[str, str]:
        """Headers of every answer."""
        return {}

    def status(self, problem: Problem) -> int:
        return problem.status or self.statuses.get(problem.kind) or _STATUS[problem.kind]

    # --- for those who implement it

    def needs_model(self, model: object) -> str:
        if not isinstance(model, str) or not model:
            raise Problem("field", "you must provide a model parameter", param="model")
        known = model in self.models if self.models is not None else not UNKNOWN.match(model)
        if not known:
            raise Problem("model", model=model)
        return model

    def needs_room(self, model: str, words: int) -> None:
        limit = (self.models or {}).get(model)
        if limit is not None and words > limit:
            raise too_long(model, words, limit)

    def list_models(self) -> Collection[str]:
        return self.models or ("fake-upstream-1",)


def too_long(model: str, words: int, limit: int) -> Problem:
    return Problem("context", f"{words} {limit}", model=model)


def sizes(problem: Problem) -> tuple[int, int]:
    """Tokens of the prompt and of the window that a context `Problem` is about."""
    found = [int(word) for word in problem.message.split() if word.isdigit()]
    return (found[0], found[1]) if len(found) == 2 else (130_000, 128_000)


def of_status(status: int, *, retry_after: float | None = None, model: str = "", quota: bool = False) -> Problem:
    """What a provider most likely means by a status."""
    if quota:
        return Problem("quota", retry_after=retry_after, model=model)
    kind = _KINDS.get(status, "server" if status >= 500 else "field")
    return Problem(kind, status=status, retry_after=retry_after, model=model)


def dump(value: Any) -> bytes:
    """JSON; half a surrogate pair is written as some servers write it."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def data(event: Mapping[str, Any]) -> bytes:
    """A server-sent event without a name."""
    return b"data: " + dump(event) + b"\n\n"


def seconds(retry_after: float) -> str:
    """As the header says it: whole seconds where they are whole."""
    return f"{retry_after:g}"


def count(*texts: str) -> int:
    return sum(len(pieces_of(text)) for text in texts)


def json_response(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    made = {"content-type": "application/json", **(headers or {})}
    return Response(status=status, headers=made, body=orjson.dumps(body))
