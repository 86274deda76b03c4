"""The seven simulated models: what each does wrong, which instructions mend it, and that the seed decides."""

from __future__ import annotations

import pytest

from tests.providers.test_demo_model import EDWINA
from tilores_core.chat.prompts import BUILTIN_TEMPLATE
from tilores_core.chat.records import render
from tilores_plugins.providers.demo.reading import read_prompt
from tilores_plugins.providers.demo.weaknesses import HELPED, MENDED, RATE, WEAKNESSES
from tilores_plugins.providers.demo.wording import answer

RECORDS = render(EDWINA)
BASE = "Answer only from the records. Give exact values. Use short sentences. When records disagree, say so."
MENDS = {
    "simulated-rounding": ("Copy every digit.", "Never round a figure.", "Give amounts to the cent."),
    "simulated-outdated": ("Compare the dates of the values.", "Never give a former value as the present one."),
    "simulated-guessing": ("If there is no such field, say so.", "Never answer from a similar field."),
    "simulated-partial": ("Answer every part of the question.", "List all items.", "Leave nothing out."),
    "simulated-unasked": ("Give only what was asked for.", "Add no further fields."),
    "simulated-units": ("Give each figure with its unit.", "Do not convert any figures."),
    "simulated-verbose": ("Use at most two sentences.", "Write no introduction."),
}
# A question for each model, the right answer to it, and what is wrong where the weakness shows.
ASKED = {
    "simulated-rounding": ("What is the credit score?", "742", "about 740"),
    "simulated-outdated": ("In which city does she live?", "is Leeds", "is York"),
    "simulated-guessing": ("What is the pension account?", "do not hold", "31926819"),
    "simulated-partial": ("Who are the top merchants?", "Bookbarn", "Greenway Foods and Northern Rail."),
    "simulated-unasked": ("What is the monthly spending?", "1875", "15980"),
    "simulated-units": ("What is the debt to income ratio?", "0.31", "0.0031 percent"),
    "simulated-verbose": ("What is the monthly spending?", "1875", "## Answer"),
}


def said(model: str, instructions: str, seed: int = 0) -> str:
    prompt = read_prompt(f"{instructions}\n\n{RECORDS}")
    return answer(ASKED[model][0], prompt, model=model, seed=seed)


def share(model: str, instructions: str, seeds: int = 200) -> float:
    """In which share of the seeds the weakness shows."""
    wrong = ASKED[model][2]
    return sum(wrong in said(model, instructions, seed) for seed in range(seeds)) / seeds


def test_each_weakness_has_instructions_that_mend_it() -> None:
    assert set(WEAKNESSES) == set(MENDS) == set(ASKED)
    assert len(WEAKNESSES) == 7


@pytest.mark.parametrize("model", WEAKNESSES)
def test_a_weakness_shows_at_its_rate_and_is_mended_by_instructions(model: str) -> None:
    assert share(model, "You help.") == pytest.approx(RATE, abs=0.08)
    for instruction in MENDS[model]:
        assert share(model, f"You help. {instruction}") == pytest.approx(MENDED, abs=0.04), instruction
    for other in set(MENDS) - {model}:
        assert share(model, f"You help. {MENDS[other][0]}", 60) > HELPED - 0.15, other


@pytest.mark.parametrize("model", [f"simulated-{fault}" for fault in ("rounding", "guessing", "verbose", "outdated")])
def test_the_builtin_prompt_helps_and_leaves_something_to_improve(model: str) -> None:
    assert share(model, BUILTIN_TEMPLATE) == pytest.approx(HELPED, abs=0.1)


@pytest.mark.parametrize("model", WEAKNESSES)
def test_the_answer_is_right_where_the_weakness_does_not_show(model: str) -> None:
    _, right, wrong = ASKED[model]
    texts = {said(model, f"{BASE} {MENDS[model][0]}", seed) for seed in range(20)}
    good = [text for text in texts if wrong not in text]
    assert good
    assert all(right in text for text in good)


def test_negated_instructions_mend_nothing() -> None:
    assert share("simulated-units", "Do not give each figure with its unit.") > HELPED - 0.1
    assert share("simulated-partial", "Do not list all items.") == pytest.approx(RATE, abs=0.08)


def test_the_same_seed_gives_the_same_answers_and_a_better_prompt_adds_no_fault() -> None:
    for model in WEAKNESSES:
        wrong = ASKED[model][2]
        for seed in range(60):
            plain = said(model, "You help.", seed)
            assert plain == said(model, "You help.", seed)
            mended = said(model, f"You help. {MENDS[model][0]}", seed)
            assert wrong in plain or wrong not in mended  # paired: the same draws for every prompt


def test_a_simulated_model_says_which_it_is() -> None:
    text = answer("Hello", read_prompt("You help."), model="simulated-units")
    assert text.startswith("I am simulated-units, the simulated demo model, not a real language model.")
