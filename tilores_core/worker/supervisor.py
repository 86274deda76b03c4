"""Keeps one worker process beside a server: started by `exec`, restarted when it dies, ended with the server."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from tilores_core.resilience.presence import announce_start
from tilores_core.worker.process import RESTARTS, SUPERVISED

log = structlog.get_logger(part="worker")

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_HEALTHY_SECONDS: Final = 60.0
"""After a life of so many seconds the next pause is the first again."""


class WorkerSupervisor:
    """Starts the worker process, and restarts it with back-off.

    `start` once the server is ready; `end` when it begins to end; `close` when it has ended. `variables`: the
    environment of the worker; `delay`: seconds to wait before its first start.

    The worker watches a pipe that only this process holds, so it ends also when this process is killed.
    """

    def __init__(self, variables: Mapping[str, str], data_dir: Path, *, delay: float = 0.0) -> None:
        self._variables = {**variables, SUPERVISED: "1"}
        self._data_dir = data_dir
        self._announced: Path | None = None
        self._delay = delay
        self._ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="worker supervisor", daemon=True)

    def start(self) -> None:
        self._announced = announce_start(self._data_dir)
        self._thread.start()

    def end(self) -> None:
        """Tell the worker to end; returns at once and may be called from a signal handler."""
        self._ending.set()
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError, ValueError):
                process.stdin.close()

    def close(self, seconds: float) -> None:
        """End the worker, and kill it when it has not ended after so many seconds."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(seconds)
        with self._lock:
            process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        if self._announced is not None:
            with suppress(OSError):
                self._announced.unlink()

    def _run(self) -> None:
        pause, restarts = _FIRST_PAUSE, 0
        self._ending.wait(self._delay)
        while not self._ending.is_set():
            begun = time.monotonic()
            process = self._launch(restarts)
            if process is None:
                return
            code = process.wait()
            if self._ending.is_set():
                return
            if time.monotonic() - begun > _HEALTHY_SECONDS:
                pause = _FIRST_PAUSE
            log.warning("worker.died", code=code, restart_in_s=pause)
            announce_start(self._data_dir, failed=True)
            self._ending.wait(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
            restarts += 1

    def _launch(self, restarts: int) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._ending.is_set():
                return None
            self._process = subprocess.Popen(  # our own interpreter and module
                [sys.executable, "-m", "tilores_core.worker.process"],
                stdin=subprocess.PIPE,
                env={**self._variables, RESTARTS: str(restarts)},
            )
        if self._ending.is_set():  # `end` may have come before the process was there
            self.end()
        return self._process
