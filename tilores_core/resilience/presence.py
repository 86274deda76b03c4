"""Which processes live: of this machine by their ids, and worker processes by a small file in the data folder.

A worker can only run jobs whose files it shares, so the data folder is where web processes look for one.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tilores_core.errors import ConfigError
from tilores_core.files import open_private

SECONDS: Final = 1.0
FRESH_SECONDS: Final = 10.0
_START_SECONDS: Final = 60.0
"""A worker that has not begun by then has not started, whatever its supervisor said."""
_FORGOTTEN_SECONDS: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class WorkersSeen:
    """The worker processes that have reported to the store.

    `last_seen`: seconds since the epoch, None when no worker was seen and none should be there; `restarts`: of the
    one seen last; `starting`: none runs yet, and a server has begun to start one.
    """

    running: int = 0
    last_seen: float | None = None
    restarts: int = 0
    starting: bool = False

    @property
    def missing(self) -> bool:
        return not (self.running or self.starting)


def announce_start(data_dir: Path, *, failed: bool = False) -> Path | None:
    """Say that this process begins to start a worker, or that it has died; the file that says so, None where none can
    be written."""
    path = data_dir / "workers" / f"{os.getpid()}-starts.json"
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(path, "w", opener=open_private) as file:
            json.dump({"pid": os.getpid(), "host": machine(), "starts": not failed}, file)
        return path
    return None


@contextmanager
def present(data_dir: Path, *, restarts: int) -> Iterator[None]:
    """Say that a worker runs, while the block runs. `restarts`: how often its supervisor has restarted it.

    Raises `ConfigError` when the data folder cannot be written.
    """
    folder = data_dir / "workers"
    for path in folder.glob("*.json"):  # of workers that were killed
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _FORGOTTEN_SECONDS:
                path.unlink()
    mine = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
    record = {"pid": os.getpid(), "host": machine(), "started": time.time(), "restarts": restarts}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine.write_text(json.dumps(record))
    except OSError as error:
        fix = "make room, or let this user write there"
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(folder), fix=fix) from error
    over = threading.Event()

    def touch() -> None:
        while not over.wait(SECONDS):
            with suppress(OSError):
                os.utime(mine)

    # A thread: a busy event loop is not an absent worker.
    thread = threading.Thread(target=touch, name="presence", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        mine.unlink(missing_ok=True)


def workers(data_dir: Path) -> WorkersSeen:
    """What is known of the worker processes that use this data folder."""
    now, running, last_seen, restarts, starting = time.time(), 0, None, 0, False
    for path in (data_dir / "workers").glob("*.json"):
        with suppress(OSError, ValueError):
            seen = path.stat().st_mtime
            record = json.loads(path.read_text())
            if "starts" in record:
                if not _is_dead(record):
                    begins = record["starts"] and now - seen < _START_SECONDS
                    starting |= begins
                    last_seen = last_seen if begins else max(seen, last_seen or 0.0)  # it should be there
                continue
            if last_seen is None or seen >= last_seen:
                last_seen, restarts = seen, int(record["restarts"])
            running += abs(now - seen) < FRESH_SECONDS and not _is_dead(record)  # a clock may have been put back
    return WorkersSeen(running, last_seen, restarts, starting and not running)


def _is_dead(record: dict[str, Any]) -> bool:
    """Whether it was killed: known at once of a process of this machine."""
    return record["host"] == machine() and not process_exists(record["pid"])


def process_exists(pid: int) -> bool:
    """Whether a process of this machine has the id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    return True


def machine() -> str:
    """The host and, on Linux, the namespace that process ids are of: containers may share a host's name."""
    try:
        space = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        space = "-"
    return f"{socket.gethostname()[:60]}/{space}"
