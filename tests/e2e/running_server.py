"""The real server, as a process of its own: `tilores serve` on a free port, in a temporary folder.

Its log is JSON; when it has ended, the log is searched for tracebacks, errors and what it must never hold.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from tests.processes.forked import Process, start
from tilores_core.testing.waiting import wait_until

PATIENCE = 90.0
TILORES = Path(sysconfig.get_path("scripts")) / "tilores"
# What the machine's own environment must not decide.
_FOREIGN = ("TILORES_", "LANGSMITH_", "LANGCHAIN_", "OPENAI_", "ANTHROPIC_", "OTEL_")
_FOREIGN_NAMES = ("PORT", "REDIS_URL", "DATABASE_URL")
# Edwina Hawthorne, and what is asked about her.
SECRET = re.compile(
    r"hawthorne|edwina|hawthrone|555.?0142|(?<![\w.])742(?!\w|\.\d)|credit (score|limit)", re.IGNORECASE
)
# Numbers and ids that may hold any digits.
_UNTOLD = ("timestamp", "ms", "request_id", "process_id", "pid", "age_s")
_NUMBERED = re.compile(r"(?<=process )\[\d+\]|(?<=/pytest-)\d+")


def clean_environment(**added: str) -> dict[str, str]:
    """The process's environment without what would configure a server."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and name not in _FOREIGN_NAMES
    }
    return {**kept, **added}


class RunningServer:
    """`toml`: the text of plugins.toml, or none for the packaged default. `variables`: environment.

    `expects`: levels and words that its log may hold, as a regular expression over a line; without it a line of
    level error fails the test. `worker`: with a worker process beside it.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        toml: str | None = None,
        variables: Mapping[str, str] | None = None,
        expects: str = "(?!)",
        worker: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log = folder / "log.jsonl"
        self.expects = re.compile(expects)
        self._arguments = arguments if worker else (*arguments, "--no-worker")
        self._variables = {
            "TILORES_DATA_DIR": str(folder / "data"),
            "TILORES_LOG_FORMAT": "json",
            **(variables or {}),
        }
        if toml is not None:
            if worker and "[worker]" not in toml:
                toml += "\n[worker]\nnice = 0  # other tests run beside it\n"
            (folder / "plugins.toml").write_text(toml)
        self.port = 0
        self.process: Process | None = None

    # --- beginning and end -------------------------------------------------------------------------------

    def launch(self) -> RunningServer:
        """Start the process; not yet ready."""
        with self.log.open("wb") as log:
            self.process = self._start(log.fileno())
        return self

    def _start(self, log: int) -> Process:
        with open(os.devnull, "rb") as nothing:
            return start(
                [str(TILORES), "serve", "--port", "0", *self._arguments],
                cwd=self.folder,
                env=clean_environment(**self._variables),
                stdin=nothing.fileno(),
                stdout=log,
                stderr=log,
            )

    def start(self) -> RunningServer:
        """Start it and wait until it is ready."""
        self.launch()
        wait_until(self._find_port, f"no port in the log\n{self.log_text}")
        wait_until(self._is_ready, "not ready")
        return self

    def _find_port(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended at once\n{self.log_text}"
        found = re.search(r"running on http://[^ ]*?:(\d+) ", self.log_text)
        self.port = int(found[1]) if found else 0
        return bool(found)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended at once\n{self.log_text}"
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=30).status_code == 200
        except httpx.TransportError:
            return False

    def signal(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code."""
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process is not None and self.process.poll() is None:
            self.signal()
        return self.wait()

    def kill(self) -> None:
        """Whatever happened, leave nothing behind."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> RunningServer:
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            code = self.stop()
            assert code == 0, f"exit code {code}\n{self.log_text[-4000:]}"
            self.check_log()
        finally:
            self.kill()

    # --- addresses ---------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin(self) -> dict[str, str]:
        """Headers with the admin key that the server generated into its data folder."""
        key = (Path(self._variables["TILORES_DATA_DIR"]) / "admin.key").read_text().strip()
        return {"Authorization": f"Bearer {key}"}

    @property
    def chat(self) -> str:
        return f"{self.url}/chat"

    @property
    def v1(self) -> str:
        return f"{self.url}/v1"

    # --- the log -----------------------------------------------------------------------------------------

    @property
    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def lines(self, **fields: Any) -> list[dict[str, Any]]:
        """The log's lines that have these fields."""
        text = self.log_text
        whole = text[: text.rfind("\n") + 1].splitlines()  # the last may be half written
        found = [json.loads(line) for line in whole if line.startswith("{")]
        return [line for line in found if all(line.get(name) == value for name, value in fields.items())]

    def wait_for_line(self, **fields: Any) -> dict[str, Any]:
        line: dict[str, Any] = wait_until(
            lambda: self.lines(**fields), f"no log line {fields}\n{self.log_text[-4000:]}"
        )[0]
        return line

    def check_log(self) -> None:
        """No traceback, no error that was not expected, nothing of a customer, and JSON throughout."""
        for text in self.log_text.splitlines():
            assert text.startswith("{"), f"a line that is not ours: {text}"
            line = json.loads(text)
            told = {name: value for name, value in line.items() if name not in _UNTOLD}
            found = SECRET.search(_NUMBERED.sub("", json.dumps(told, ensure_ascii=False)))
            assert found is None, f"the log holds {found and found[0]!r}: {text}"
            faulty = line["level"] in ("error", "critical") or "Traceback" in text
            assert not faulty or self.expects.search(text), text


StartServer = Callable[..., RunningServer]
StartGated = Callable[..., tuple[RunningServer, Any]]
