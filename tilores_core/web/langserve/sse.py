"""Server-sent events as the two clients read them."""

from __future__ import annotations

from typing import Final

import orjson

from tilores_core.web.langserve.errors import error_reply

END: Final = b"event: end\n\n"
"""The last event of a stream that went well. It has no data: the JavaScript client would take it for a result."""

# The Python client's line reader ends a line at these too; JSON may hold them as they are.
_LINE_ENDS: Final = (
    (b"\xc2\x85", b"\\u0085"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)


def event(name: str, data: bytes) -> bytes:
    """One event; `data` is JSON without line breaks."""
    if b"\xe2\x80" in data or b"\xc2\x85" in data:
        for raw, escaped in _LINE_ENDS:
            data = data.replace(raw, escaped)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def data_event(data: bytes) -> bytes:
    return event("data", data)


def error_event(error: Exception) -> bytes:
    """The event that ends a stream that failed; it says as much as an error's HTTP reply would."""
    status, body, _ = error_reply(error)
    return event("error", orjson.dumps({"status_code": status, "message": body["message"]}))
