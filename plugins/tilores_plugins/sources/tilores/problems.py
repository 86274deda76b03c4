"""Every way in which an instance can refuse or fail, as an error of ours.

No message quotes what the instance said beyond a scope's or a code's name: it may repeat a customer's data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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


# --- the API -------------------------------------------------------------------------------------------------


def unreachable(kind: str) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"the Tilores instance cannot be reached ({kind})",
        fix="is TILORES_API_URL right, and is the network up? Asking again may help",
    )


def slow() -> SourceUnavailableError:
    return SourceUnavailableError(
        "the Tilores instance did not answer in time",
        fix="try again; TILORES_TIMEOUT_SECONDS sets the limit",
    )


def busy(status: int, after: float | None) -> SourceUnavailableError:
    if status == 429:
        message, fix = (
            "the Tilores instance has too much to do (429)",
            "ask less at once: max_in_flight, or its limits",
        )
    else:
        message, fix = (
            f"the Tilores instance failed ({status})",
            "try again; if it stays so, look at the instance's log",
        )
    return SourceUnavailableError(message, retry_after=after or 1.0, fix=fix)


def token_refused() -> SourceError:
    return SourceError(
        "the Tilores instance refuses our access token, a new one too (401)",
        fix="do TILORES_API_URL, TILORES_TOKEN_URL and TILORES_CLIENT_ID belong to the same instance?",
    )


def forbidden() -> SourceError:
    return SourceError(
        "the Tilores instance's gateway forbids the call (403)",
        fix="may this address call it (is there an IP allow-list?), and may the client use this API?",
    )


def not_there(status: int) -> SourceError:
    return SourceError(
        f"there is no Tilores API at this address ({status})",
        fix="TILORES_API_URL is the instance's address alone, without a path",
    )


def elsewhere(status: int) -> SourceError:
    return SourceError(
        f"the address of the Tilores instance points elsewhere ({status})",
        fix="set TILORES_API_URL to the address that it leads to, if you trust it",
    )


def malformed_reply(status: int) -> SourceError:
    return SourceError(
        f"what answers at the Tilores instance's address does not speak its protocol ({status})",
        fix="is TILORES_API_URL the GraphQL address of the instance?",
    )


def broken() -> SourceUnavailableError:
    return SourceUnavailableError(
        "the Tilores instance's answer cannot be read", fix="try again; something between may have cut it"
    )


def bad_request(status: int) -> SourceError:
    return SourceError(
        f"the Tilores instance refused our request ({status})",
        fix="this looks like a fault of the plugin; please report it with the instance's version",
    )


def oversized_reply() -> SourceError:
    return SourceError(
        "the customer's records are more than the Tilores instance can send at once",
        fix="name the fields that matter in [plugins.tilores] include_fields",
    )


def unreadable() -> SourceError:
    return SourceError(
        "the Tilores instance's answer is larger than we read",
        fix="name the fields that matter in [plugins.tilores] include_fields",
    )


def scope_missing(scope: str | None) -> SourceError:
    named = f"the scope {scope}" if scope else "a scope"
    return SourceError(
        f"the Tilores client lacks {named}",
        fix=f"grant it to the client, and name it in TILORES_SCOPE{f': {scope}' if scope else ''}",
    )


def schema_disagrees() -> SourceError:
    return SourceError(
        "the Tilores instance finds our query invalid, though its schema was just read (422)",
        fix="leave out the fields it objects to with [plugins.tilores] exclude_fields, and report it",
    )


def resolver(count: int) -> SourceError:
    return SourceError(
        f"the Tilores instance could not answer ({count} error{'s' if count != 1 else ''} inside it)",
        fix="look at the instance's log; a field that always fails can be left out with exclude_fields",
    )


def no_operation(what: str) -> SourceError:
    return SourceError(
        f"the Tilores instance's schema has no {what}",
        fix="is TILORES_API_URL the address of a Tilores instance?",
    )


# --- the token endpoint ----------------------------------------------------------------------------------------

_TOKEN_PROBLEMS = {
    "invalid_client": (
        "the token endpoint does not know the client (invalid_client)",
        "check TILORES_CLIENT_ID and TILORES_CLIENT_SECRET",
    ),
    "invalid_scope": (
        "the client may not have a scope that was asked for (invalid_scope)",
        "set TILORES_SCOPE to what the client has; empty asks for all of it",
    ),
    "invalid_grant": (
        "the token endpoint refuses the client's grant (invalid_grant)",
        "allow the client the client-credentials grant",
    ),
    "unauthorized_client": (
        "the client may not use client credentials (unauthorized_client)",
        "allow the client the client-credentials grant",
    ),
}


def token_denied(status: int, code: object) -> SourceError:
    if isinstance(code, str) and code in _TOKEN_PROBLEMS:
        message, fix = _TOKEN_PROBLEMS[code]
        return SourceError(message, fix=fix)
    named = f" {code}" if isinstance(code, str) and _CODE.fullmatch(code) else ""
    return SourceError(
        f"the token endpoint refused us ({status}{named})",
        fix="check TILORES_TOKEN_URL, TILORES_CLIENT_ID and TILORES_CLIENT_SECRET",
    )


def token_unavailable(kind: str, after: float) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"there is no access token for the Tilores instance: the token endpoint does not answer ({kind})",
        retry_after=after,
        fix="it is tried again by itself; is TILORES_TOKEN_URL right?",
    )


def token_unreadable() -> SourceError:
    return SourceError(
        "the token endpoint's reply holds no token",
        fix="TILORES_TOKEN_URL ends in /oauth2/token",
    )


# --- classification ----------------------------------------------------------------------------------------------


def by_status(status: int, after: float | None) -> Exception | None:
    """What a status says whatever the body is; None when the body must tell (2xx, 400, 422)."""
    if status in _BUSY:
        return BusyError(busy(status, after), after)
    if status == 401:
        return RejectedTokenError()
    if status == 403:
        return forbidden()
    if status in (404, 405):
        return not_there(status)
    if 300 <= status < 400:
        return elsewhere(status)
    if status >= 500:
        return busy(status, after)
    return None if status < 300 or status in (400, 422) else bad_request(status)


def by_errors(status: int, errors: Sequence[Problem]) -> Exception | None:
    """What an answer's errors say of it as a whole; None when the data is worth a look."""
    texts = [str(error.get("message", "")) for error in errors]
    if any("Response body too large" in text for text in texts):
        return TooLargeError()
    for text in texts:
        if denied := _DENIED.search(text):
            return scope_missing(denied[1])
    if status == 422 or any(_code(error) in _INVALID for error in errors):
        return StaleSchemaError()
    return bad_request(status) if status == 400 else None


def _code(error: Problem) -> object:
    extensions = error.get("extensions")
    return extensions.get("code") if isinstance(extensions, Mapping) else None


def names(errors: Sequence[Problem], step: str) -> bool:
    """Whether an error's path goes through `step`."""
    return any(step in path for error in errors if isinstance(path := error.get("path"), list))
