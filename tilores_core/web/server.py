"""Serving with uvicorn: one process or several, and an end that load balancers notice first."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import multiprocessing.process
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, ClassVar, Final, Protocol

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.supervisors import Multiprocess

from tilores_core.settings import ChatTable
from tilores_core.web.application import Application
from tilores_core.web.http_exchange import WHOLE_REPLY, Header

log = structlog.get_logger(part="serve")

_ENDINGS = (signal.SIGTERM, signal.SIGINT)
_COMPANION_SECONDS = 12.0
_CLOSING_SECONDS = 20.0
_LEAVE_SECONDS = 3.0
_FORCED_SECONDS = 6.0
"""The same when the server is ended at once."""
_MOST_GATHERED = 64 * 1024


@contextlib.contextmanager
def drain_on_signal(application: Application, seconds: float) -> Iterator[None]:
    """On the first SIGTERM or SIGINT the application says that it is not ready; `seconds` later the server hears of
    the signal, closes its socket and lets running requests finish. A second signal ends it at once. SIGHUP, as of a
    terminal that was closed, is a SIGTERM, unless it was ignored at start (`nohup`).

    Entered while the server runs, so that it wraps the server's own handlers, in whichever process that is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # a server in a thread gets no signals
        return
    loop = asyncio.get_running_loop()
    hang_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    before = {number: signal.getsignal(number) for number in (*_ENDINGS, *hang_up)}
    parent = multiprocessing.parent_process()
    is_worker = parent is not None
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), name="parent", daemon=True).start()

    def pass_on(number: int, frame: FrameType | None) -> None:
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    def leave() -> None:
        """Uvicorn's own server, which raises its signals again and so dies of them, must end its requests before."""
        server = getattr(before[signal.SIGTERM], "__self__", None)
        if isinstance(server, uvicorn.Server):
            for task in server.server_state.tasks:
                task.cancel()
        loop.call_later(_LEAVE_SECONDS, pass_on, signal.SIGINT, None)

    def drain(number: int, frame: FrameType | None) -> None:
        if is_worker and number != signal.SIGTERM:
            return  # what a terminal sends reaches parent and workers alike; the parent tells its workers
        if number == signal.SIGHUP:
            if application.draining:
                return  # the shell and the system may both say so
            number = signal.SIGTERM
        if application.draining:
            # The server may not have handled the first yet; after two it waits for nothing.
            pass_on(number, frame)
            if is_worker:
                loop.call_soon_threadsafe(leave)
            else:
                pass_on(number, frame)
            return
        application.draining = True
        if seconds == 0:
            pass_on(number, frame)
        else:
            loop.call_soon_threadsafe(loop.call_later, seconds, pass_on, number, None)

    for number in before:
        signal.signal(number, drain)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    """One of several web processes ends when the parent was killed: without it they would keep the port for ever."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


class Companion(Protocol):
    """What lives beside the server, such as a worker process."""

    def start(self) -> None:
        """The server is ready."""

    def end(self) -> None:
        """The server begins to end; returns at once and may be called from a signal handler."""

    def close(self, seconds: float) -> None:
        """The server has ended; wait at most so many seconds."""


class GatheringTransport:
    """Writes at the end of a round of the event loop what was written in it: uvicorn writes the head of a reply and
    its body apart, and each write wakes the client up."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self.is_closing = transport.is_closing
        self._loop = loop
        self._gathered: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._gathered:
            self._loop.call_soon(self._flush)
        self._gathered.append(data)
        self._size += len(data)
        if self._size > _MOST_GATHERED:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._gathered:
            gathered, self._gathered, self._size = self._gathered, [], 0
            self._transport.writelines(gathered)


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request's headers take longer than `header_seconds`, up to twice that for one that
    is used again, and one that waits for its next request longer than uvicorn's `timeout_keep_alive`.

    It looks now and then, as a timer for each request would cost as much as a cached reply: where neither a reply
    nor the wait for the next request is under way, a request has begun and is not whole.
    """

    header_seconds: ClassVar[float] = 30.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = GatheringTransport(transport, self.loop)  # type: ignore[assignment]
        self._idle_since: float | None = None
        self._looking = self.loop.call_later(self.header_seconds, self._look, self)

    def data_received(self, data: bytes) -> None:
        self._idle_since = None
        # Java's HTTP client asks in every first request for HTTP/2; the parser would take the body for that.
        if b"pgrade: h2c" in data and (self.cycle is None or not self.cycle.more_body):
            head, end, body = data.partition(b"\r\n\r\n")
            data = head.replace(b"pgrade: h2c", b"pgrade-not-taken: h2c") + end + body
        super().data_received(data)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.scope["extensions"] = _EXTENSIONS

    def on_response_complete(self) -> None:
        """As uvicorn's, without its timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle_since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._looking.cancel()
        super().connection_lost(exc)

    def _look(self, waited: object) -> None:
        seconds = self.header_seconds
        last = self.cycle
        waits = (last is None or last.response_complete) and self._idle_since is None
        overdue = waits and waited is (last or self)
        if self._idle_since is not None:
            rest = self._idle_since + self.timeout_keep_alive - self.loop.time()
            overdue, seconds = rest <= 0, min(rest, seconds)
        if overdue:
            self.transport.close()
            return
        self._looking = self.loop.call_later(seconds, self._look, (last or self) if waits else None)


def _write_reply(send: Any, status: int, headers: Sequence[Header], body: bytes) -> bool:
    """Write a whole reply, whose length is in its headers, in one step: a quarter of the time that uvicorn takes for
    its two, which look at each header with two patterns. `send`: the request's. Whether it could; else it does it."""
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle):
        return False  # a middleware looks at what is sent
    waits = cycle.flow.write_paused or cycle.disconnected or cycle.response_started
    if waits or not cycle.keep_alive or cycle.scope["method"] == "HEAD":
        return False
    lines = [STATUS_LINE[status]]
    for name, value in (*cycle.default_headers, *headers):
        lines += (name, b": ", value, b"\r\n")
    head = b"".join(lines)
    if head.count(b"\n") != len(cycle.default_headers) + len(headers) + 1:
        return False  # uvicorn refuses a header with a line break
    cycle.transport.write(b"%b\r\n%b" % (head, body))
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    return True


_EXTENSIONS: Final[Any] = {WHOLE_REPLY: _write_reply}


class _Server(uvicorn.Server):
    """One that was asked to end and did so has not failed; uvicorn's own raises the signal again at the end."""

    def __init__(self, config: uvicorn.Config, companion: Companion | None, seconds: float) -> None:
        super().__init__(config)
        self._companion = companion
        self._seconds = seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._companion is not None and self.started:
            self._companion.start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._companion is not None:
            self._companion.end()
        self.force_exit = self.should_exit
        if not self.should_exit:
            overdue = threading.Timer(self._seconds, _end_overdue)
            overdue.daemon = True
            overdue.start()
        self.should_exit = True


def _end_overdue() -> None:
    """A thread that hangs, such as one that reads a disk which is gone, would keep the process for ever."""
    _log_overdue()
    os._exit(1)


def _log_overdue() -> None:
    log.error("serve.end_overdue", fix="find what hung: see the last lines of this log")


class _Workers(Multiprocess):
    """The parent of several web processes; a second signal ends them at once, a third or the time kills them."""

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], companion: Companion | None, seconds: float
    ) -> None:
        super().__init__(config, sockets=sockets)
        self.forced = self.overdue = False
        self._seconds = seconds
        self._companion = companion

    def init_processes(self) -> None:
        super().init_processes()
        if self._companion is not None:
            self._companion.start()

    def keep_subprocess_alive(self) -> None:
        for worker in self.processes:
            # Its end of the pipe is open here too, so that the death of one that is asked would show at the time-out.
            worker.child_conn.close()
        super().keep_subprocess_alive()

    def terminate_all(self) -> None:
        if self._companion is not None:
            self._companion.end()
        super().terminate_all()

    def join_all(self) -> None:
        until = time.monotonic() + self._seconds
        while any(worker.process.is_alive() for worker in self.processes):
            again = not set(_ENDINGS).isdisjoint(self.signal_queue)
            late = time.monotonic() > until
            if late and not self.overdue:
                _log_overdue()
                self.overdue = True
            if late or (again and self.forced):
                for worker in self.processes:
                    worker.kill()
            elif again:
                self.forced, until = True, time.monotonic() + _FORCED_SECONDS
                for worker in self.processes:
                    worker.process.terminate()
            self.signal_queue.clear()
            for worker in self.processes:
                worker.process.join(0.1)
        super().join_all()

    @property
    def failed(self) -> bool:
        return self.overdue or any(worker.exitcode == STARTUP_FAILURE for worker in self.processes)


@contextlib.contextmanager
def _closing(companion: Companion | None, forced: Callable[[], bool]) -> Iterator[None]:
    """Close it at the end, at once when the server was ended at once."""
    try:
        yield
    finally:
        if companion is not None:
            try:
                companion.close(0.0 if forced() else _COMPANION_SECONDS)
            except KeyboardInterrupt:
                companion.close(0.0)


def run(
    app: Application | str,
    *,
    host: str,
    port: int,
    workers: int,
    table: ChatTable,
    companion: Companion | None = None,
    closing_seconds: float = _CLOSING_SECONDS,
) -> None:
    """Serve until a signal. `app` is an application, or for several web processes "module:factory".

    `closing_seconds`: the longest that parts may take to close when the last request has ended.

    Raises `SystemExit` with code 1 when it could not start, or had to be ended as something hung. Access lines are
    ours, so uvicorn's are off.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        lifespan="on",
        http=BoundedProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        proxy_headers=False,  # nothing here asks where a client is
        timeout_keep_alive=75,
        timeout_worker_healthcheck=30,  # after uvicorn's own 5 s one that starts slowly would be killed
        timeout_graceful_shutdown=max(1, round(table.shutdown_seconds)),
        workers=workers,
        factory=isinstance(app, str),
    )
    seconds = table.drain_seconds + table.shutdown_seconds + closing_seconds
    if isinstance(app, str):
        parent = _Workers(config, [config.bind_socket()], companion, seconds)
        with _closing(companion, lambda: parent.forced):
            parent.run()
        failed = parent.failed
    else:
        server = _Server(config, companion, seconds)
        with _closing(companion, lambda: server.force_exit):
            server.run()
        failed = not server.started
    if failed:
        sys.exit(1)
