"""Every command and program in the README and the docs is run as it stands."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.markdown_blocks import Block, all_blocks
from tests.e2e.running_server import TILORES, RunningServer, clean_environment
from tests.processes.forked import Done, run
from tests.processes.on_path import commands_folder

SHELL = ("sh", "bash", "shell")
# What is shown and not run, by the beginning of its title, with the reason.
NOT_RUN = {
    "docs/alerts.md: tilores alerts test": "it sends to channels; tests/alerts has servers that take it",
    "docs/tilores.md: tilores doctor": "it needs an instance; tests/sources/test_tilores_page.py has one",
    "README.md: make serve EXTRAS": "it installs what only a real model needs",
    "README.md: make serve ": "it installs, and serves until it is ended; .ci/run does it on a clean checkout",
    "docs/operations.md: tilores forget": "it needs a server with that customer; tests/web has one",
    "docs/operations.md: tilores worker": "it works until it is ended; tests/worker has one alone",
    "docs/operations.md: TILORES_API_KEYS=": "it serves until it is ended; tests/e2e has servers with keys",
}
BLOCKS = all_blocks()


def _is_served(block: Block) -> bool:
    """Needs a server: marked so, or a program of the README."""
    return block.run == "served" or (block.language == "python" and block.page == "README.md")


def _pages(wanted: Callable[[Block], bool]) -> list[str]:
    return sorted({block.page for block in BLOCKS if wanted(block)})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("served"), worker=True) as server:
        yield server


def _run(command: list[str], block: Block, folder: Path, data: Path | None = None) -> None:
    """`data`: the data folder, by default one of its own."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=clean_environment(
            PATH=os.pathsep.join((str(commands_folder(TILORES)), str(TILORES.parent), os.environ["PATH"])),
            TILORES_DATA_DIR=str(data or folder / "data"),
        ),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    _check(done, block)


def _run_program(text: str, block: Block, folder: Path) -> None:
    (folder / "program.py").write_text(text)
    _check(run([folder / "program.py"], cwd=folder, env=clean_environment()), block)


def _check(done: Done, block: Block) -> None:
    assert done.returncode == 0, f"{block.title}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    if block.shows:
        assert block.shows in done.stdout, f"{block.title} shows no {block.shows!r}\n{done.stdout}\n{done.stderr}"


def _bash(text: str) -> list[str]:
    return ["bash", "-euo", "pipefail", "-c", text]


@pytest.mark.parametrize("page", _pages(lambda block: block.run == "shell"))
def test_shell_blocks(page: str, tmp_path: Path) -> None:
    for block in BLOCKS:
        if (block.page, block.run) == (page, "shell"):
            _run(_bash(block.text), block, tmp_path)


@pytest.mark.parametrize("page", _pages(_is_served))
def test_blocks_that_need_a_server(page: str, tmp_path: Path, served: RunningServer) -> None:
    for block in BLOCKS:
        if block.page == page and _is_served(block):
            text = block.text.replace(":8000", f":{served.port}")
            if block.language == "python":
                _run_program(text, block, tmp_path)
            else:
                _run(_bash(text), block, tmp_path, served.folder / "data")


def test_a_block_is_run_or_an_exception_with_a_reason() -> None:
    left = [block.title for block in BLOCKS if block.language in SHELL and block.run is None]
    assert [title for title in left if not title.startswith(tuple(NOT_RUN))] == []
    assert [begin for begin in NOT_RUN if not any(title.startswith(begin) for title in left)] == []
    assert {block.run for block in BLOCKS} <= {None, "shell", "served"}
    assert not [block.title for block in BLOCKS if block.run and block.language not in (*SHELL, "python")]
