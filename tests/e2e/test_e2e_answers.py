"""The main job, over both protocols: a question about a customer, answered from that customer's records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest

EDWINA = "EDW_HAWTHORNE_001"
SCORE = "What is Edwina Hawthorne's credit score?"


class Said(NamedTuple):
    """A reply of either protocol."""

    text: str
    cache: str
    customer_id: str | None
    customer: str
    header: str


Ask = Callable[..., Said]


def langserve(http: httpx.Client, *messages: str, customer_id: str | None = None, headers: Any = None) -> Said:
    roles = ["human", "ai"] * len(messages)
    body: dict[str, Any] = {"input": [[role, text] for role, text in zip(roles, messages, strict=False)]}
    if customer_id:
        body["config"] = {"configurable": {"customer_id": customer_id}}
    reply = http.post("/chat/invoke", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    output = reply.json()["output"]
    told = output["response_metadata"]
    return Said(
        output["content"],
        told["cache"],
        told["customer_id"],
        told["customer"]["kind"],
        reply.headers["x-tilores-cache"],
    )


def openai(http: httpx.Client, *messages: str, customer_id: str | None = None, headers: Any = None) -> Said:
    roles = ["user", "assistant"] * len(messages)
    body: dict[str, Any] = {
        "model": "demo:simulated-1",
        "messages": [{"role": role, "content": text} for role, text in zip(roles, messages, strict=False)],
    }
    if customer_id:
        body["metadata"] = {"customer_id": customer_id}
    reply = http.post("/v1/chat/completions", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    told = reply.json()["tilores"]
    return Said(
        reply.json()["choices"][0]["message"]["content"],
        told["cache"],
        told["customer_id"],
        told["customer"],
        reply.headers["x-tilores-cache"],
    )


@pytest.fixture(params=[langserve, openai], ids=["langserve", "openai"])
def ask(request: pytest.FixtureRequest, http: httpx.Client) -> Ask:
    return lambda *messages, **named: request.param(http, *messages, **named)


def test_the_right_answer_and_the_second_time_from_the_cache(ask: Ask) -> None:
    question = f"{SCORE} ({ask})"  # nobody asked it just so before
    first, second = ask(question), ask(question)
    assert first.text == second.text == "Edwina Hawthorne's credit score is 742."
    assert (first.cache, second.cache) == (first.header, second.header) == ("miss", "l1")
    assert (second.customer, second.customer_id) == ("one", EDWINA)


def test_one_protocols_answer_serves_the_other(http: httpx.Client) -> None:
    question = "Please tell me Edwina Hawthorne's credit score."
    assert langserve(http, question).cache == "miss"
    assert openai(http, question)[:2] == ("Edwina Hawthorne's credit score is 742.", "l1")


@pytest.mark.parametrize(
    "named",
    [
        "edwina.hawthorne@example.com",
        "(503) 555-0142",
        "+1 503 555 0142",
        "EDW_HAWTHORNE_001",
        "Hawthorne, Edwina",
        "edwina hawthorne, born 1983-03-14",
    ],
)
def test_whatever_names_her(ask: Ask, named: str) -> None:
    said = ask(f"What is the credit score of {named}?")
    assert (said.customer_id, "742" in said.text) == (EDWINA, True), said


def test_a_follow_up_stays_with_the_customer(ask: Ask) -> None:
    said = ask(SCORE, "Edwina Hawthorne's credit score is 742.", "and her credit limit?")
    assert (said.customer_id, "32000" in said.text) == (EDWINA, True), said


def test_another_customer_named_later_wins(ask: Ask) -> None:
    said = ask(SCORE, "Edwina Hawthorne's credit score is 742.", "And that of ingrid.ekdahl@example.com?")
    assert said.customer_id == "ING_EKDAHL_001"
    assert "742" not in said.text
    assert "Hawthorne" not in said.text


def test_namesakes_are_told_apart_by_no_more_than_it_takes(ask: Ask) -> None:
    said = ask("What is Sarah Mitchell's credit score?")
    assert (said.customer, said.customer_id) == ("several", None)
    assert said.text.startswith("Several customers fit. Which one do you mean:")
    assert "@" not in said.text
    assert "SAR_MITCHELL" not in said.text
    # One of the traits is offered for each of the three, and saying it is enough.
    choices = [choice.removeprefix("or ") for choice in said.text.partition(": ")[2].rstrip("?").split("; ")]
    assert len(set(choices)) == 3, said.text
    picked = ask("What is Sarah Mitchell's credit score?", said.text, choices[1])
    assert picked.customer == "one", (choices[1], picked)
    assert str(picked.customer_id).startswith("SAR_MITCHELL_")


def test_a_stranger_is_not_guessed(ask: Ask) -> None:
    said = ask("What is Zebulon Quackenbush's credit score?")
    assert (said.customer, said.customer_id) == ("none", None)
    assert said.text.startswith("I could not find a customer for that.")


def test_a_general_question_works(ask: Ask) -> None:
    said = ask("How is a credit score worked out?")
    assert (said.customer, said.customer_id) == ("unnamed", None)
    assert said.text
    assert "742" not in said.text


def test_the_request_names_the_customer(ask: Ask, http: httpx.Client) -> None:
    assert ask("What is the credit score?", customer_id=EDWINA).text == "Edwina Hawthorne's credit score is 742."
    named = openai(http, "What is this credit score?", headers={"X-Customer-Id": EDWINA})
    assert (named.customer_id, "742" in named.text) == (EDWINA, True)


def test_an_unknown_customer_id(ask: Ask) -> None:
    said = ask("What is the credit score?", customer_id="NOBODY_001")
    assert (said.customer, said.customer_id) == ("none", None)


def test_a_question_about_another_than_the_given_customer_is_asked_back(ask: Ask) -> None:
    said = ask(SCORE, customer_id="ING_EKDAHL_001")
    assert (said.customer, said.customer_id) == ("none", None)
    assert "742" not in said.text
