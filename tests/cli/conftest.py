from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.command import Command, Terminal


@pytest.fixture
def tilores(tmp_path: Path) -> Command:
    """The command in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    return Command(folder)


@pytest.fixture
def terminal(tilores: Command) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*words: str) -> Terminal:
        opened.append(Terminal(tilores, *words))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
