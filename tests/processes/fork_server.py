"""The program that starts the commands of tests: it has imported what they need, and forks for each.

Importing takes most of a command's time and is the same each time. What is forked is a process of its own all the
same: it ends, is killed and is written to like any other. It has in common with its brothers what is made at random
when Python starts or when a module is imported.

An order is one message on the socket of file descriptor 0: JSON with `script`, `words`, `cwd` and `env`, and four
file descriptors beside it, the three standard ones and one that is told how the process ended. The answer is its
process id. This program ends when the other end of the socket is closed.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any

_PRELOADED = (
    "langchain_core.language_models.chat_models",
    "phonenumbers",
    "sqlalchemy.ext.asyncio",
    "tilores_core.app",
    "tilores_core.worker.jobs",
    "tilores_core.cli.batch",
    "tilores_core.cli.doctor",
    "tilores_core.cli.command",
    "tilores_core.cli.serve",
    "tilores_core.store.store",
    "tilores_core.store.upgrade",  # almost every command has a data folder of its own
    "tilores_plugins.cache.memory",
    "tilores_plugins.cache.redis.tier",
    "tilores_plugins.providers.demo.model",
    "tilores_plugins.sources.demo.source",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)
_LONGEST_ORDER = 1 << 20


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Take orders; in a forked process return the one that is its own, and None at the end."""
    ready = selectors.DefaultSelector()
    ready.register(control, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.fileobj is not control:
                ready.unregister(key.fd)
                os.close(key.fd)
                _report_end(*key.data)
                continue
            data, fds, _, _ = socket.recv_fds(control, _LONGEST_ORDER, 4)
            if not data:
                return None
            pid = os.fork()
            if pid == 0:
                ready.close()
                for place, fd in enumerate(fds[:3]):
                    os.dup2(fd, place)
                return dict(json.loads(data))
            for fd in fds[:3]:
                os.close(fd)
            ready.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, fds[3]))
            control.send(str(pid).encode())


def _report_end(pid: int, told: int) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(told, str(code).encode())
    os.close(told)


def become(order: dict[str, Any]) -> None:
    """What a fresh process would be at the start of `script`."""
    os.closerange(3, 4096)  # of others
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    sys.path[0] = os.path.dirname(order["script"])
    reader = io.BufferedReader(io.FileIO(0, "rb", False))
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(reader, sys.stdin.encoding, sys.stdin.errors, newline="\n")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _writer(1, sys.stdout.errors)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _writer(2, errors="backslashreplace", line_buffering=True)  # type: ignore[misc]
    sys.argv = [order["script"], *order["words"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _writer(fd: int, errors: str | None, line_buffering: bool = False) -> io.TextIOWrapper:
    binary = io.BufferedWriter(io.FileIO(fd, "wb", False))
    return io.TextIOWrapper(binary, encoding="utf-8", errors=errors, line_buffering=line_buffering)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the tests is not for it
    # As its own descriptor is not 0 to 2, a forked process can replace those.
    control = socket.socket(fileno=os.dup(0))
    for name in _PRELOADED:
        importlib.import_module(name)
    if threading.active_count() > 1:
        raise SystemExit(f"a thread was started by importing: {threading.enumerate()}")
    gc.collect()
    gc.freeze()
    order = serve(control)
    control.close()
    if order is not None:
        become(order)
        runpy.run_path(order["script"], run_name="__main__")


if __name__ == "__main__":
    main()
