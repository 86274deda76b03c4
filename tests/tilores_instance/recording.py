"""What a client sent, kept for the test to look at; only the newest entries stay."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

KEPT = 20_000


@dataclass(slots=True)
class SeenRequest:
    """One call of the GraphQL endpoint. `status` is None while it is under way and 0 when no answer was sent;
    `at` is the loop's clock in seconds; `connection` is the client's port, the same for a kept-alive connection."""

    at: float
    method: str
    path: str
    connection: int
    authorised: bool
    accepts_gzip: bool
    document: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    operation_name: str | None = None
    status: int | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class SeenTokenRequest:
    """One call of the token endpoint. `credentials` is "basic", "body" or "none"; `scope` what was asked for."""

    at: float
    credentials: str
    client_id: str
    scope: str
    status: int | None = None


def kept_requests() -> deque[SeenRequest]:
    return deque(maxlen=KEPT)


def kept_token_requests() -> deque[SeenTokenRequest]:
    return deque(maxlen=KEPT)
