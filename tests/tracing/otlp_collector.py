"""A collector that speaks OTLP over HTTP, with the faults that one can have.

`spans` holds what came. Each request takes the next of `faults`, or `fault` when none is left; None: all is well.

    Status(code, retry_after)   answered so
    "hang"                      taken, and not answered
    "drip"                      the reply comes, a byte at a time, and never ends
    "cut"                       the connection is closed in the middle of the reply
    "reset"                     … before it
    Partial(rejected)           taken, but for so many spans
    "rubbish"                   taken, and answered with what is no OTLP
"""

from __future__ import annotations

import socket
import threading
import zlib
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1 import trace_pb2 as otlp


@dataclass(frozen=True)
class Status:
    code: int
    retry_after: str | None = None
    location: str | None = None


@dataclass(frozen=True)
class Partial:
    rejected: int


Fault = Status | Partial | str | None


class OtlpCollector:
    """A context manager; `url` is its address while it runs."""

    def __init__(self, fault: Fault = None) -> None:
        self.fault = fault
        self.faults: deque[Fault] = deque()
        self.requests: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.seen = 0  # requests, taken or not
        self.bodies = b""
        self._ended = threading.Event()
        self._server = _Quiet(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> OtlpCollector:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    # --- what came ---------------------------------------------------------------------------------------

    @property
    def spans(self) -> list[otlp.Span]:
        return [
            span
            for request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def resource(self) -> dict[str, Any]:
        return plain(self.requests[-1].resource_spans[0].resource.attributes)

    def roots(self) -> list[otlp.Span]:
        """Spans whose parent did not come here."""
        ids = {span.span_id for span in self.spans}
        return [span for span in self.spans if span.parent_span_id not in ids]

    def root_of(self, run_id: str) -> otlp.Span | None:
        return next((one for one in self.roots() if attributes(one).get("tilores.run_id") == run_id), None)

    def children(self, parent: otlp.Span) -> list[otlp.Span]:
        return [span for span in self.spans if span.parent_span_id == parent.span_id]

    def wait(self, seconds: float) -> None:
        self._ended.wait(seconds)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()


def attributes(span: otlp.Span) -> dict[str, Any]:
    return plain(span.attributes)


def plain(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that went away are what some tests are about."""


def _handler(collector: OtlpCollector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = zlib.decompress(body, wbits=31)
            collector.seen += 1
            fault = collector.faults.popleft() if collector.faults else collector.fault
            if isinstance(fault, Status):
                self._answer(fault.code, b"no: " + body[:40], "text/plain", fault)
            elif fault == "hang":
                collector.wait(30)
                self.close_connection = True
            elif fault == "drip":
                self._drip()
            elif fault in ("cut", "reset"):
                if fault == "cut":
                    self._head(200, 1000)
                    self.wfile.write(b"half")
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            else:
                self._take(body, fault)

        def _take(self, body: bytes, fault: Fault) -> None:
            request = ExportTraceServiceRequest.FromString(body)  # raises on what is no OTLP
            collector.requests.append(request)
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            collector.paths.append(self.path)
            collector.bodies += body
            response = ExportTraceServiceResponse()
            if isinstance(fault, Partial):
                response.partial_success.rejected_spans = fault.rejected
                response.partial_success.error_message = "attribute of Edwina Hawthorne too long"
            told = b"\xff\xff\xff{" if fault == "rubbish" else response.SerializeToString()
            self._answer(200, told, "application/x-protobuf")

        def _answer(self, code: int, body: bytes, kind: str, status: Status | None = None) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if status is not None and status.retry_after is not None:
                self.send_header("Retry-After", status.retry_after)
            if status is not None and status.location is not None:
                self.send_header("Location", status.location)
            self.end_headers()
            self.wfile.write(body)

        def _head(self, code: int, length: int) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(length))
            self.end_headers()

        def _drip(self) -> None:
            self._head(200, 100_000)
            while not collector.ended:
                self.wfile.write(b"\0")
                collector.wait(0.02)

    return Handler
