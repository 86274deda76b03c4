"""The rules for every strategy, with strategies that break them, in whole cycles."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.improve.test_cycle import CONFIG, plugin
from tests.quality.evaluated import opened
from tilores_core import Candidate, Change, OptimizerTask
from tilores_core.errors import BudgetSpentError, InvalidRequestError
from tilores_core.host.plugin import scan
from tilores_core.improve import engine, strategy_run
from tilores_core.improve.journal import CycleJournal
from tilores_core.improve.report import as_markdown, cycle_row
from tilores_core.services import Services
from tilores_core.store.improvement import StoredCycle
from tilores_core.testing.optimizers import PARTS
from tilores_core.worker.improving import build_cycles, build_request

Improve = Callable[[OptimizerTask], Awaitable[Sequence[Candidate]]]
GOOD = "Copy every figure digit for digit and never round it."
SECRET = "Edwina Hawthorne, born on 1962-04-17"


class Changing:
    """A strategy that does what the test says."""

    def __init__(self) -> None:
        self.behaviour: Improve

    async def improve(self, task: OptimizerTask) -> Sequence[Candidate]:
        return await self.behaviour(task)


@pytest.fixture(scope="module")
def strategy() -> Changing:
    return Changing()


@pytest.fixture
async def services(tmp_path: Path, strategy: Changing) -> AsyncIterator[Services]:
    config = {**CONFIG, "use": {"optimizer": "own"}}
    async with opened(tmp_path, config, discovered=[*scan(), plugin(strategy)]) as services:
        yield services


async def run(services: Services, strategy: Changing, behaviour: Improve, **budget: Any) -> StoredCycle:
    strategy.behaviour = behaviour
    number, _ = await services.prompts.versions.new(PARTS, author="test", reason="a poor prompt")
    request = await build_request(services, version=str(number))
    request = replace(request, budget=replace(request.budget, **budget))
    done = await build_cycles(services).run(request)
    assert done is not None
    assert done.state == "done"
    return done


def ended(cycle: StoredCycle) -> str:
    return str(cycle.phases["generation"]["ended"])


def with_text(task: OptimizerTask, text: str, part: str = "answer_style") -> Candidate:
    return task.baseline.candidate.with_change(Change(part=part, instruction=text))


async def test_errors_of_a_strategy_and_its_silence_about_errors_end_the_cycle_cleanly(
    services: Services, strategy: Changing, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, interrupted, blocked = Event(), Event(), list[Any]()

    async def crash(task: OptimizerTask) -> Sequence[Candidate]:
        await task.score([with_text(task, GOOD)])
        raise RuntimeError(SECRET)

    async def hang(task: OptimizerTask) -> Sequence[Candidate]:
        await asyncio.Event().wait()
        return []

    async def hang_though_cancelled(task: OptimizerTask) -> Sequence[Candidate]:
        for _ in range(2):  # the second time when the test ends
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return []

    async def block(task: OptimizerTask) -> Sequence[Candidate]:
        release.wait()
        blocked.append(await task.score([task.baseline.candidate]))
        return []

    async def compute_for_ever(task: OptimizerTask) -> Sequence[Candidate]:
        try:
            while True:
                pass
        finally:
            interrupted.set()

    async def call_for_ever(task: OptimizerTask) -> Sequence[Candidate]:
        while True:
            await task.score([task.baseline.candidate])

    async def ignore_the_budget(task: OptimizerTask) -> Sequence[Candidate]:
        number = 0
        while True:
            number += 1
            try:
                await task.score([with_text(task, f"Sing song {number} aloud.")])
            except BudgetSpentError:
                continue

    with monkeypatch.context() as clock:
        clock.setattr(CycleJournal, "seconds_left", 60.0)
        clock.setattr(strategy_run, "SECONDS_TO_END", 0.05)
        clock.setattr(engine, "_SHARE_OF_TIME", 0.0005)
        for endless in (hang, hang_though_cancelled, block, compute_for_ever, call_for_ever):
            assert ended(await run(services, strategy, endless)) == "the time is over"
    release.set()
    await asyncio.to_thread(interrupted.wait, 30)
    assert interrupted.is_set(), "a strategy that was left behind goes on to use the processor"
    spent = await run(services, strategy, ignore_the_budget, calls=200)
    assert "of the budget" in ended(spent)
    assert cycle_row(spent)["calls"] <= 200
    crashed = await run(services, strategy, crash)
    assert ended(crashed) == "the strategy failed: RuntimeError"
    assert crashed.phases["generation"]["winner"] is not None  # what it had scored before counts
    assert not blocked, "a strategy that was ended can still ask"
    assert SECRET not in json.dumps(crashed.phases) + as_markdown(crashed) + caplog.text


async def test_nothing_but_a_better_prompt_wins(services: Services, strategy: Changing) -> None:
    async def same(task: OptimizerTask) -> Sequence[Candidate]:
        claimed = Candidate(parts=task.parts, changes=(Change(part="role", instruction=task.parts["role"]),))
        await task.score([claimed])
        return [claimed]

    async def unscored(task: OptimizerTask) -> Sequence[Candidate]:
        return [with_text(task, GOOD)]

    async def useless(task: OptimizerTask) -> Sequence[Candidate]:
        candidates = [with_text(task, text) for text in ("Be friendly.", "Think twice.", "Sing.")]
        return [one.candidate for one in await task.score(candidates, keep=3)]

    async def good(task: OptimizerTask) -> Sequence[Candidate]:
        return [one.candidate for one in await task.score([with_text(task, GOOD)])]

    for behaviour in (same, unscored, useless):
        done = await run(services, strategy, behaviour)
        assert done.phases["generation"]["winner"] is None, behaviour
        assert cycle_row(done)["outcome"] == "optimize more"
        assert "No candidate is better" in as_markdown(done)
    done = await run(services, strategy, good)
    assert done.phases["generation"]["winner"]["changes"][0]["instruction"] == GOOD
    validation = done.phases["validation"]
    assert validation["winner"]["overall"] > validation["present"]["overall"]


async def test_the_shorter_of_equal_prompts_wins(services: Services, strategy: Changing) -> None:
    async def improve(task: OptimizerTask) -> Sequence[Candidate]:
        texts = (f"{GOOD} Be friendly and kind and good to everyone who calls.", GOOD)
        scored = await task.score([with_text(task, text) for text in texts], keep=2)
        assert scored[0].score == scored[1].score
        assert scored[0].tokens < scored[1].tokens
        return [one.candidate for one in reversed(scored)]

    done = await run(services, strategy, improve)
    assert done.phases["generation"]["winner"]["changes"][0]["instruction"] == GOOD


async def test_held_out_questions_are_out_of_reach(services: Services, strategy: Changing) -> None:
    seen: set[str] = set()

    async def improve(task: OptimizerTask) -> Sequence[Candidate]:
        seen.update(case.id for case in task.baseline.cases)
        assert not [name for name in dir(task) if "held" in name or "golden" in name or "questions" in name]
        with pytest.raises(InvalidRequestError, match="only training questions"):
            await task.evaluate(task.baseline.candidate, ["customer_profile.0123456789"])
        assert await task.evaluate(task.baseline.candidate, [task.baseline.cases[0].id])
        return []

    await run(services, strategy, improve)
    request = await build_request(services)
    parts = build_cycles(services)._parts
    held_out = {question.id for question in (await parts.ground(request)).held_out(1)}
    assert held_out
    assert not held_out & seen


async def test_what_is_not_as_it_says_or_holds_values_is_rejected(services: Services, strategy: Changing) -> None:
    async def improve(task: OptimizerTask) -> Sequence[Candidate]:
        parts = dict(task.parts)
        told = Change(part="answer_style", instruction=SECRET)
        good = {**parts, "answer_style": GOOD}
        candidates = [
            Candidate(parts={**good, f"guidance.{SECRET}": "Sing."}, changes=(told,)),
            Candidate(parts={**parts, "answer_style": f"{GOOD} Sing."}, changes=(told,)),
            Candidate(parts={**parts, "answer_style": "x" * 30_000}, changes=()),
            Candidate(parts={**parts, "answer_style": f"{GOOD} As for {SECRET}."}, changes=()),
            Candidate(parts={**parts, "answer_style": f"{GOOD} Use {{records}}."}, changes=()),
        ]
        assert not await task.score(candidates, keep=5)
        assert not await task.evaluate(candidates[0], [task.baseline.cases[0].id])
        return candidates

    done = await run(services, strategy, improve)
    found = sorted(one.partition(":")[0] for one in done.phases["generation"]["rejected"])
    assert found == ["changes", "parts", "parts", "personal", "variables"]
    assert "Hawthorne" not in json.dumps(done.phases) + as_markdown(done)
    assert done.phases["generation"]["winner"] is None
