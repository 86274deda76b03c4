"""A server that speaks LangSmith's ingest API, with the faults that such a service can have.

`runs` and `feedback` hold what came, as the service would keep it. `fault` is what is wrong with it now:

    429, 500, 401, 413   every request is answered so
    "hang"               requests are taken and not answered
    "drip"               the reply comes, a byte at a time, and never ends
    "cut"                the connection is closed in the middle of the reply
"""

from __future__ import annotations

import email
import json
import re
import socket
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import zstandard

KEY = "lsv2-test-key-0123456789"
PROJECT_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, "tilores-core"))


class LangSmithServer:
    """A context manager; `url` is its address while it runs."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.feedback: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.batches: list[int] = []  # bytes
        self.keys: set[str] = set()
        self.workspaces: set[str] = set()
        self.fault: int | str | None = None
        self.lock = threading.Lock()
        self._ended = threading.Event()
        self._server = _Quiet(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> LangSmithServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def roots(self) -> list[dict[str, Any]]:
        return [run for run in self.runs.values() if run.get("parent_run_id") is None]

    def children(self, parent: dict[str, Any]) -> list[dict[str, Any]]:
        """In LangSmith's order."""
        found = [run for run in self.runs.values() if run.get("parent_run_id") == parent["id"]]
        return sorted(found, key=lambda run: str(run["dotted_order"]))

    @property
    def everything(self) -> str:
        """All that came, as text, but for ids, times and lengths, which may hold any digits."""
        return "\n".join(_texts([list(self.runs.values()), self.feedback]))

    def wait_for_the_end(self) -> None:
        self._ended.wait(60)

    def is_over(self, seconds: float) -> bool:
        return self._ended.wait(seconds)


_UNTOLD = ("id", "trace_id", "parent_run_id", "dotted_order", "start_time", "end_time", "events", "created_at")
_UNTOLD_TOO = ("modified_at", "run_id", "first_token", "age", "session_id", "thread_id")
_DIGEST = re.compile(r"sha256-[0-9a-f]{24}")


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        told = {key: inner for key, inner in value.items() if key not in _UNTOLD}
        found = [text for key, inner in told.items() if key not in _UNTOLD_TOO for text in (key, *_texts(inner))]
        found += [str(told[key]) for key in ("session_id", "thread_id") if key in told]
        return [text for text in found if not _DIGEST.fullmatch(text)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [str(value)]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away in the middle: that is what is tested."""


def _handler(service: LangSmithServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def _serve(self, body: bytes) -> None:
            path = urlsplit(self.path).path
            with service.lock:
                service.requests.append(f"{self.command} {path}")
                service.keys.add(self.headers.get("x-api-key", ""))
                service.workspaces.add(self.headers.get("x-tenant-id", ""))
            if service.fault is not None:
                self._fail(service.fault)
            elif self.headers.get("x-api-key") != KEY:
                self._reply(401, {"detail": "Invalid token"})
            elif path == "/info":
                config = {"use_multipart_endpoint": True, "size_limit": 100, "size_limit_bytes": 20_971_520}
                self._reply(200, {"version": "0.10.0", "batch_ingest_config": config})
            elif path == "/sessions":
                row = {"id": PROJECT_ID, "name": "tilores-core", "tenant_id": PROJECT_ID}
                self._reply(200, [{**row, "start_time": "2025-01-01T00:00:00+00:00"}])
            elif path == "/runs/multipart":
                self._take(body)
            elif path == "/feedback":
                given = json.loads(body)
                with service.lock:
                    service.feedback.append(given)
                self._reply(200, given)
            else:
                self._reply(404, {"detail": "Not Found"})

        def _take(self, body: bytes) -> None:
            if self.headers.get("Content-Encoding") == "zstd":  # so does the library's own queue send
                body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
            header = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            parts = email.message_from_bytes(header + body).get_payload()
            assert isinstance(parts, list)
            with service.lock:
                service.batches.append(len(body))
                for part in parts:
                    assert isinstance(part, email.message.Message)
                    name = str(part.get_param("name", header="content-disposition"))
                    value = json.loads(part.get_payload(decode=True) or b"null")  # type: ignore[arg-type]
                    event, run_id, *field = name.split(".")
                    assert event in ("post", "patch"), name
                    run = service.runs.setdefault(run_id, {"id": run_id})
                    if field:
                        run[field[0]] = value
                    else:
                        run.update(value)
            self._reply(202, {"message": "Runs batch ingested"})

        def _fail(self, fault: int | str) -> None:
            if isinstance(fault, int):
                self._reply(fault, {"detail": "on purpose"})
            elif fault == "hang":
                service.wait_for_the_end()
            elif fault == "cut":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
                self.connection.shutdown(socket.SHUT_RDWR)
            elif fault == "drip":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not service.is_over(0.05):
                    self.wfile.write(b" ")
                    self.wfile.flush()
            self.close_connection = True

        def _reply(self, status: int, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status == 429:
                self.send_header("Retry-After", "30")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Tests say what happened."""

    return Handler
