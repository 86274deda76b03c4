"""The plan's JSON: what is read, and what is said of what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.prewarm_world import DECODERS, one_list, plan
from tilores_core.contracts import Identifiers
from tilores_core.errors import ConfigError
from tilores_core.jobs.prewarm.plan import load_plan, parse_duration
from tilores_core.jobs.prewarm.stats import HourlyBudget


def test_all_that_a_plan_can_say() -> None:
    read = plan(
        schema=1,
        ask={"model": "demo:simulated-1", "parameters": {"temperature": 0}, "system": "Be brief.", "scope": "retail"},
        lists=[
            {
                "name": "vip",
                "priority": 10,
                "refresh": "20m",
                "most_matches": 2,
                "customers": [
                    {"customer_id": "C-1"},
                    {"phone": "020 7946 0018"},
                    {"email": "Ann@Example.com"},
                    {"name": "Ann Lee", "date_of_birth": "12 April 1980"},
                ],
                "questions": [
                    "What is the balance?",
                    {"text": "I call from {phone}.", "named_by": "text", "ask": {"parameters": {"max_tokens": 9}}},
                    {"messages": [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Hi."}]},
                ],
                "ask": {"scope": "desk"},
            }
        ],
        calls={
            "questions": ["Who is it?"],
            "queue": 5,
            "joined": "3s",
            "concurrency": 2,
            "ask": {"system": "Calls."},
        },
        concurrency=3,
        budget={"calls_per_hour": 100, "cost_per_hour": 1.5},
        memory_entries=7,
    )
    vip = read.lists[0]
    assert tuple(who.identifiers for who in vip.customers) == (
        Identifiers(customer_id="C-1"),
        Identifiers(phone="+442079460018"),
        Identifiers(email="ann@example.com"),
        Identifiers(name="Ann Lee", date_of_birth="1980-04-12"),
    )
    assert (vip.priority, vip.refresh, vip.most_matches) == (10, 1200.0, 2)
    first, second, third = vip.opening_questions
    assert first.messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is the balance?"},
    )
    assert (first.model, first.scope, first.parameters) == ("demo:simulated-1", "desk", {"temperature": 0.0})
    assert (second.by_text, second.parameters) == (True, {"max_tokens": 9})
    assert [message["role"] for message in third.messages] == ["system", "assistant", "user"]
    assert read.calls.opening_questions[0].messages[0]["content"] == "Calls."
    assert (read.calls.queue, read.calls.joined, read.calls.concurrency) == (5, 3.0, 2)
    assert (read.concurrency, read.budget.calls_per_hour, read.budget.cost_per_hour, read.memory_entries) == (
        3,
        100,
        1.5,
        7,
    )


def test_placeholders_are_filled_in_or_the_question_is_left_out() -> None:
    question = (
        one_list({"customer_id": "C-1"}, questions=("{name} calls from {phone}; {json}",))
        .lists[0]
        .opening_questions[0]
    )
    filled = question.fill({"name": "Ann Lee", "phone": "+442079460018"})
    assert filled is not None
    assert filled.messages[0]["content"] == "Ann Lee calls from +442079460018; {json}"
    assert question.fill({"name": "Ann Lee", "phone": None}) is None


WRONG = [
    ({"list": []}, "list: unknown key; did you mean 'lists'?"),
    ({"lists": {}}, "lists: this must be a list"),
    ({"lists": [{"customers": [{"customer_id": "1"}]}]}, "lists[0].name: this is needed"),
    ({"lists": [{"name": "VIP", "customers": [{"customer_id": "1"}]}]}, "lists[0].name:"),
    ({"lists": [{"name": "v", "customers": []}]}, "lists[0].customers:"),
    ({"lists": [{"name": "v", "customers": [{}]}]}, "lists[0].customers[0]: name a customer"),
    (
        {"lists": [{"name": "v", "customers": [{"fone": "1"}]}]},
        "customers[0].fone: unknown key; did you mean 'phone'?",
    ),
    ({"lists": [{"name": "v", "customers": [{"phone": "12"}]}]}, "customers[0].phone: this is not a phone number"),
    ({"lists": [{"name": "v", "customers": [{"email": "x"}]}]}, "customers[0].email: this is not an e-mail address"),
    ({"lists": [{"name": "v", "customers": [{"date_of_birth": "1980-04-12"}]}]}, "alone identifies no customer"),
    (
        {"lists": [{"name": "v", "customers": [{"name": "A", "date_of_birth": "x"}]}]},
        "date_of_birth: this is not a date",
    ),
    ({"lists": [{"name": "v", "customers": [{"customer_id": 7}]}]}, "customer_id: this must be a string"),
    ({"lists": [{"name": "v", "customers": [{"customer_id": "x" * 300}]}]}, "at most 256"),
    (
        {"lists": [{"name": "v", "customers": [{"customer_id": "1"}], "refresh": "soon"}]},
        "refresh: this must be a dur",
    ),
    ({"lists": [{"name": "v", "customers": [{"customer_id": "1"}], "refresh": True}]}, "refresh: this must be a dur"),
    ({"lists": [{"name": "v", "customers": [{"customer_id": "1"}], "questions": [""]}]}, "questions[0].text:"),
    ({"lists": [{"name": "v", "customers": [{"customer_id": "1"}], "questions": [{}]}]}, "either text or messages"),
    ({"lists": [{"name": n, "customers": [{"customer_id": "1"}]} for n in "vv"]}, "two lists are named 'v'"),
    (
        {"calls": {"questions": [{"messages": [{"role": "king", "content": "x"}]}]}},
        "calls.questions[0].messages[0].role",
    ),
    (
        {"calls": {"questions": [{"messages": [{"role": "assistant", "content": "x"}]}]}},
        "last message must be the user",
    ),
    (
        {"calls": {"questions": ["x"]}, "ask": {"parameters": {"temperature": 9}}},
        "ask.parameters: temperature must be",
    ),
    (
        {"calls": {"questions": ["x"]}, "ask": {"parameters": {"temprature": 0}}},
        "ask.parameters.temprature: no param",
    ),
    ({"calls": {"questions": ["x"] * 51}}, "calls.questions:"),
    ({"concurrency": 0}, "concurrency:"),
    ({"budget": {"calls_per_hour": -1}}, "budget.calls_per_hour:"),
    ({"schema": 2}, "schema:"),
    ([], "the whole: this must be an object"),
]


@pytest.mark.parametrize(("value", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_is_wrong_is_named_with_file_place_and_mend(tmp_path: Path, value: Any, said: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(value))
    with pytest.raises(ConfigError) as caught:
        load_plan(path, DECODERS)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.fix


def test_no_value_is_in_the_message() -> None:
    with pytest.raises(ConfigError) as caught:
        one_list({"phone": "hawthorne-12"}, {"email": "edwina"}, {"name": "Edwina", "date_of_birth": "hawthorne"})
    assert "3 problems" in str(caught.value)
    assert not any(word in str(caught.value).lower() for word in ("hawthorne", "edwina"))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_plan(tmp_path / "nowhere.json", DECODERS)
    (tmp_path / "plan.json").write_text('{"lists": [\n}')
    with pytest.raises(ConfigError, match="line 2"):
        load_plan(tmp_path / "plan.json", DECODERS)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400), ("1.5m", 90), (90, 90), ("45", 45)],
    ids=str,
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "8d", "-1m", "m", "1w", "1 hour", None, True, [], "1e3"], ids=str)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="30m"):
        parse_duration(text)


def test_a_budget_is_for_the_last_hour() -> None:
    now = 0.0
    budget = HourlyBudget(calls=3, cost=None, clock=lambda: now)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    budget.give_back()
    assert budget.take()
    now = 3500.0
    assert not budget.take()
    now = 3661.0
    assert budget.take()
    assert budget.get_used() == (1, 0.0)


def test_a_budget_of_cost_and_two_together() -> None:
    cost = HourlyBudget(calls=None, cost=1.0)
    both = HourlyBudget(calls=2, cost=None, within=cost)
    assert both.take()
    both.spend(0.6)
    assert both.take()
    assert not both.take()
    assert (cost.get_used()[0], both.get_used()[0]) == (2, 2)
    both.give_back()
    both.spend(0.6)
    assert not both.take()
    assert cost.get_used() == (1, 1.2)
