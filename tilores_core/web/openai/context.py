"""What a completion request says beside the question: whose customer, which session, how fresh an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from math import isfinite
from typing import Any, NamedTuple

import orjson

from tilores_core.contracts import Message
from tilores_core.errors import InvalidRequestError

_LONGEST_ID = 256
# AnythingLLM appends what it found for this turn to its system prompt; that part changes from turn to turn.
_RETRIEVED = "\nContext:\n[CONTEXT 0]:"
_NOTHING: Mapping[str, Any] = {}
_DIGITS = re.compile(r"[0-9]{1,10}")  # more of them than in 300 years are no limit at all


class Context(NamedTuple):
    """`session_id` is None when the request names none; `max_age` is in seconds."""

    customer_id: str | None = None
    session_id: str | None = None
    max_age: float | None = None
    no_cache: bool = False
    no_store: bool = False


_NO_CONTEXT = Context()


def decode_context(body: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Context:
    """Read `metadata`, `config.configurable`, `user` and the headers; the first of these that says something wins.

    Only an explicit session id wins over `user`, so the header does too. Raises `InvalidRequestError` whose
    `param` names the field or header.
    """
    metadata = body.get("metadata")
    config = body.get("config")
    user = body.get("user")
    customer_header = headers.get(b"x-customer-id")
    session_header = headers.get(b"x-session-id")
    cache_header = headers.get(b"cache-control")
    if metadata is None and config is None and user is None:
        if customer_header is None and session_header is None and cache_header is None:
            return _NO_CONTEXT
        metadata = configurable = _NOTHING
    else:
        metadata, configurable = _metadata(metadata), _configurable(config)

    customer_id = (
        _identifier(metadata.get("customer_id"), "metadata.customer_id")
        or _identifier(configurable.get("customer_id"), "config.configurable.customer_id")
        or _header_text(customer_header, "X-Customer-Id")
    )
    session_id = (
        _identifier(metadata.get("session_id"), "metadata.session_id")
        or _identifier(configurable.get("session_id"), "config.configurable.session_id")
        or _header_text(session_header, "X-Session-Id")
        # Open WebUI's pipelines send an object here.
        or (_identifier(user, "user") if type(user) is str else None)
    )
    max_age, no_cache, no_store = _cache_control(cache_header) if cache_header else (None, False, False)
    for place, said in (("config.configurable", configurable), ("metadata", metadata)):
        if (age := said.get("max_age")) is not None:
            max_age = _seconds(age, f"{place}.max_age")
        if (fresh := said.get("no_cache")) is not None:
            no_cache = _flag(fresh, f"{place}.no_cache")
    return Context(customer_id, session_id, max_age, no_cache, no_store)


def derived_session(messages: tuple[Message, ...]) -> str:
    """32 hex digits that stay the same while a conversation grows: of its first system and first user message."""
    system = user = ""
    for message in messages:
        if message["role"] == "system" and not system:
            system = _plain(message).partition(_RETRIEVED)[0]
        elif message["role"] == "user":
            user = _plain(message)
            break
    # The length keeps "ab" + "c" apart from "a" + "bc".
    return sha256(f"{len(system)}:{system}{user}".encode()).hexdigest()[:32]


def _plain(message: Message) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else orjson.dumps(content).decode()


# --- the places ------------------------------------------------------------------------------------------


def _metadata(value: Any) -> Mapping[str, Any]:
    if value is None:
        return _NOTHING
    if type(value) is not dict:
        raise _wrong("metadata", "must be an object")
    return value


def _configurable(config: Any) -> Mapping[str, Any]:
    # `config` is LangServe's; in this protocol it is a stranger, which is ignored unless it has the shape.
    value = config.get("configurable") if type(config) is dict else None
    return value if type(value) is dict else _NOTHING


def _header_text(value: bytes | None, name: str) -> str | None:
    if value is None:
        return None
    try:
        return _identifier(value.decode().strip(), name)
    except UnicodeDecodeError:
        raise _wrong(name, "must be UTF-8 text") from None


def _cache_control(header: bytes) -> tuple[float | None, bool, bool]:
    """What a caller may say of freshness; what is not understood is ignored, as HTTP wants it."""
    max_age, no_cache, no_store = None, False, False
    for directive in header.decode("latin-1").lower().split(","):
        name, _, argument = directive.strip().partition("=")
        if name == "no-cache":
            no_cache = True
        elif name == "no-store":
            no_store = True
        elif name == "max-age" and _DIGITS.fullmatch(age := argument.strip('"')):
            max_age = float(age)
    return max_age, no_cache, no_store


# --- the values ------------------------------------------------------------------------------------------


def _identifier(value: Any, at: str) -> str | None:
    if value is None or value == "":
        return None
    text = str(value) if type(value) is int else value
    if type(text) is not str:
        raise _wrong(at, "must be a string")
    if len(text) > _LONGEST_ID or not text.isprintable():
        raise _wrong(at, f"must have at most {_LONGEST_ID} characters, all of them printable")
    return text


def _seconds(value: Any, at: str) -> float:
    # The SDKs' types for `metadata` allow strings only, so numbers arrive as text too.
    try:
        seconds = float(value) if type(value) in (int, float, str) else -1.0
    except (ValueError, OverflowError):
        seconds = -1.0
    if not (seconds >= 0 and isfinite(seconds)):
        raise _wrong(at, "must be a number of seconds, 0 or more")
    return seconds


_FLAGS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}


def _flag(value: Any, at: str) -> bool:
    found = _FLAGS.get(str(value).lower()) if type(value) in (bool, int, str) else None
    if found is None:
        raise _wrong(at, "must be true or false")
    return found


def _wrong(at: str, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"{at} {what}", param=at)
