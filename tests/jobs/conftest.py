from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command

TOML = """
schema = 1
[use]
cache = ["memory"]
executor = "threads"
[plugins.demo-model]
latency_ms = {latency}
failure_rate = {failures}
[plugins.dask]
workers = 2
"""


@pytest.fixture
def tilores(tmp_path: Path) -> Command:
    """The command in a folder of its own, without Redis."""
    command = Command(tmp_path)
    command.config(TOML.format(latency=0, failures=0))
    return command
