"""Deployments that are killed, and a database that goes away and comes back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.release.conftest import ReplicaStart
from tests.store.postgres_server import PostgresServer
from tilores_core.chat.prompts import BUILTIN_PARTS
from tilores_core.errors import StoreUnavailableError
from tilores_core.store.address import store_address
from tilores_core.testing import eventually

CHILD = Path(__file__).with_name("prompt_child.py")


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.mark.parametrize("what", [(), ("rollout",)], ids=["deployment", "guarded roll-out"])
def test_kill_at_any_step_leaves_the_old_or_the_new_state(tmp_path: Path, what: tuple[str, ...]) -> None:
    command = [sys.executable, str(CHILD), str(tmp_path), *what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 10, done.stdout


async def test_last_known_version_serves_while_the_database_is_away(
    replica: ReplicaStart, postgres: PostgresServer, tmp_path: Path
) -> None:
    address = store_address(postgres.new_database(), tmp_path)
    one, two = await replica("one", address=address), await replica("two", address=address)
    parts = {**BUILTIN_PARTS, "role": "You help a colleague."}
    number, _ = await one.manager.versions.new(parts, author="jo", reason="ours")
    await one.manager.deploy(number, actor="jo", reason="better", skip_evaluation=True)
    await eventually(lambda: two.number == number)
    postgres.stop()
    await eventually(lambda: two.manager.stale is not None)
    assert two.number == number
    with pytest.raises(StoreUnavailableError):
        await one.manager.roll_back(actor="jo", reason="worse")
    assert one.number == number
    postgres.start()
    await one.manager.roll_back(actor="jo", reason="worse")
    await eventually(lambda: (two.number, two.manager.stale) == (1, None))
