"""The guard over the demo customers: no answer of the demo model is suspected, another customer's values are caught.

All 520 customers and all questions take half a minute; here every customer is asked a few of them.
"""

from __future__ import annotations

import asyncio
import random
import re
import tomllib
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tilores_core.chat.grounding.figures import SMALL
from tilores_core.chat.grounding.guard import Guard, Watch
from tilores_core.chat.grounding.literal import stands_literally
from tilores_core.chat.prompts import BUILTIN_TEMPLATE, system_message
from tilores_core.chat.records import render
from tilores_core.contracts import Customer, Prompt
from tilores_plugins.providers.demo.reading import read_prompt
from tilores_plugins.providers.demo.wording import answer
from tilores_plugins.sources.demo.source import DemoSource

GOLDEN = Path(__file__).parents[2] / "benchmarks" / "context" / "golden.toml"
QUESTIONS = [question["ask"] for question in tomllib.loads(GOLDEN.read_text())["question"]] + [
    "Tell me about {name}.",
    "Give me an overview of the credit situation of {name}.",
    "What is {name}'s address?",
]
PROMPTS = [
    Prompt(version="builtin", template=BUILTIN_TEMPLATE),
    Prompt(version="long", template=f"{BUILTIN_TEMPLATE}\nBe complete. Name the source of each value."),
    Prompt(version="rounding", template="You help.\n{customer}\n"),
]
A_CUSTOMERS_QUESTIONS = 4


@pytest.fixture(scope="module")
def customers() -> list[Customer]:
    source = DemoSource()

    async def load() -> list[Customer]:
        found = [await source.get(customer_id) for customer_id in source._people]
        return [customer for customer in found if customer is not None]

    return asyncio.run(load())


def watch_over(guard: Guard, customer: Customer, text: str, ask: str, prompt: Prompt) -> Watch:
    watch = guard.watch([{"role": "user", "content": ask}], prompt)
    assert watch is not None
    watch.about(customer, known=customer.id, text=text)
    return watch


def test_no_answer_about_any_demo_customer_is_suspected(customers: list[Customer]) -> None:
    guard = Guard(today=lambda: date(2026, 1, 1))
    suspected = []
    for number, customer in enumerate(customers):
        text = render(customer)
        prompt = PROMPTS[number % len(PROMPTS)]
        given = read_prompt(system_message(prompt, text))
        for step in range(A_CUSTOMERS_QUESTIONS):
            ask = QUESTIONS[(number * A_CUSTOMERS_QUESTIONS + step) % len(QUESTIONS)].format(name=customer.name)
            said = answer(ask, given)
            if found := watch_over(guard, customer, text, ask, prompt).find_ungrounded(said):
                suspected.append((said, found))
    assert len(customers) == 520
    assert suspected == []


def kind_of(field: str, value: Any) -> str | None:
    """What a planted value is; None for values that are no claim (counts, flags, lists, plain words)."""
    if isinstance(value, bool | list | dict):
        return None
    if isinstance(value, int | float):
        return None if float(value).is_integer() and abs(value) <= SMALL else "number"
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return "date"
    if "@" in value:
        return "email"
    if "phone" in field:
        return "phone"
    if field.endswith(("_id", "last4")) or "number" in field:
        return "account"
    return "name" if field.endswith("_name") else None


@pytest.mark.parametrize("seed", [1, 2])
def test_planted_values_of_another_customer_are_caught(customers: list[Customer], seed: int) -> None:
    """At least 95 of 100 of all, every e-mail address and date; only values that the customer's own records lack."""
    dice = random.Random(seed)
    guard = Guard(today=lambda: date(2026, 1, 1))
    planted: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    for _ in range(60):
        customer, other = dice.sample(customers, 2)
        text = render(customer)
        watch = watch_over(guard, customer, text, "What is it?", PROMPTS[0])
        for record in other.records:
            for field, value in record.fields.items():
                kind = kind_of(field, value)
                if kind is None or dice.random() > 0.2 or str(value) in text:
                    continue
                said = f"{customer.name}'s {field.replace('_', ' ')} is {value}."
                if field.endswith("last4"):
                    said = f"The card ending in {value} is valid."
                planted[kind] += 1
                caught[kind] += bool(watch.find_ungrounded(said))
    assert planted.total() > 1_000
    assert min(planted.values()) >= 20
    shares = {kind: caught[kind] / planted[kind] for kind in planted}
    assert caught.total() / planted.total() >= 0.95, shares
    assert shares["email"] == shares["date"] == 1.0, shares
    assert min(shares.values()) >= 0.9, shares


def test_the_quick_look_passes_nothing_that_the_index_would_not(customers: list[Customer]) -> None:
    """And it settles most of what the demo model says."""
    dice = random.Random(3)
    guard = Guard(today=lambda: date(2026, 1, 1))
    settled = asked = 0
    for _ in range(40):
        customer, other = dice.sample(customers, 2)
        text = render(customer)
        given = read_prompt(system_message(PROMPTS[0], text))
        index = watch_over(guard, customer, text, "What is it?", PROMPTS[0])
        index.find_ungrounded("Nobody Atall was born on 1 January 1801.")  # it has made the index now
        for ask in dice.sample(QUESTIONS, 6):
            said = answer(ask.format(name=customer.name), given)
            asked += 1
            settled += stands_literally(said, [text])
        for record in (*other.records, *customer.records):
            for field, value in record.fields.items():
                if isinstance(value, bool | list | dict):
                    continue
                for said in (f"The {field.replace('_', ' ')} of {customer.name} is {value}.", f"It is {value} now."):
                    if index.find_ungrounded(said):
                        assert not stands_literally(said, [text]), said
    assert settled > asked / 2
