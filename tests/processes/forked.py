"""Commands started by a fork server (see there), with the part of `subprocess.Popen` that tests use."""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile

Done = subprocess.CompletedProcess[str]

SOCKETS = "TESTS_FORK_SERVERS"
"""The variable that names the folder of their sockets, which all processes of one run of tests share."""
TRUSTED_BEFORE = "TESTS_SSL_CERT_FILE"
"""The variable with SSL_CERT_FILE as it was before the tests, for what asks the internet."""
SERVERS = 2

_SERVER = Path(__file__).with_name("fork_server.py")
_LANGUAGE = ("LANG", "LANGUAGE")


class Forked:
    """A process that is no child of this one. `returncode` as `Popen` has it."""

    def __init__(self, words: Sequence[str], pid: int, ended: int) -> None:
        self.args = list(words)
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            ready, _, _ = select.select([self._ended], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            told = os.read(self._ended, 16)
            os.close(self._ended)
            if not told:  # then nothing else ends it
                self.returncode = -signal.SIGKILL
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
                raise RuntimeError("the fork server has gone")
            self.returncode = int(told)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = subprocess.Popen[bytes] | Forked


def start(
    words: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: int,
    stdout: int,
    stderr: int,
    fresh: bool = False,
) -> Process:
    """`words[0]`: a Python script. The last three numbers are file descriptors.

    Not by a fork server when `fresh`, or where Python itself would start otherwise. What is made at random when
    Python starts (the seed of `hash`) or when a module is imported is the same in all that one fork server starts; so
    there are two, which take turns, and two processes in a row never have it in common.
    """
    otherwise = select_of_python(env) != select_of_python(os.environ) or _hides_modules(env.get("PYTHONPATH", ""))
    if fresh or otherwise or not hasattr(os, "pidfd_open"):
        line = [sys.executable, *words]  # a script of a test is not executable
        return subprocess.Popen(line, cwd=cwd, env=dict(env), stdin=stdin, stdout=stdout, stderr=stderr)
    return _fork_server(next(_turns) % SERVERS).start(words, cwd, env, (stdin, stdout, stderr))


def run(
    words: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: str = "",
    timeout: float = 90.0,
    fresh: bool = False,
) -> Done:
    """As `subprocess.run` with both outputs captured as text, without `check`. Raises `subprocess.TimeoutExpired`."""
    line = [str(word) for word in words]
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        files = {"stdin": given.fileno(), "stdout": out.fileno(), "stderr": err.fileno()}
        process = start(line, cwd=cwd, env=env, fresh=fresh, **files)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        out.seek(0)
        err.seek(0)
        return Done(line, code, out.read().decode(), err.read().decode())


def select_of_python(env: Mapping[str, str]) -> dict[str, str]:
    """What decides how Python starts. Not LANGSMITH_… and the like, which settings of this process may have set, and
    not PYTHONPATH, which a fork server obeys."""
    chosen = {name: value for name, value in env.items() if name.startswith(("PYTHON", "LC_")) or name in _LANGUAGE}
    chosen.pop("PYTHONPATH", None)
    return chosen


def _hides_modules(paths: str) -> bool:
    """Whether these folders hold modules of names that a fork server may have imported from elsewhere."""
    if paths == os.environ.get("PYTHONPATH", ""):
        return False
    folders = [Path(path) for path in paths.split(os.pathsep) if path]
    names = {entry.name.partition(".")[0] for folder in folders for entry in folder.glob("*")}
    return any(
        name in ("sitecustomize", "usercustomize") or (name.isidentifier() and find_spec(name) is not None)
        for name in names - {"__pycache__"}
    )


@cache
def connection(number: int) -> socket.socket:
    """To a fork server, which is started where none is running."""
    folder = Path(os.environ.get(SOCKETS) or os.environ.setdefault(SOCKETS, tempfile.mkdtemp(prefix="tl-")))
    path = folder / f"{number}.socket"
    asked = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            asked.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            path.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                listener.bind(str(path))
                listener.listen(64)
                # It outlives this process where another uses it, so nothing here waits for it.
                os.posix_spawn(
                    sys.executable,
                    [sys.executable, str(_SERVER), str(path)],
                    os.environ,
                    file_actions=[
                        (os.POSIX_SPAWN_DUP2, listener.fileno(), 0),
                        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    ],
                )
            asked.connect(str(path))
    atexit.register(asked.close)
    return asked


@cache
def _fork_server(number: int) -> _ForkServer:
    from tests.processes.on_path import python

    return _ForkServer(connection(number), str(python()))


_turns = count()


class _ForkServer:
    """The connection to it, as long as this process lives."""

    def __init__(self, control: socket.socket, python: str) -> None:
        self._control = control
        self._python = python
        self._lock = threading.Lock()

    def start(
        self, words: Sequence[str], cwd: Path, env: Mapping[str, str], standard: tuple[int, int, int]
    ) -> Forked:
        order = {
            "words": list(words),
            "cwd": str(cwd),
            "env": dict(env),
            "python": self._python,
            "tied": False,
            "descriptors": [0, 1, 2],
        }
        ended, told = os.pipe()
        with self._lock:
            socket.send_fds(self._control, [json.dumps(order).encode()], [told, *standard])
            os.close(told)
            answer = self._control.recv(16)
        if not answer:
            raise RuntimeError("the fork server has gone")
        return Forked(words, int(answer), ended)
