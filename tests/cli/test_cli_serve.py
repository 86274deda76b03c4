"""Starting the server: what is wrong is said at once, in one line and with its mend."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.cli.command import Command
from tests.e2e.running_server import TILORES, RunningServer, clean_environment

MEMORY = '[use]\ncache = ["memory"]\n'


def test_a_port_in_use(tilores: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = tilores.fails("serve", variables={"PORT": str(port)})
    assert said == (
        f"error: PORT: port {port} of 127.0.0.1 is in use\n  fix:  end that program, or: tilores serve --port N\n"
    )


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("words", "toml", "said"),
    [
        (["--host", "0.0.0.0"], "", "TILORES_API_KEYS=name:secret"),
        (["--host", "localhost.invalid"], "", "without any API key"),
        ([], '[use]\nsource = "dmo"\n', "did you mean 'demo'?"),
        ([], "[chat]\nmax_mesages = 1\n", "did you mean 'max_messages'?"),
    ],
)
def test_settings_that_stop_it(tilores: Command, words: list[str], toml: str, said: str, workers: str) -> None:
    tilores.config(toml)
    text = tilores.fails("serve", "--port", "0", "--workers", workers, *words)
    assert said in text
    assert text.count("error:") == 1


def test_addresses_of_other_machines(tilores: Command) -> None:
    tilores.variables["TILORES_API_KEYS"] = "desk:s3cret"
    assert "there is no address" in tilores.fails("serve", "--host", "nowhere.invalid", "--port", "0")
    assert "cannot be bound" in tilores.fails("serve", "--host", "192.0.2.1", "--port", "0")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_source_that_cannot_be_opened_is_exit_code_1(tilores: Command, workers: str) -> None:
    tilores.config(MEMORY + 'source = "file"\n[plugins.file]\npath = "missing.csv"\n')
    done = tilores.run("serve", "--port", "0", "--workers", workers)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "there is no file 'missing.csv'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("library", ["pydantic_core", "uvloop", None], ids=["importing", "starting", "serving"])
def test_ctrl_c_ends_it_quietly_at_any_time(tilores: Command, library: str | None) -> None:
    tilores.config(MEMORY)
    process = tilores.start("serve", "--port", "0")
    if library:
        tilores.wait_for_library(process, library)  # before the first of them Python itself is starting
    else:
        assert process.stderr is not None
        while "running on" not in (line := process.stderr.readline()):
            assert line, "the server ended at once"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130), err
    assert "Traceback" not in err
    assert out == ""


class _WithGlobalOptions(RunningServer):
    def launch(self) -> RunningServer:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(TILORES), *self._arguments],
                cwd=self.folder,
                env=clean_environment(**self._variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_the_command_line_says_reaches_the_workers(tmp_path: Path, workers: str) -> None:
    toml = MEMORY + "[plugins.memory]\nmax_entries = 7\n"
    words = ["--disable-plugin", "file", "--disable-plugin", "redis", "serve", "--port", "0", "--workers", workers]
    with _WithGlobalOptions(tmp_path, *words, toml=toml) as server:
        rows = httpx.get(f"{server.url}/admin/plugins", headers=server.admin, timeout=30).json()
    assert {row["id"] for row in rows if row["state"] == "disabled"} == {"file", "redis"}
