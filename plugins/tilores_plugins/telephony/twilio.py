"""Twilio: is a request signed, who calls, and the TwiML of the reply.

The signature is base64 of HMAC-SHA1, keyed with the account's auth token, over the URL as Twilio called it followed
by each form field's name and value in the order of the names (Twilio's documentation, "Webhooks security").
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit, urlunsplit
from xml.sax.saxutils import escape

Fields = Sequence[tuple[str, str]]

_MOST_FIELDS = 200
_PORTS = {"https": 443, "http": 80}
_BEGINNING = frozenset({"", "queued", "initiated", "ringing", "in-progress"})


def read_fields(body: bytes) -> Fields | None:
    """The fields of a form; None when it is none."""
    try:
        return parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        return None


def is_signed(signature: str, *, url: str, fields: Fields, token: str) -> bool:
    """Whether Twilio signed this request. The port may or may not be in the URL it signed."""
    given = signature.encode("latin-1", "replace")
    signed = [hmac.compare_digest(given, _signature(one, fields, token)) for one in _spellings(url)]
    return any(signed)


def _signature(url: str, fields: Fields, token: str) -> bytes:
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest())


def _spellings(url: str) -> Iterable[str]:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    name = parts.hostname or ""
    name = f"[{name}]" if ":" in name else name
    yield url
    yield urlunsplit(parts._replace(netloc=name))
    if ":" not in host.rpartition("]")[2]:
        yield urlunsplit(parts._replace(netloc=f"{host}:{_PORTS.get(parts.scheme, 443)}"))


def caller_of(fields: Mapping[str, str]) -> str | None:
    """The number at the customer's end, while the call begins; None later, and when it is not a number."""
    if fields.get("CallStatus", "") not in _BEGINNING:
        return None
    inbound = fields.get("Direction", "inbound").startswith("inbound")
    number = fields.get("From" if inbound else "To", "")
    return number if number.startswith("+") else None


def redirect_to(url: str) -> str:
    """TwiML that lets the call go on with what another address says."""
    redirect = f'<Redirect method="POST">{escape(url)}</Redirect>'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Response>{redirect}</Response>'
