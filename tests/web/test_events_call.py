"""`POST /events/call` over real HTTP: the first question of whoever calls is answered from memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running_server import RunningServer
from tilores_core.testing.waiting import wait_until

EDWINA, PHONE = "EDW_HAWTHORNE_001", "+1 503 555 0142"
SYSTEM = "You answer callers on the telephone, in one sentence."
PLAN = {
    "calls": {
        "questions": [
            "What is the credit score?",
            {"text": "What is the email?", "ask": {"parameters": {"temperature": 0, "max_tokens": 200}}},
            {"text": "I am calling from {phone}. Where do I live?", "named_by": "text"},
            {"text": "Which credit limit?", "ask": {"system": SYSTEM}},
        ]
    },
    "lists": [{"name": "vip", "customers": [{"customer_id": EDWINA}], "questions": ["Who is it?"], "refresh": "1h"}],
}
TOML = """
[use]
cache = ["memory"]
[prewarm]
file = "plan.json"
at_start = false
[keys.elsewhere]
scope = "elsewhere"
[keys.bot]
search = false
"""
KEYS = {
    "TILORES_API_KEYS": "desk:desk-secret,elsewhere:elsewhere-secret,bot:bot-secret",
    "TILORES_ADMIN_KEYS": "root:root-secret",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("calls")
    (folder / "plan.json").write_text(json.dumps(PLAN))
    with RunningServer(folder, toml=TOML, variables=KEYS) as running:
        yield running
        assert "-secret" not in running.log_text


@pytest.fixture
def http(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        httpx.post(
            f"{server.url}/admin/cache/invalidate", json={"customer_id": EDWINA}, headers=_key("root")
        ).raise_for_status()
        yield client


def _key(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}-secret"}


def _stats(http: httpx.Client) -> Any:
    return http.get("/admin/prewarm", headers=_key("root")).raise_for_status().json()


def _call(http: httpx.Client, key: str = "desk", **who: str) -> httpx.Response:
    return http.post("/events/call", json=who, headers=_key(key))


def _call_and_wait(http: httpx.Client, key: str = "desk", **who: str) -> None:
    """Report a call that has not been reported lately, and wait until all about it is warm."""
    before = _stats(http)["calls"]
    reply = _call(http, key, **who)
    assert reply.status_code == 202
    assert reply.json() == {"accepted": True}
    done = before["ended_at"]
    wait_until(lambda: _stats(http)["calls"]["ended_at"] not in (None, done), "the caller is warm")


def _invoke(http: httpx.Client, question: Any, key: str = "desk", **configurable: Any) -> httpx.Response:
    body = {"input": question, "config": {"configurable": configurable}}
    return http.post("/chat/invoke", json=body, headers=_key(key)).raise_for_status()


def _complete(http: httpx.Client, *messages: dict[str, str], key: str = "desk", **more: Any) -> httpx.Response:
    body = {"model": "demo:simulated-1", "messages": list(messages), **more}
    return http.post("/v1/chat/completions", json=body, headers=_key(key)).raise_for_status()


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_a_callers_first_questions_are_answered_from_memory_in_both_protocols(http: httpx.Client) -> None:
    _call_and_wait(http, customer_id=EDWINA)
    before = _stats(http)["worth"]["hits"]

    first = _invoke(http, "What is the credit score?", customer_id=EDWINA)
    assert first.headers["X-Tilores-Cache"] == "l1"
    assert "742" in first.text
    first = _complete(http, _user("What is the credit score?"), metadata={"customer_id": EDWINA})
    assert first.headers["X-Tilores-Cache"] == "l1"

    with_parameters: dict[str, Any] = {"temperature": 0, "max_tokens": 200}
    asked = _invoke(http, "What is the email?", customer_id=EDWINA, **with_parameters)
    assert asked.headers["X-Tilores-Cache"] == "l1"
    asked = _complete(http, _user("What is the email?"), metadata={"customer_id": EDWINA}, **with_parameters)
    assert asked.headers["X-Tilores-Cache"] == "l1"

    system = [{"role": "system", "content": SYSTEM}, _user("Which credit limit?")]
    assert _complete(http, *system, metadata={"customer_id": EDWINA}).headers["X-Tilores-Cache"] == "l1"
    assert _invoke(http, system, customer_id=EDWINA).headers["X-Tilores-Cache"] == "l1"
    assert _stats(http)["worth"]["hits"] == before + 6

    other = _complete(http, _user("What is the email?"), metadata={"customer_id": EDWINA}, temperature=1)
    assert other.headers["X-Tilores-Cache"] == "miss"


def test_who_is_known_by_the_number_alone_finds_the_answer_by_it(http: httpx.Client) -> None:
    _call_and_wait(http, phone=PHONE)
    question = "I am calling from +15035550142. Where do I live?"
    assert _invoke(http, question).headers["X-Tilores-Cache"] == "l1"
    reply = _complete(http, _user(question))
    assert reply.headers["X-Tilores-Cache"] == "l1"
    assert "Portland" in reply.text


def test_answers_are_warmed_for_the_scope_of_the_key_that_reports_the_call(http: httpx.Client) -> None:
    _call_and_wait(http, "elsewhere", customer_id=EDWINA)
    mine = _invoke(http, "What is the credit score?", "elsewhere", customer_id=EDWINA)
    assert mine.headers["X-Tilores-Cache"] == "l1"
    others = _invoke(http, "What is the credit score?", "desk", customer_id=EDWINA)
    assert others.headers["X-Tilores-Cache"] == "miss"


def test_nobody_learns_who_is_a_customer(http: httpx.Client) -> None:
    before = _stats(http)["calls"]["skipped_because"].get("unknown", 0)
    stranger, customer = _call(http, phone="+1 503 555 0199"), _call(http, phone=PHONE)
    assert stranger.status_code == customer.status_code == 202
    assert stranger.content == customer.content
    wait_until(lambda: _stats(http)["calls"]["skipped_because"].get("unknown", 0) == before + 1, "it was looked for")


def test_the_same_caller_again_within_seconds_is_one_call(http: httpx.Client) -> None:
    before = _stats(http)["calls"]
    for _ in range(5):
        assert _call(http, email="nobody.in.particular@example.com").status_code == 202
    after = _stats(http)["calls"]
    assert (after["customers"], after["joined"]) == (before["customers"] + 1, before["joined"] + 4)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "name the caller"),
        ({"phone": "not a number"}, "phone cannot be read"),
        ({"email": "nobody"}, "email cannot be read"),
        ({"name": "Edwina Hawthorne", "date_of_birth": "soon"}, "date_of_birth cannot be read"),
        ({"date_of_birth": "1980-04-12"}, "alone does not identify a customer"),
        ({"phone": "1" * 300}, "phone"),
        ({"phone": 15035550142}, "phone"),
        ({"number": PHONE}, "number"),
        ([], "body"),
    ],
    ids=str,
)
def test_what_cannot_be_a_caller_is_refused_with_the_field(http: httpx.Client, body: Any, said: str) -> None:
    reply = http.post("/events/call", json=body, headers=_key("desk"))
    assert reply.status_code == 422
    assert said in reply.json()["detail"]
    assert "Hawthorne" not in reply.text


def test_keys(http: httpx.Client) -> None:
    assert http.post("/events/call", json={"phone": PHONE}).status_code == 401
    assert _call(http, "root", phone=PHONE).status_code == 401
    assert _call(http, "bot", phone=PHONE).status_code == 403
    assert _call(http, "bot", customer_id=EDWINA).status_code == 202
    assert http.get("/admin/prewarm", headers=_key("desk")).status_code == 401
    assert http.post("/admin/prewarm", json={}, headers=_key("desk")).status_code == 401


def test_lists_are_warmed_when_an_admin_says_so(http: httpx.Client) -> None:
    assert _stats(http)["lists"]["vip"]["latest"] is None
    done = http.post("/admin/prewarm", json={"lists": ["vip"]}, headers=_key("root"))
    assert done.status_code == 202
    run = done.json()["run"]
    assert done.json() == {"run": run, "lists": ["vip"], "customers": 1}
    wait_until(lambda: _stats(http)["runs"][run], "the list is warm")
    latest = _stats(http)["lists"]["vip"]["latest"]
    assert (latest["warmed"], latest["failed"], latest["success_rate"]) == (2, 0, 1.0)
    assert _invoke(http, "Who is it?", customer_id=EDWINA).headers["X-Tilores-Cache"] == "l1"


def test_a_plan_that_is_sent_is_warmed(http: httpx.Client) -> None:
    sent = {"lists": [{"name": "now", "customers": [{"phone": PHONE}], "questions": ["Which credit limit?"]}]}
    done = http.post("/admin/prewarm", json={"plan": sent}, headers=_key("root"))
    wait_until(lambda: _stats(http)["runs"][done.json()["run"]], "the plan is warm")
    assert _stats(http)["runs"][done.json()["run"]]["failed"] == 0
    assert _invoke(http, "Which credit limit?", customer_id=EDWINA).headers["X-Tilores-Cache"] == "l1"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"lists": ["vips"]}, "did you mean 'vip'?"),
        ({"lists": ["vip"], "plan": {}}, "either lists or plan"),
        ({"plan": {}}, "there is no list"),
        ({"plan": {"lists": [{"name": "x", "customers": [{"phon": "1"}]}]}}, "lists[0].customers[0].phon"),
        ({"plan": {"ask": {"model": "nobody:none"}, "calls": {"questions": ["x"]}}}, "there is no model"),
        ({"plan": []}, "plan"),
        ({"all": True}, "all"),
    ],
    ids=str,
)
def test_what_cannot_be_warmed_is_refused_with_its_place(http: httpx.Client, body: Any, said: str) -> None:
    reply = http.post("/admin/prewarm", json=body, headers=_key("root"))
    assert reply.status_code == 422
    assert said in reply.json()["detail"]


def test_a_server_with_a_wrong_plan_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"lists": [{"name": "vip", "customers": [{"phone": "12"}]}]}')
    server = RunningServer(tmp_path, toml='[prewarm]\nfile = "plan.json"\n').launch()
    try:
        assert server.wait() == 1
    finally:
        server.kill()
    assert "plan.json: lists[0].customers[0].phone: this is not a phone number" in server.log_text
    assert "fix:" in server.log_text
