"""Deployments, and the worker's looks at a guarded roll-out, that are killed at each of their steps in turn: before
every SQL statement, before and after every commit, before the copy in the data folder is opened and before it is
renamed.

    python prompt_child.py FOLDER [rollout]    prints the number of steps; fails when a state is neither the old nor
                                               the new

This process imports everything once and forks for each deployment.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401 - once, for all that are forked
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tilores_core.chat.prompts import BUILTIN_PARTS
from tilores_core.contracts import Prompt
from tilores_core.release.experiments.assignment import Assignment
from tilores_core.release.experiments.plan import ExperimentPlan
from tilores_core.release.experiments.tester import ProductionABTester
from tilores_core.release.prompt_checks import PromptCase, PromptEvaluation
from tilores_core.release.prompt_state import StateFile
from tilores_core.release.prompts import ProductionPromptManager
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore

FEWEST_STEPS = 10


class Questions:
    """Golden questions that every prompt answers."""

    async def cases(self) -> Sequence[PromptCase]:
        return (PromptCase(question="What is the latest credit score of the customer?"),)

    async def evaluate_prompt(self, prompt: Prompt, model: str | None = None) -> PromptEvaluation:
        return PromptEvaluation(score=0.95, questions=40)


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


# --- a guarded roll-out ----------------------------------------------------------------------------------

PLAN = ExperimentPlan(name="guarded", candidate=2, weights=(0.5, 1.0), min_per_arm=20, min_hours=0, step_hours=0)


def tester_of(folder: Path) -> tuple[ProductionABTester, ProductionPromptManager, LazyStore]:
    manager, store = opened(folder)
    manager.checks.evaluator = Questions()
    return ProductionABTester(store, manager, Assignment()), manager, store


async def begin_rollout(folder: Path) -> str:
    tester, _, store = tester_of(folder)
    made = await tester.start(PLAN, actor="jo", reason="try it")
    good = {"units": 2000, "turns": 2000, "scored": 2000, "score": 1860, "score_squares": 1740}
    sums = {(made.id, step, arm): good for step in (0, 1) for arm in ("control", "candidate")}
    await (await store.get()).experiments.add(sums)
    await store.aclose()
    return made.id


async def look_once(folder: Path, last_step: int) -> None:
    tester, manager, store = tester_of(folder)
    await manager.refresh()
    kill_at(last_step)
    await tester.look()
    await store.aclose()


async def check_rollout(folder: Path) -> tuple[int, str]:
    """The step and the state, when all that is kept agrees on them."""
    _, store = opened(folder)
    opened_store = await store.get()
    (found,) = await opened_store.experiments.list()
    labels = (await opened_store.prompts.get_labelled()).labels
    actions = [entry.action for entry in await opened_store.audit.recent()]
    await store.aclose()
    production = labels["production"].number
    assert actions.count("experiments.advance") == len(found.weights) - 1, actions
    if found.state == "running":
        assert "experiment.guarded" in labels, labels
        assert production == 1 or found.weights == PLAN.weights, "in production before its last step"
    else:
        assert (found.outcome, production) == ("deployed", 2)
    return len(found.weights), f"{found.state} {production}"


def rollout(folder: Path) -> None:
    asyncio.run(begin_rollout(folder))
    seen = {(1, "running 1")}
    for last_step in range(1, 200):
        ended = in_child(look_once(folder, last_step))
        seen.add(asyncio.run(check_rollout(folder)))
        if ended == 0 and (2, "ended 2") in seen:
            assert seen >= {(1, "running 1"), (2, "running 1"), (2, "running 2"), (2, "ended 2")}, seen
            print(last_step - 1)
            return
        assert ended in (0, -signal.SIGKILL), ended
    raise AssertionError("a roll-out has no end")


def in_child(work: Coroutine[Any, Any, None]) -> int:
    """The exit code of a process that does this."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            asyncio.run(work)
            code = 0
        finally:
            os._exit(code)
    work.close()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    folder = Path(sys.argv[1])
    asyncio.run(prepare(folder))
    if sys.argv[2:] == ["rollout"]:
        rollout(folder)
        return
    number = 1
    outcomes: set[str] = set()
    for last_step in range(1, 200):
        wanted = 3 - number
        ended = in_child(deploy(folder, wanted, last_step))
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
