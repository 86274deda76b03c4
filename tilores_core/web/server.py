"""Serving with uvicorn: one process or several, and an end that load balancers notice first."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn

from tilores_core.settings import ChatTable
from tilores_core.web.application import Application


@contextlib.contextmanager
def drain_on_signal(application: Application, seconds: float) -> Iterator[None]:
    """On the first SIGTERM or SIGINT the application says that it is not ready; `seconds` later the server hears of
    the signal, closes its socket and lets running requests finish. A second signal reaches it at once.

    Entered while the server runs, so that it wraps the server's own handlers, in whichever process that is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # a server in a thread gets no signals
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def pass_on(number: int, frame: FrameType | None) -> None:
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    def drain(number: int, frame: FrameType | None) -> None:
        if application.draining or seconds == 0:
            application.draining = True
            pass_on(number, frame)
            return
        application.draining = True
        loop.call_soon_threadsafe(loop.call_later, seconds, pass_on, number, None)

    for number in before:
        signal.signal(number, drain)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(app: Application | str, *, host: str, port: int, workers: int, table: ChatTable) -> None:
    """Serve until a signal. `app` is an application, or for several workers "module:factory".

    Access lines are ours, so uvicorn's are off.
    """
    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "ws": "none",
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": max(1, round(table.shutdown_seconds)),
    }
    if isinstance(app, str):
        options.update(workers=workers, factory=True)
    uvicorn.run(app, **options)
