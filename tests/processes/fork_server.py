"""The program that starts the commands of tests: it has imported what they need, and forks for each.

Importing takes most of a command's time and is the same each time. What is forked is a process of its own all the
same: it ends, is killed and is written to like any other. It has in common with its brothers what is made at random
when Python starts or when a module is imported.

It serves all processes of a run of tests, on the Unix socket that is file descriptor 0 (its path is the first
argument), and ends with the last of them. An order is one message: JSON with `words` (a script, `-m module` or
`-c code`, and its arguments), `cwd`, `env`, `python` (what `sys.executable` is to say), `tied` (killed when the
connection is closed) and `descriptors`; and as many file descriptors as those, behind one that receives how the
process ended. The answer is its process id.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import io
import json
import multiprocessing.spawn
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

_PRELOADED = (
    "langchain_core.language_models.chat_models",
    "phonenumbers",
    "sqlalchemy.ext.asyncio",
    "tilores_core.app",
    "tilores_core.worker.jobs",
    "tilores_core.worker.process",
    "tilores_core.cli.batch",
    "tilores_core.cli.doctor",
    "tilores_core.cli.command",
    "tilores_core.cli.serve",
    "tilores_core.store.store",
    "tilores_plugins.cache.memory",
    "tilores_plugins.cache.redis.tier",
    "tilores_plugins.providers.demo.model",
    "tilores_plugins.sources.demo.source",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.supervisors",
    "uvloop",
)
_LONGEST_ORDER = 1 << 20
_MOST_DESCRIPTORS = 64
_HIGH, _HIGHEST = 600, 4096
"""A forked process keeps its descriptors from the first number on until all others are closed."""

Order = dict[str, Any]


class Server:
    def __init__(self, listener: socket.socket, path: str) -> None:
        self._listener = listener
        self._path = path
        self._ready = selectors.DefaultSelector()
        self._ready.register(listener, selectors.EVENT_READ)
        self._tied: dict[socket.socket, list[int]] = {}

    def serve(self) -> Order | None:
        """Take orders; in a forked process return the one that is its own, and None at the end."""
        while True:
            for key, _ in self._ready.select():
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, int):
                    self._report_end(key.fileobj, *key.data)
                elif isinstance(key.fileobj, socket.socket):
                    order = self._take(key.fileobj)
                    if order is not None:
                        return order
            if not self._tied and not self._is_wanted():
                return None

    def _accept(self) -> None:
        asked, _ = self._listener.accept()
        self._tied[asked] = []
        self._ready.register(asked, selectors.EVENT_READ)

    def _is_wanted(self) -> bool:
        """By one that has just connected. From now on others start a server of their own."""
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        self._listener.setblocking(False)
        try:
            self._accept()
        except BlockingIOError:
            return False
        return True

    def _take(self, asked: socket.socket) -> Order | None:
        try:
            data, files, _, _ = socket.recv_fds(asked, _LONGEST_ORDER, _MOST_DESCRIPTORS)
        except OSError:
            data, files = b"", []
        if not data:
            self._ready.unregister(asked)
            asked.close()
            for pid in self._tied.pop(asked):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return None
        order: Order = json.loads(data)
        pid = os.fork()
        if pid == 0:
            self._leave()
            _place(dict(zip(order["descriptors"], files[1:], strict=True)))
            return order
        for file in files[1:]:
            os.close(file)
        self._ready.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, files[0], asked))
        if order["tied"]:
            self._tied[asked].append(pid)
        with suppress(OSError):  # it has gone, which is noticed in the next round
            asked.send(str(pid).encode())
        return None

    def _report_end(self, file: int, pid: int, told: int, asked: socket.socket) -> None:
        self._ready.unregister(file)
        os.close(file)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        tied = self._tied.get(asked, [])
        if pid in tied:
            tied.remove(pid)
        with suppress(BrokenPipeError):  # its reader has gone
            os.write(told, str(code).encode())
        os.close(told)

    def _leave(self) -> None:
        """In a forked process: let no object close a descriptor that has another meaning by then."""
        for asked in (self._listener, *self._tied):
            asked.detach()
        self._ready.close()


def _place(files: dict[int, int]) -> None:
    """Make them the process's only descriptors, under the numbers that the order names."""
    high = {number: fcntl.fcntl(file, fcntl.F_DUPFD, _HIGH) for number, file in files.items()}
    os.closerange(0, _HIGH)
    for number, file in high.items():
        os.dup2(file, number)
    os.closerange(_HIGH, _HIGHEST)


def become(order: Order) -> None:
    """What a fresh process would be at its start, and run it."""
    words: list[str] = order["words"]
    os.chdir(order["cwd"])
    before, wanted = (env.get("PYTHONPATH", "").split(os.pathsep) for env in (os.environ, order["env"]))
    sys.path[1:] = [*filter(None, wanted), *(path for path in sys.path[1:] if path not in before)]
    importlib.invalidate_caches()
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    reader = io.BufferedReader(io.FileIO(0, "rb", False))
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(reader, sys.stdin.encoding, sys.stdin.errors, newline="\n")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _writer(1, sys.stdout.errors)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _writer(2, errors="backslashreplace", line_buffering=True)  # type: ignore[misc]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.executable = order["python"]
    multiprocessing.spawn.set_executable(sys.executable)
    if words[0] == "-m":
        sys.path[0], sys.argv = os.getcwd(), ["-m", *words[2:]]
        sys.modules.pop(words[1], None)  # a fresh process has not imported it
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.path[0], sys.argv = "", ["-c", *words[2:]]
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
    else:
        sys.path[0], sys.argv = os.path.dirname(words[0]), words
        runpy.run_path(words[0], run_name="__main__")


def _writer(fd: int, errors: str | None, line_buffering: bool = False) -> io.TextIOWrapper:
    binary = io.BufferedWriter(io.FileIO(fd, "wb", False))
    return io.TextIOWrapper(binary, encoding="utf-8", errors=errors, line_buffering=line_buffering)


def be_patient() -> None:
    """A machine that stands still for some seconds is neither a database nor a server that does not answer.

    Limits that a test sets itself stay as they are.
    """
    from tilores_core.llm import transport as llm_transport
    from tilores_core.llm.http_address import HttpAddress
    from tilores_core.store import database
    from tilores_plugins.sources.tilores import transport

    setattr(database, "Limits", partial(database.Limits, connect=60.0, lock=60.0, call=120.0))  # noqa: B010
    setattr(transport, "_CONNECT_SECONDS", 60.0)  # noqa: B010
    setattr(llm_transport, "_CLOSE_SECONDS", 60.0)  # noqa: B010
    for made in (HttpAddress, llm_transport.HttpClients):
        setattr(made, "__init__", _connect_for_longer(made.__init__))  # noqa: B010


def _connect_for_longer(init: Any) -> Any:
    def connect(self: Any, *given: Any, connect_seconds: float, **named: Any) -> None:
        init(self, *given, connect_seconds=60.0 if connect_seconds == 5.0 else connect_seconds, **named)

    return connect


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the tests is not for it
    # As no descriptor of its own is 0 to 2, a forked process can replace those.
    server = Server(socket.socket(fileno=os.dup(0)), sys.argv[1])
    for name in _PRELOADED:
        importlib.import_module(name)
    be_patient()
    if threading.active_count() > 1:
        raise SystemExit(f"a thread was started by importing: {threading.enumerate()}")
    gc.collect()
    gc.freeze()
    order = server.serve()
    if order is not None:
        become(order)


if __name__ == "__main__":
    main()
