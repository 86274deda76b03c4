"""Commands started by a fork server (see there), with the part of `subprocess.Popen` that tests use."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile

Done = subprocess.CompletedProcess[str]

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
            if not told:  # then nobody else ends it
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
) -> Process:
    """`words[0]`: a Python script. The last three are file descriptors.

    Not by a fork server where the process starts itself anew, or where Python itself would start otherwise. What is
    made at random when Python starts (the seed of `hash`) or when a module is imported is the same in all that one
    fork server starts; so there are two, which take turns, and two processes in a row never have it in common.
    """
    anew = any(word.startswith("--workers") for word in words) or "TILORES_WORKERS" in env
    otherwise = _of_python(env) != _of_python(os.environ)
    if anew or otherwise or not hasattr(os, "pidfd_open"):
        line = [sys.executable, *words]  # a script of a test is not executable
        return subprocess.Popen(line, cwd=cwd, env=dict(env), stdin=stdin, stdout=stdout, stderr=stderr)
    return _fork_server(next(_turns) % 2).start(words, cwd, env, (stdin, stdout, stderr))


def run(
    words: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], stdin: str = "", timeout: float = 90.0
) -> Done:
    """As `subprocess.run` with both outputs captured as text, without `check`. Raises `subprocess.TimeoutExpired`."""
    line = [str(word) for word in words]
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        files = {"stdin": given.fileno(), "stdout": out.fileno(), "stderr": err.fileno()}
        process = start(line, cwd=cwd, env=env, **files)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        out.seek(0)
        err.seek(0)
        return Done(line, code, out.read().decode(), err.read().decode())


def _of_python(env: Mapping[str, str]) -> dict[str, str]:
    """What decides how Python starts. Not LANGSMITH_… and the like, which settings of this process may have set."""
    return {name: value for name, value in env.items() if name.startswith(("PYTHON", "LC_")) or name in _LANGUAGE}


@cache
def _fork_server(_: int) -> _ForkServer:
    return _ForkServer()


_turns = count()


class _ForkServer:
    """It ends with this process, as the socket is closed then."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen([sys.executable, str(_SERVER)], stdin=theirs.fileno())
        self._lock = threading.Lock()

    def start(
        self, words: Sequence[str], cwd: Path, env: Mapping[str, str], standard: tuple[int, int, int]
    ) -> Forked:
        order = {"script": words[0], "words": list(words[1:]), "cwd": str(cwd), "env": dict(env)}
        ended, told = os.pipe()
        with self._lock:
            socket.send_fds(self._control, [json.dumps(order).encode()], [*standard, told])
            os.close(told)
            answer = self._control.recv(16)
        if not answer:
            raise RuntimeError("the fork server has gone")
        return Forked(words, int(answer), ended)
