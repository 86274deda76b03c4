"""A server that takes what webhooks post, with the faults that one can have.

`bodies` and `headers` hold what came and was taken. `fault` is what is wrong with it now:

    a status             every request is answered so (with `retry_after` as Retry-After, where it is set)
    "hang"               requests are taken and not answered
    "cut"                the connection is closed without an answer
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class Receiver:
    """A context manager; `url` is its address while it runs, on a port that stays the same."""

    def __init__(self, port: int = 0) -> None:
        self.bodies: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.requests = 0
        self.fault: int | str | None = None
        self.retry_after: str | None = None
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self._server = _Quiet(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away in these tests."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            fault = receiver.fault
            with receiver.lock:
                receiver.requests += 1
            if fault == "hang":
                receiver.ended.wait(60)
                return
            if fault == "cut" or receiver.ended.is_set():  # a connection that was kept open ends with the server
                self.close_connection = True
                return
            if fault is None:
                with receiver.lock:
                    receiver.bodies.append(body.decode())
                    receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                    receiver.paths.append(self.path)
            self.send_response(200 if fault is None else int(fault))
            if fault is not None and receiver.retry_after is not None:
                self.send_header("Retry-After", receiver.retry_after)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    return Handler
