"""The built-in strategies in the conformance suite, and what is particular to each."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tilores_core import Change, Lesson, OptimizerStrategy
from tilores_core.testing.optimizers import FakeTask, OptimizerStrategySuite
from tilores_plugins.optimizers.critique import CritiqueOptimizer, CritiqueSettings
from tilores_plugins.optimizers.mock import MockAIPromptOptimizer
from tilores_plugins.optimizers.opro import OproOptimizer, OproSettings

WORTH = {
    "inexact": "Copy every figure digit for digit.",
    "incomplete": "Answer every part.",
    "unsupported": "Answer only from the records.",
    "format": "Answer in at most two sentences.",
}


def criticise(prompt: str) -> str:
    """As a model would: one instruction that helps, one that does not, among other text."""
    fault = next((name for name in WORTH if f"in one way: {name}" in prompt), "format")
    rows = [
        {"part": "answer_style", "instruction": "Be friendly."},
        {"part": "answer_style", "instruction": WORTH[fault]},
    ]
    return f"Here you are: {json.dumps(rows)}"


class TestMock(OptimizerStrategySuite):
    @pytest.fixture
    def strategy(self) -> OptimizerStrategy:
        return MockAIPromptOptimizer()

    async def test_sure_lessons_save_calls(self) -> None:
        first = FakeTask()
        (found,) = await MockAIPromptOptimizer().improve(first)
        lessons = [Lesson(change=change, gain=0.1, confidence=0.9, observations=8) for change in found.changes]
        unsure = Lesson(change=Change(part="role", instruction="Sing."), gain=0.1, confidence=0.6, observations=1)
        second = FakeTask(lessons=[*lessons, unsure])
        (again,) = await MockAIPromptOptimizer().improve(second)
        assert second.score_of(again) >= first.score_of(found)
        assert second.asked <= 0.5 * first.asked
        assert "Sing." not in again.parts["role"]


class TestCritique(OptimizerStrategySuite):
    @pytest.fixture
    def strategy(self) -> OptimizerStrategy:
        return CritiqueOptimizer(CritiqueSettings())

    @pytest.fixture
    def reply(self) -> Callable[[str], str]:
        return criticise

    async def test_fewer_rounds_and_a_narrower_beam_ask_less(self) -> None:
        asked = []
        for settings in (CritiqueSettings(rounds=1, beam=1), CritiqueSettings(), CritiqueSettings(rounds=1, beam=4)):
            task = FakeTask(reply=criticise)
            found = await CritiqueOptimizer(settings).improve(task)
            assert len(found) <= settings.beam
            asked.append(task.asked)
        assert asked[0] < asked[1]


class TestOpro(OptimizerStrategySuite):
    @pytest.fixture
    def strategy(self) -> OptimizerStrategy:
        return OproOptimizer(OproSettings())

    @pytest.fixture
    def reply(self) -> Callable[[str], str]:
        return lambda prompt: "".join(f"<instructions>{text}</instructions>" for text in WORTH.values())

    async def test_steps_and_proposals_bound_what_is_asked(self, reply: Callable[[str], str]) -> None:
        one = FakeTask(reply=reply)
        await OproOptimizer(OproSettings(steps=1, proposals=1)).improve(one)
        assert (len(one.prompts), one.asked) == (1, 25)
        more = FakeTask(reply=reply)
        await OproOptimizer(OproSettings(steps=2, proposals=4)).improve(more)
        assert len(more.prompts) == 2
