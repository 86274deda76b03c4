"""Deployments that are killed at each of their steps in turn: before every SQL statement, before and after every
commit, before the copy in the data folder is opened and before it is renamed.

    python prompt_child.py FOLDER      prints the number of steps; fails when a state is neither the old nor the new

This process imports everything once and forks for each deployment.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

import tilores_core.store.upgrade  # noqa: F401 - once, for all that are forked
from tilores_core.chat.prompts import BUILTIN_PARTS
from tilores_core.release import ProductionPromptManager
from tilores_core.release.prompt_state import StateFile
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore

FEWEST_STEPS = 10


def opened(folder: Path) -> tuple[ProductionPromptManager, LazyStore]:
    store = LazyStore(store_address(None, folder))
    return ProductionPromptManager(store, folder), store


async def prepare(folder: Path) -> None:
    manager, store = opened(folder)
    await manager.versions.new({**BUILTIN_PARTS, "role": "You help a colleague."}, author="jo", reason="ours")
    await store.aclose()


async def deploy(folder: Path, number: int, last_step: int) -> None:
    manager, store = opened(folder)
    await manager.refresh()
    kill_at(last_step)
    await manager.deploy(number, actor="jo", reason=f"step {last_step}", skip_evaluation=True)
    await store.aclose()


def kill_at(last_step: int) -> None:
    steps = 0

    def step(*_: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "os.rename" or (name == "open" and "prompts.json" in str(arguments[0])):
            step()

    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(Engine, name, step)
    sys.addaudithook(audit)


async def look(folder: Path, before: int, wanted: int, last_step: int) -> int:
    """The version in production, when all that is kept agrees on it."""
    _, store = opened(folder)
    kept = StateFile(folder).read()
    prompts = (await store.get()).prompts
    label = (await prompts.get_labelled()).labels["production"]
    moves = [entry for entry in await (await store.get()).audit.recent() if entry.action == "prompts.deploy"]
    await store.aclose()
    where = f"step {last_step}: {before} -> {wanted}"
    assert label.number in (before, wanted), where
    assert moves[0].detail["to"] == label.number, f"{where}: the audit log disagrees"
    assert (moves[0].reason == f"step {last_step}") == (label.number == wanted), f"{where}: half a deployment"
    assert kept is None or kept.number in (before, wanted), f"{where}: the copy has {kept.number}"
    if kept is not None and label.number == before:
        assert kept.number == before, f"{where}: the copy has what was not committed"
    return label.number


def main() -> None:
    folder = Path(sys.argv[1])
    asyncio.run(prepare(folder))
    number = 1
    outcomes: set[str] = set()
    for last_step in range(1, 200):
        wanted = 3 - number
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                asyncio.run(deploy(folder, wanted, last_step))
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        ended = os.waitstatus_to_exitcode(status)
        found = asyncio.run(look(folder, number, wanted, last_step))
        if ended == 0:
            assert found == wanted
            assert outcomes == {"old", "new"}, outcomes
            assert last_step > FEWEST_STEPS
            print(last_step - 1)
            return
        assert ended == -signal.SIGKILL, ended
        outcomes.add("new" if found == wanted else "old")
        number = found
    raise AssertionError("a deployment has no end")


if __name__ == "__main__":
    main()
