"""Every way in which an instance can refuse or fail, as an error of ours.

No message quotes what the instance said beyond a scope's or a code's name: it may repeat a customer's data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from tilores_core import SourceError, SourceUnavailableError

Problem = Mapping[str, Any]  # one entry of a GraphQL answer's `errors`

_DENIED = re.compile(r"access denied, required privilege:?\s*([\w.:/*-]{1,100})?", re.IGNORECASE)
_CODE = re.compile(r"[a-z_]{1,40}")
_INVALID = ("GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED")
_BUSY = frozenset({429, 500, 502, 503, 504})


class StaleSchemaError(Exception):
    """The instance found our query invalid: what we know of its schema is old."""


class TooLargeError(Exception):
    """The answer would be larger than the instance can send."""


class RejectedTokenError(Exception):
    """The gateway did not take our token."""


class BusyError(Exception):
    """Worth a second try. `after`: seconds that the other side asks us to wait, None when it does not."""

    def __init__(self, error: SourceUnavailableError, after: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.after = after


class Fault(Enum):
    """Why a call fails: what is wrong, with values in braces, and what to do about it."""

    UNREACHABLE = (
        "the Tilores instance cannot be reached ({kind})",
        "is TILORES_API_URL right, and is the network up? Asking again may help",
    )
    SLOW = ("the Tilores instance did not answer in time", "try again; TILORES_TIMEOUT_SECONDS sets the limit")
    THROTTLED = (
        "the Tilores instance has too much to do ({status})",
        "ask less at once: max_in_flight, or its limits",
    )
    FAILED = (
        "the Tilores instance failed ({status})",
        "try again; if it stays so, look at the instance's log",
    )
    BROKEN = ("the Tilores instance's answer cannot be read", "try again; something between may have cut it")
    TOKEN_REFUSED = (
        "the Tilores instance refuses our access token, a new one too (401)",
        "do TILORES_API_URL, TILORES_TOKEN_URL and TILORES_CLIENT_ID belong to the same instance?",
    )
    FORBIDDEN = (
        "the Tilores instance's gateway forbids the call (403)",
        "may this address call it (is there an IP allow-list?), and may the client use this API?",
    )
    NOT_THERE = (
        "there is no Tilores API at this address ({status})",
        "TILORES_API_URL is the instance's address alone, without a path",
    )
    ELSEWHERE = (
        "the address of the Tilores instance points elsewhere ({status})",
        "set TILORES_API_URL to the address that it leads to, if you trust it",
    )
    MALFORMED_REPLY = (
        "what answers at the Tilores instance's address does not speak its protocol ({status})",
        "is TILORES_API_URL the GraphQL address of the instance?",
    )
    BAD_REQUEST = (
        "the Tilores instance refused our request ({status})",
        "this looks like a fault of the plugin; please report it with the instance's version",
    )
    OVERSIZED_REPLY = (
        "the customer's records are more than the Tilores instance can send at once",
        "name the fields that matter in [plugins.tilores] include_fields",
    )
    UNREADABLE = (
        "the Tilores instance's answer is larger than we read",
        "name the fields that matter in [plugins.tilores] include_fields",
    )
    SCOPE_MISSING = (
        "the Tilores client lacks the scope {scope}",
        "grant it to the client, and name it in TILORES_SCOPE: {scope}",
    )
    SOME_SCOPE_MISSING = (
        "the Tilores client lacks a scope",
        "grant it to the client, and name it in TILORES_SCOPE",
    )
    SCHEMA_DISAGREES = (
        "the Tilores instance finds our query invalid, though its schema was just read (422)",
        "leave out the fields it objects to with [plugins.tilores] exclude_fields, and report it",
    )
    RESOLVER = (
        "the Tilores instance could not answer (errors inside it: {count})",
        "look at the instance's log; a field that always fails can be left out with exclude_fields",
    )
    NO_OPERATION = (
        "the Tilores instance's schema has no {what}",
        "is TILORES_API_URL the address of a Tilores instance?",
    )
    TOKEN_DENIED = (
        "the token endpoint refused us ({status}{code})",
        "check TILORES_TOKEN_URL, TILORES_CLIENT_ID and TILORES_CLIENT_SECRET",
    )
    INVALID_CLIENT = (
        "the token endpoint does not know the client (invalid_client)",
        "check TILORES_CLIENT_ID and TILORES_CLIENT_SECRET",
    )
    INVALID_SCOPE = (
        "the client may not have a scope that was asked for (invalid_scope)",
        "set TILORES_SCOPE to what the client has; empty asks for all of it",
    )
    INVALID_GRANT = (
        "the token endpoint refuses the client's grant (invalid_grant)",
        "allow the client the client-credentials grant",
    )
    UNAUTHORIZED_CLIENT = (
        "the client may not use client credentials (unauthorized_client)",
        "allow the client the client-credentials grant",
    )
    TOKEN_UNAVAILABLE = (
        "there is no access token for the Tilores instance: the token endpoint does not answer ({kind})",
        "it is tried again by itself; is TILORES_TOKEN_URL right?",
    )
    TOKEN_UNREADABLE = ("the token endpoint's reply holds no token", "TILORES_TOKEN_URL ends in /oauth2/token")


_TOKEN_FAULTS = {
    "invalid_client": Fault.INVALID_CLIENT,
    "invalid_scope": Fault.INVALID_SCOPE,
    "invalid_grant": Fault.INVALID_GRANT,
    "unauthorized_client": Fault.UNAUTHORIZED_CLIENT,
}


def lasting(fault: Fault, **values: object) -> SourceError:
    """The error for a fault that another call would meet as well. `values`: those in its message."""
    message, fix = fault.value
    return SourceError(message.format(**values), fix=fix.format(**values))


def passing(fault: Fault, retry_after: float = 1.0, **values: object) -> SourceUnavailableError:
    """The error for a fault that may be over after `retry_after` seconds."""
    error = lasting(fault, **values)
    return SourceUnavailableError(error.message, retry_after=retry_after, fix=error.fix)


def token_denied(status: int, code: object) -> SourceError:
    if isinstance(code, str) and code in _TOKEN_FAULTS:
        return lasting(_TOKEN_FAULTS[code])
    named = f" {code}" if isinstance(code, str) and _CODE.fullmatch(code) else ""
    return lasting(Fault.TOKEN_DENIED, status=status, code=named)


def by_status(status: int, after: float | None) -> Exception | None:
    """What a status says whatever the body is; None when the body must tell (2xx, 400, 422)."""
    if status >= 500 or status == 429:
        error = passing(Fault.THROTTLED if status == 429 else Fault.FAILED, after or 1.0, status=status)
        return BusyError(error, after) if status in _BUSY else error
    if status == 401:
        return RejectedTokenError()
    if status == 403:
        return lasting(Fault.FORBIDDEN)
    if status in (404, 405):
        return lasting(Fault.NOT_THERE, status=status)
    if 300 <= status < 400:
        return lasting(Fault.ELSEWHERE, status=status)
    return None if status < 300 or status in (400, 422) else lasting(Fault.BAD_REQUEST, status=status)


def by_errors(status: int, errors: Sequence[Problem]) -> Exception | None:
    """What an answer's errors say of it as a whole; None when the data is worth a look."""
    texts = [str(error.get("message", "")) for error in errors]
    if any("Response body too large" in text for text in texts):
        return TooLargeError()
    for text in texts:
        if denied := _DENIED.search(text):
            return lasting(Fault.SCOPE_MISSING, scope=denied[1]) if denied[1] else lasting(Fault.SOME_SCOPE_MISSING)
    if status == 422 or any(_code(error) in _INVALID for error in errors):
        return StaleSchemaError()
    return lasting(Fault.BAD_REQUEST, status=status) if status == 400 else None


def _code(error: Problem) -> object:
    extensions = error.get("extensions")
    return extensions.get("code") if isinstance(extensions, Mapping) else None


def names(errors: Sequence[Problem], step: str) -> bool:
    """Whether an error's path goes through `step`."""
    return any(step in path for error in errors if isinstance(path := error.get("path"), list))
