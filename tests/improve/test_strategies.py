"""The built-in strategies in the conformance suite, and what is particular to each."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tilores_core import Change, Lesson, OptimizerStrategy
from tilores_core.errors import BudgetSpentError
from tilores_core.testing.optimizers import FakeTask, OptimizerStrategySuite
from tilores_plugins.optimizers.bandit import BanditOptimizer, BanditSettings
from tilores_plugins.optimizers.critique import CritiqueOptimizer, CritiqueSettings
from tilores_plugins.optimizers.gepa import GepaOptimizer, GepaSettings
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


class TestBandit(OptimizerStrategySuite):
    @pytest.fixture
    def strategy(self) -> OptimizerStrategy:
        return BanditOptimizer(BanditSettings())

    @pytest.fixture
    def reply(self) -> Callable[[str], str]:
        texts = ["Be friendly.", *WORTH.values(), "Sing."]
        return lambda prompt: json.dumps([{"part": "answer_style", "instruction": text} for text in texts])

    async def test_the_reflection_model_is_asked_once_and_what_helps_is_put_together(
        self, reply: Callable[[str], str]
    ) -> None:
        task = FakeTask(reply=reply)
        (found,) = await BanditOptimizer(BanditSettings()).improve(task)
        assert len(task.prompts) == 1
        assert {change.instruction for change in found.changes} == set(WORTH.values())

    async def test_own_instructions_and_lessons_need_no_model(self) -> None:
        own = {"answer_style": [WORTH["format"]], "no_such_part": ["Sing."]}
        lesson = Lesson(
            change=Change(part="refusal", instruction=WORTH["unsupported"]), gain=0.1, confidence=0.6, observations=1
        )
        task = FakeTask(lessons=[lesson])
        settings = BanditSettings(instructions=own, proposals=0, rounds=1)
        (found,) = await BanditOptimizer(settings).improve(task)
        assert not task.prompts
        assert {change.instruction for change in found.changes} == {WORTH["format"], WORTH["unsupported"]}

    async def test_rounds_bound_what_is_tried(self) -> None:
        own = {"answer_style": [f"{text} Sing." for text in WORTH.values()]}
        asked = []
        for rounds in (1, 3):
            task = FakeTask()
            settings = BanditSettings(instructions=own, proposals=0, rounds=rounds)
            await BanditOptimizer(settings).improve(task)
            asked.append(task.asked)
        assert asked[0] < asked[1]


def rewrite(prompt: str) -> str:
    """As a model would: the part as it was, with a sentence for the first fault that is shown."""
    part = prompt.split("```")[1].strip()
    sentences = [text for fault, text in WORTH.items() if f"## {fault}:" in prompt and text not in part]
    return f"Here you are: ```\n{part}\n{sentences[0] if sentences else 'Be friendly.'}\n```"


class TestGepa(OptimizerStrategySuite):
    @pytest.fixture
    def strategy(self) -> OptimizerStrategy:
        return GepaOptimizer(GepaSettings())

    @pytest.fixture
    def reply(self) -> Callable[[str], str]:
        return rewrite

    async def test_rounds_minibatch_and_parts_bound_what_is_asked(self) -> None:
        task = FakeTask(reply=rewrite)
        (found, *_) = await GepaOptimizer(GepaSettings(rounds=4, minibatch=3, parts=["hedging"])).improve(task)
        assert len(task.prompts) <= 4
        assert {change.part for change in found.changes} == {"hedging"}
        assert [part for part in task.parts if found.parts[part] != task.parts[part]] == ["hedging"]
        assert all(prompt.count("- What is the") <= 10 * 6 for prompt in task.prompts)

    async def test_a_spent_budget_is_said_though_gepa_goes_on_after_errors(self) -> None:
        for calls in range(24, 60, 5):
            with pytest.raises(BudgetSpentError):
                await GepaOptimizer(GepaSettings()).improve(FakeTask(reply=rewrite, calls=calls))
