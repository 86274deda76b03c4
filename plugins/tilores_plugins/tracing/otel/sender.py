"""One request to the collector, with its retries, within a deadline: https://opentelemetry.io/docs/specs/otlp/#otlphttp."""

from __future__ import annotations

import asyncio
import random
import ssl
import zlib
from typing import Final

import httpx
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tilores_core import InvalidRequestError, TiloresError, __version__
from tilores_core.llm import parse_retry_after
from tilores_plugins.tracing.otel.settings import Settings
from tilores_plugins.tracing.otel.status import Status

_AGAIN: Final = frozenset((429, 502, 503, 504))  # "Retryable Response Codes"
_FIRST_PAUSE: Final = 0.25
_LONGEST_HOLD: Final = 300.0
_LONGEST_REPLY: Final = 64 * 1024
_GZIP: Final = 31  # zlib's window bits for gzip with the largest window
_CONNECTIONS: Final = 4


class CollectorUnavailableError(TiloresError):
    """The collector does not answer, or says that it cannot now."""


class CollectorRefusedError(InvalidRequestError):
    """The collector does not want this request, and would not the next time."""


class Sender:
    """Sends spans to an OTLP collector over HTTP.

    `send` raises one of the two errors above; none quotes an address, a header or what the collector wrote.
    """

    def __init__(self, settings: Settings, status: Status) -> None:
        self._address = settings.address
        self._gzip = settings.compression == "gzip"
        self._status = status
        self._held_until = 0.0  # on the loop's clock: a collector said when to come again
        headers = {
            **{name.lower(): value for name, value in settings.header_pairs.items()},
            "content-type": "application/x-protobuf",
            "accept-encoding": "identity",
            "user-agent": f"tilores-core/{__version__}",
        }
        if self._gzip:
            headers["content-encoding"] = "gzip"
        trusted = ssl.create_default_context(cafile=settings.certificate) if settings.certificate else True
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=settings.timeout_seconds,
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=1),
            follow_redirects=False,
            verify=trusted,
        )

    async def send(self, body: bytes, spans: int, until: float) -> None:
        """Send one request. `until` on the loop's clock."""
        try:
            rejected = await self._send(body, until)
        except TiloresError as error:
            self._status.record_failure(error.message)
            raise
        self._status.record_success(spans, min(rejected, spans))

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _send(self, body: bytes, until: float) -> int:
        loop = asyncio.get_running_loop()
        if loop.time() < self._held_until:
            raise CollectorUnavailableError("the collector asked to be left alone for now")
        if self._gzip:
            body = await asyncio.to_thread(zlib.compress, body, 1, wbits=_GZIP)
        pause = _FIRST_PAUSE
        failure: CollectorUnavailableError | None = None
        while True:
            wait: float | None = None
            try:
                async with asyncio.timeout_at(until):
                    status, wait, reply = await self._post(body)
            except TimeoutError:  # what the collector said before tells more than that the time is up
                raise failure or CollectorUnavailableError("the collector did not answer in time") from None
            except httpx.TransportError as error:
                failure = CollectorUnavailableError(f"the collector cannot be reached: {type(error).__name__}")
            except httpx.HTTPError as error:
                raise CollectorRefusedError(f"no OTLP is spoken there: {type(error).__name__}") from None
            else:
                if 200 <= status < 300:
                    return _count_rejected(reply)
                if status not in _AGAIN:
                    raise CollectorRefusedError(f"the collector refused a request: status {status}")
                failure = CollectorUnavailableError(f"the collector is busy: status {status}")
            if wait is not None:
                self._held_until = loop.time() + min(wait, _LONGEST_HOLD)
            else:
                wait = pause * random.uniform(0.8, 1.2)  # noqa: S311 - so that not all come again at once
                pause *= 2
            if loop.time() + wait >= until:
                raise failure
            self._status.retries += 1
            await asyncio.sleep(wait)

    async def _post(self, body: bytes) -> tuple[int, float | None, bytes]:
        """Status, seconds of Retry-After, and the beginning of the reply."""
        async with self._client.stream("POST", self._address, content=body) as response:
            reply = b""
            async for piece in response.aiter_raw():
                reply += piece
                if len(reply) > _LONGEST_REPLY:
                    break
            return response.status_code, parse_retry_after(response.headers), reply


def _count_rejected(reply: bytes) -> int:
    """Of a partial success: how many spans the collector left out. Sending them again would not help."""
    try:
        response = ExportTraceServiceResponse.FromString(reply)
    except DecodeError:
        return 0
    return max(0, response.partial_success.rejected_spans)
