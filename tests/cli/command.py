"""The real `tilores`, run as a user runs it: a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running_server import PATIENCE, TILORES, clean_environment
from tests.processes.forked import Done, run
from tests.processes.on_path import commands_folder
from tilores_core.testing.waiting import wait_until


@dataclass
class Command:
    """`run("ask", "…")`. `variables`: on top of an environment that configures nothing."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self, **added: str) -> dict[str, str]:
        own = {"TILORES_DATA_DIR": str(self.folder / "data"), "COLUMNS": "100"}
        return clean_environment(**{**own, **self.variables, **added})

    def run(self, *words: str, stdin: str = "", variables: Mapping[str, str] | None = None) -> Done:
        env = self.environment(**(variables or {}))
        return run([TILORES, *words], cwd=self.folder, env=env, stdin=stdin, timeout=PATIENCE)

    def json(self, *words: str, code: int = 0) -> Any:
        """What it printed, which must be JSON and nothing else."""
        done = self.run(*words, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def fails(self, *words: str, code: int = 1, variables: Mapping[str, str] | None = None) -> str:
        """What it says on standard error; nothing on standard output, and no traceback."""
        done = self.run(*words, variables=variables)
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        return done.stderr

    def shell(self, script: str) -> Done:
        """A line of bash with `tilores` on PATH."""
        path = os.pathsep.join((str(commands_folder(TILORES)), str(TILORES.parent), os.environ["PATH"]))
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment(PATH=path),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, *words: str, imported: bool = False, **options: Any) -> subprocess.Popen[str]:
        """`imported`: what it imports is imported already; what is started here then only stands for the command."""
        folder = commands_folder(TILORES) if imported else TILORES.parent
        return subprocess.Popen(
            [str(folder / TILORES.name), *words],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def wait_for_library(self, process: subprocess.Popen[str], name: str) -> None:
        """Until a process has loaded a compiled library: how far it has come with importing."""
        maps = Path(f"/proc/{process.pid}/maps")
        if not maps.parent.exists():
            pytest.skip("this system has no /proc")
        wait_until(lambda: name in maps.read_text(), f"{name} is loaded")

    def config(self, text: str) -> None:
        (self.folder / "plugins.toml").write_text(text)


class Terminal:
    """The command on a terminal: what is typed, and what is seen."""

    def __init__(self, command: Command, *words: str) -> None:
        self.seen = ""
        commanded = commands_folder(TILORES) / TILORES.name
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(command.folder)
            os.execve(commanded, [str(commanded), *words], command.environment(TERM="dumb"))

    def wait_for(self, text: str) -> str:
        """Read until `text` was seen, and forget up to there."""
        give_up = time.monotonic() + PATIENCE
        while text not in self.seen:
            ready, _, _ = select.select([self._fd], [], [], max(0.0, give_up - time.monotonic()))
            assert ready, f"never saw {text!r}, only {self.seen!r}"
            try:
                piece = os.read(self._fd, 4096)
            except OSError:  # the other end is closed
                piece = b""
            assert piece, f"ended without {text!r}: {self.seen!r}"
            self.seen += piece.decode().replace("\r\n", "\n")
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def exit_code(self, again: str = "") -> int:
        """When it has ended; fails when it does not. `again`: is typed when it has not after some seconds."""
        missed = time.monotonic() + 5.0

        def ended() -> tuple[int] | None:
            nonlocal missed
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if not pid and again and time.monotonic() > missed:
                missed = time.monotonic() + 5.0
                self.type(again)
            return (status,) if pid else None

        (status,) = wait_until(ended, lambda: f"the end, after {self.seen!r}", PATIENCE)
        self._pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._fd)
