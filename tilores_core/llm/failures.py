"""What an exception of an SDK, of LangChain or of an HTTP client says.

SDKs differ in their exceptions and agree in what they carry: an HTTP status, headers, a JSON body with a code. That
is read here without importing any of them.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

Kind = Literal["status", "connection", "timeout", "malformed", "other"]

_LONGEST_REASON: Final = 200
_LONGEST_WAIT: Final = 86_400.0
_DEEPEST_CAUSE: Final = 4
_SECONDS: Final = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")
_PATH: Final = re.compile(r"[A-Za-z0-9_.\-\[\]]{1,100}")

HTML_PAGE: Final = "html_page"
"""Code of an error whose body is a page for people: some proxy's."""
_CODES: Final = ("code", "type", "status", "__type", "error_code", "error_type")

_TIMEOUTS: Final = frozenset({"TimeoutError", "TimeoutException", "APITimeoutError", "StreamChunkTimeoutError"})
_CONNECTIONS: Final = frozenset(
    {
        "APIConnectionError",
        "ClientConnectionError",  # aiohttp
        "ClientPayloadError",
        "ConnectionError",
        "EndOfStream",
        "OSError",
        "StreamError",
        "TransportError",  # httpx, httpx2
    }
)
# aiohttp's, which httpx-aiohttp calls time-outs.
_BROKEN: Final = frozenset(
    {"ClientConnectorDNSError", "ClientConnectorError", "ClientOSError", "ServerDisconnectedError"}
)
_NOT_HTTP: Final = frozenset({"HttpProcessingError", "ClientResponseError"})  # aiohttp's
_MALFORMED: Final = frozenset(
    {
        *("APIResponseValidationError", "DecodingError", "JSONDecodeError", "MalformedReplyError"),
        *("UnicodeDecodeError", "ValidationError"),
        *_NOT_HTTP,
    }
)


class MalformedReplyError(Exception):
    """A reply with status 200 that is not an answer. `body`: the error object that came in its place, if any."""

    def __init__(self, body: object = None) -> None:
        super().__init__("the reply is not an answer")
        self.body = body if isinstance(body, Mapping) else {}


class UpstreamError(Exception):
    """A reply whose HTTP status is a failure. `body`: its JSON object, empty when there is none."""

    def __init__(self, status_code: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
        super().__init__(f"the upstream answers {status_code}")
        self.status_code = status_code
        self.headers = headers
        self.body = body


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is known of a failed call. `codes`: the provider's words for it (code, type, status), in lower case;
    `text`: what it wrote; `param`: the field it names; `retry_after`: seconds."""

    kind: Kind = "other"
    status: int | None = None
    codes: tuple[str, ...] = ()
    text: str = ""
    param: str | None = None
    retry_after: float | None = None

    def says(self, codes: frozenset[str]) -> bool:
        return any(code in codes for code in self.codes)


def failure_of(error: BaseException) -> Failure:
    """What an exception says, or the one that caused it when it says nothing itself."""
    for cause in _causes(error):
        failure = _read(cause)
        if failure.kind == "timeout" and any(type(below).__name__ in _BROKEN for below in _causes(cause)):
            return replace(failure, kind="connection")
        if failure.kind != "other":
            return failure
    return _read(error)


def parse_retry_after(headers: Mapping[str, Any]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `Retry-After` (seconds, or a date); None when there is neither."""
    try:
        milliseconds = float(headers.get("retry-after-ms") or "")
    except ValueError:
        pass
    else:
        return _bound(milliseconds / 1000)
    value = str(headers.get("retry-after") or headers.get("Retry-After") or "")
    try:
        return _bound(float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
        return _bound((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _bound(seconds: float) -> float | None:
    return min(max(seconds, 0.0), _LONGEST_WAIT) if math.isfinite(seconds) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(_DEEPEST_CAUSE):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def _read(error: BaseException) -> Failure:
    response = getattr(error, "response", None)
    body = _body(error, response)
    names = {kind.__name__ for kind in type(error).__mro__}
    # aiohttp says 400 of bytes that are not HTTP, as a server that got them would answer.
    status = None if names & _NOT_HTTP else _status(error, response, body)
    inner = body.get("innererror") or body.get("inner_error")  # Azure's
    codes = [str(body[key]).lower() for key in _CODES if isinstance(body.get(key), (str, int))]
    if isinstance(inner, Mapping) and isinstance(inner.get("code"), str):
        codes.append(inner["code"].lower())
    if "ContextOverflowError" in names:  # LangChain recognised it
        codes.append("context_length_exceeded")
    if "ContentFilterFinishReasonError" in names:
        codes.append("content_filter")
    page = getattr(error, "body", None)
    if isinstance(page, str) and page.lstrip()[:1] == "<":
        codes.append(HTML_PAGE)
    headers = getattr(response, "headers", None) or getattr(error, "headers", None)
    wait = parse_retry_after(headers) if isinstance(headers, Mapping) else None
    text = body.get("message") or body.get("detail") or getattr(error, "message", "") or ""
    return Failure(
        kind=_kind(names, status, codes),
        status=status,
        codes=tuple(codes),
        text=_with_reasons(text if isinstance(text, str) else "", body),
        param=_param(body),
        retry_after=_retry_delay(body) if wait is None else wait,
    )


def _kind(names: set[str], status: int | None, codes: list[str]) -> Kind:
    if names & _MALFORMED and status is None:
        return "malformed"
    if status is not None or codes:
        return "status"
    if names & _TIMEOUTS:
        return "timeout"
    if names & _CONNECTIONS:
        return "connection"
    return "other"


def _body(error: BaseException, response: Any) -> Mapping[str, Any]:
    """The object that describes the error, wherever the SDK put it."""
    body: Any = getattr(error, "body", None) or getattr(error, "details", None)
    if not isinstance(body, Mapping) and response is not None:
        try:
            body = response.json()
        except Exception:  # not JSON, not read, or no such method
            body = None
    for _ in range(2):
        inner = body.get("error") if isinstance(body, Mapping) else None
        if isinstance(inner, Mapping):
            body = inner
        elif isinstance(inner, str):
            body = {**body, "error": None, "message": inner}
    return body if isinstance(body, Mapping) else {}


def _status(error: BaseException, response: Any, body: Mapping[str, Any]) -> int | None:
    """The HTTP status; one that came in the body of an event where there was none but 200 before it."""
    for value in (
        getattr(error, "status_code", None),
        getattr(error, "code", None),
        getattr(response, "status_code", None),
        body.get("code"),
        body.get("status"),
    ):
        number = int(value) if isinstance(value, (int, str)) and str(value).isdigit() else 0
        if 300 <= number < 600:
            return number
    return None


def _param(body: Mapping[str, Any]) -> str | None:
    param = body.get("param")
    return param if isinstance(param, str) and _PATH.fullmatch(param) else None


def _retry_delay(body: Mapping[str, Any]) -> float | None:
    """Google says how long to wait in the body (`RetryInfo`), not in a header."""
    details = body.get("details")
    for item in details if isinstance(details, list) else ():
        if isinstance(item, Mapping) and str(item.get("@type", "")).endswith("RetryInfo"):
            found = _SECONDS.fullmatch(str(item.get("retryDelay", "")))
            return float(found[1]) if found else None
    return None


def _with_reasons(text: str, body: Mapping[str, Any]) -> str:
    """OpenRouter gives the reasons of a moderation apart, and below the first line what its own upstream wrote."""
    metadata = body.get("metadata")
    if not isinstance(metadata, Mapping):
        return text
    reasons = metadata.get("reasons")
    if named := [reason for reason in reasons if isinstance(reason, str)] if isinstance(reasons, list) else ():
        return f"{first_line(text)} ({', '.join(named)})"
    return f"{text}\n{metadata['raw']}" if isinstance(metadata.get("raw"), str) else text


def first_line(text: str) -> str:
    """At most 200 characters of it."""
    stripped = text.strip()
    line = stripped.splitlines()[0].strip() if stripped else ""
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 1]}…"
