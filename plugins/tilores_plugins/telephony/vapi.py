"""Vapi: is a message from it, who calls, and the reply that it expects.

Vapi sends a secret, as X-Vapi-Secret or as a bearer token, or signs: HMAC over "TIMESTAMP.BODY", in hex or base64
(Vapi's documentation, "Server authentication").
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from tilores_plugins.telephony.settings import Settings

_MILLISECONDS_FROM = 1e11  # as seconds that would be in the year 5138
_BEGINNING = frozenset({"queued", "ringing", "in-progress"})


def is_authentic(settings: Settings, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Say whether the signature is right. `headers`: names in lower case; `now`: seconds since the epoch."""
    if settings.vapi_hmac_key is not None:
        return _is_signed(settings, settings.vapi_hmac_key, headers, body, now)
    if settings.vapi_secret is None:
        return False
    bearer = headers.get("authorization", "")
    token = bearer[7:].strip() if bearer[:7].lower() == "bearer " else ""
    secret = settings.vapi_secret.get_secret_value().encode()
    given = (headers.get("x-vapi-secret", ""), token)
    return any(hmac.compare_digest(secret, one.encode("latin-1", "replace")) for one in given)


def _is_signed(settings: Settings, key: SecretStr, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    given = headers.get(settings.vapi_signature_header.lower(), "")
    prefix = settings.vapi_signature_prefix
    if not given or not given.startswith(prefix):
        return False
    signed = body
    if settings.vapi_timestamp_header:
        timestamp = headers.get(settings.vapi_timestamp_header.lower(), "")
        if not _is_recent(timestamp, now, settings.vapi_tolerance_seconds):
            return False
        signed = timestamp.encode() + b"." + body
    digest = hmac.new(key.get_secret_value().encode(), signed, settings.vapi_hmac_algorithm).digest()
    text = given.removeprefix(prefix).encode("latin-1", "replace")
    return any(hmac.compare_digest(text, right) for right in (digest.hex().encode(), base64.b64encode(digest)))


def _is_recent(timestamp: str, now: float, tolerance: float) -> bool:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 16):
        return False
    seconds = float(timestamp)
    return abs(now - (seconds / 1000 if seconds > _MILLISECONDS_FROM else seconds)) <= tolerance


def message_of(value: Any) -> Mapping[str, Any] | None:
    message = value.get("message") if isinstance(value, dict) else None
    return message if isinstance(message, dict) and isinstance(message.get("type"), str) else None


def caller_of(message: Mapping[str, Any]) -> str | None:
    """The caller's number in a message that says that a call begins; None in others, and when it is withheld."""
    kind = message["type"]
    if kind != "assistant-request" and not (kind == "status-update" and message.get("status") in _BEGINNING):
        return None
    call = message.get("call")
    for customer in (message.get("customer"), call.get("customer") if isinstance(call, dict) else None):
        number = customer.get("number") if isinstance(customer, dict) else None
        if isinstance(number, str) and number.startswith("+"):
            return number
    return None


def reply_to(message: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """What Vapi expects: an assistant, or what the caller hears, where it asks for one; nothing elsewhere."""
    if message["type"] != "assistant-request":
        return {}
    if settings.vapi_assistant_id is None:
        return {"error": settings.vapi_refusal}
    return {"assistantId": settings.vapi_assistant_id}
