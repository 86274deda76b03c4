"""A real PostgreSQL for tests, from the binaries that pgserver installs: on a free port, in a temporary folder,
stopped, started again and frozen at will.

    with PostgresServer() as server:
        url = server.new_database()

PostgreSQL refuses to run as root; there it runs as `nobody`. (pgserver itself would add a user to the machine.)
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import pytest

from tests.redis_server import free_port
from tilores_core.store.address import Address
from tilores_core.testing.waiting import wait_until

NewAddress = Callable[[str], Address]

PASSWORD = "hunter2-never-shown"
START_SECONDS = 30.0
_FAST = ("fsync=off", "full_page_writes=off", "max_connections=60", "shared_buffers=16MB", "autovacuum=off")


def postgres_binaries() -> Path | None:
    spec = importlib.util.find_spec("pgserver")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        found = Path(folder) / "pginstall" / "bin"
        if os.access(found / "postgres", os.X_OK):
            return found
    return None


class PostgresServer:
    def __init__(self) -> None:
        binaries = postgres_binaries()
        if binaries is None:
            pytest.skip("no PostgreSQL: pgserver is not installed")
        self.binaries = binaries
        # Not below pytest's folder, which only its owner may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="tilores-pg-"))
        self._data = self._folder / "data"
        self._options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "cwd": "/"}
        if os.geteuid() == 0:
            shutil.chown(self._folder, "nobody")
            self._options |= {"user": "nobody", "extra_groups": []}
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, name: str, password: str = PASSWORD) -> str:
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/{name}"

    def new_database(self) -> str:
        """The URL of an empty one."""
        name = f"t{secrets.token_hex(6)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def sql(self, text: str, url: str | None = None) -> str:
        """Run statements with psql; what they print, unaligned."""
        command = [str(self.binaries / "psql"), url or self.url("postgres"), "-qAtX", "-v", "ON_ERROR_STOP=1"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        settings = [word for setting in _FAST for word in ("-c", setting)]
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self._data, *where, *settings],
                stdout=log,
                stderr=log,
                **self._options,
            )
        process = self._process
        wait_until(lambda: self._answers() or process.poll() is not None, "PostgreSQL", START_SECONDS)
        if process.poll() is not None:
            raise RuntimeError((self._folder / "log").read_text()[-2000:])

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: connections are broken off, and it ends."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Connections stay, and nothing answers."""
        assert self._process is not None
        whole = [psutil.Process(self._process.pid), *psutil.Process(self._process.pid).children(recursive=True)]
        for process in whole:
            process.suspend()
        try:
            yield
        finally:
            for process in whole:
                with suppress(psutil.NoSuchProcess):  # a connection's own process, ended meanwhile
                    process.resume()

    def __enter__(self) -> PostgresServer:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        words: list[str] = [
            "-A",
            "scram-sha-256",
            "-U",
            "postgres",
            "--pwfile",
            str(password),
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        try:
            made = subprocess.run(
                [str(self.binaries / "initdb"), "-D", str(self._data), *words],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                **self._options,
            )
            if made.returncode:
                raise RuntimeError(made.stderr.strip()[-500:])
            self.start()
        except (OSError, RuntimeError) as error:
            self.__exit__(None, None, None)
            pytest.skip(f"PostgreSQL cannot run here: {error}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGQUIT)  # at once: nobody will need what it has
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        ready = [str(self.binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "10"]
        return subprocess.run(ready, check=False, timeout=60).returncode == 0
