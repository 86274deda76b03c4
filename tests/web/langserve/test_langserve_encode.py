from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from langchain_core.messages import AIMessage

from tests.web.langserve.langserve_app import TOOL_CALL, answer
from tilores_core.contracts import Answer, CustomerChoice, CustomerOutcome
from tilores_core.settings import ChatTable
from tilores_core.web.langserve.decode import decode_run
from tilores_core.web.langserve.encode import batch_body, invoke_body, invoke_template, message, reply
from tilores_core.web.langserve.messages import parse_messages
from tilores_core.web.response_template import ReplyValues

SURFACE = {
    *("model", "cache", "age_s", "stale", "customer_id", "spectrum", "prompt_version", "latency_ms", "cost"),
    *("customer", "finish_reason"),
}


def test_reply_is_a_whole_message() -> None:
    given = answer("Hello", cache_tier="l2", age=12.34567, stale=True, cost=0.0)
    value = reply(given, run_id="r1", latency_ms=0.123456)
    assert value == {
        "content": "Hello",
        "additional_kwargs": {},
        "response_metadata": {
            "model": "demo:simulated-1",
            "cache": "l2",
            "age_s": 12.346,
            "stale": True,
            "customer_id": "EDW_HAWTHORNE_001",
            "customer": {"kind": "one"},
            "spectrum": "financial",
            "prompt_version": "builtin-0123456789ab",
            "latency_ms": 0.123,
            "cost": 0.0,
            "finish_reason": "stop",
        },
        "type": "ai",
        "name": None,
        "id": "run-r1",
        "tool_calls": [],
        "invalid_tool_calls": [],
        "usage_metadata": {"input_tokens": 12, "output_tokens": 5, "total_tokens": 17},
    }
    assert set(value["response_metadata"]) == SURFACE
    assert AIMessage.model_validate(value).model_dump() == value


def test_several_customers_are_told_apart() -> None:
    choices = (CustomerChoice(traits={"born": "1980"}), CustomerChoice(traits={"born": "1991"}))
    outcome = CustomerOutcome(kind="several", choices=choices, distinguished_by=("born",))
    given = answer("Which one?", customer=outcome)
    metadata = reply(given, run_id="r1", latency_ms=1)["response_metadata"]
    assert metadata["customer"] == {
        "kind": "several",
        "choices": [{"traits": {"born": "1980"}}, {"traits": {"born": "1991"}}],
        "distinguished_by": ["born"],
    }
    assert metadata["customer_id"] is None


def test_tool_calls_good_and_bad() -> None:
    calls = (
        TOOL_CALL,
        {"id": "c2", "type": "function", "function": {"name": "ping", "arguments": ""}},
        {"id": "c3", "type": "function", "function": {"name": "ping", "arguments": '{"cut'}},
        {"id": "c4", "type": "function", "function": {"name": "ping", "arguments": "[1]"}},
    )
    value = reply(answer("", tool_calls=calls, finish_reason="tool_calls"), run_id="r1", latency_ms=1)
    assert value["tool_calls"] == [
        {"name": "look_up", "args": {"city": "Leeds", "days": 2}, "id": "call_1", "type": "tool_call"},
        {"name": "ping", "args": {}, "id": "c2", "type": "tool_call"},
    ]
    assert [(call["id"], call["args"]) for call in value["invalid_tool_calls"]] == [("c3", '{"cut'), ("c4", "[1]")]
    assert AIMessage.model_validate(value).invalid_tool_calls == value["invalid_tool_calls"]


def test_bodies() -> None:
    given = answer("Hello")
    body = invoke_body(given, run_id="r1", latency_ms=1.5)
    assert body == {
        "output": reply(given, run_id="r1", latency_ms=1.5),
        "metadata": {"run_id": "r1", "feedback_tokens": []},
    }
    assert batch_body([]) == {"output": [], "metadata": {"responses": [], "run_ids": []}}
    body = batch_body([(given, "r1", 1.5), (given, "r2", 2.5)])
    assert [one["id"] for one in body["output"]] == ["run-r1", "run-r2"]
    assert body["metadata"] == {
        "responses": [{"run_id": "r1", "feedback_tokens": []}, {"run_id": "r2", "feedback_tokens": []}],
        "run_ids": ["r1", "r2"],
    }


def test_the_template_filled_in_is_the_body() -> None:
    given = answer("100 % @tier@", cache_tier="l1", age=1.5, cost=0.0)
    marks = {name: f"<{name}>" for name in ReplyValues._fields}
    wire = orjson.dumps(invoke_template(given, ReplyValues(**marks))).decode()
    assert wire.count("<id>") == 2
    values = {"age_s": 1.5, "latency_ms": 0.25, "stale": False, "cost": 0.0}
    for name, value in values.items():
        assert wire.count(f'"<{name}>"') == 1
        wire = wire.replace(f'"<{name}>"', orjson.dumps(value).decode())
    wire = wire.replace("<id>", "r1").replace("<tier>", "l1")
    assert wire.encode() == orjson.dumps(invoke_body(given, run_id="r1", latency_ms=0.25))


@pytest.mark.parametrize(
    "value",
    [
        {"role": "user", "content": "hi"},
        {"role": "user", "content": "hi", "name": "Edwina"},
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": None, "tool_calls": [{**TOOL_CALL, "id": "c1"}]},
        {"role": "tool", "content": "rain", "tool_call_id": "c1"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    ],
)
def test_a_shown_message_reads_back_as_itself(value: Any) -> None:
    (again,) = parse_messages([message(value)])
    if "tool_calls" in value:
        assert orjson.loads(again["tool_calls"][0]["function"]["arguments"]) == {"city": "Leeds", "days": 2}
        again["tool_calls"][0]["function"]["arguments"] = value["tool_calls"][0]["function"]["arguments"]
    assert again == value


def test_an_unpriced_answer_has_no_cost() -> None:
    plain = Answer(text="hi", model="x:y")
    assert reply(plain, run_id="r", latency_ms=1)["response_metadata"]["cost"] is None


def test_long_numbers_in_arguments_go_out_and_come_back_as_they_are() -> None:
    number = 123456789012345678901234567890
    arguments = f'{{"account":{number},\n "sum": 1.10}}'
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": arguments}}
    value = reply(answer("", tool_calls=(call,), finish_reason="tool_calls"), run_id="r1", latency_ms=1)
    sent = orjson.dumps(value)
    assert b"\n" not in sent  # it would end an event of a stream
    assert json.loads(sent)["tool_calls"][0]["args"] == {"account": number, "sum": 1.1}
    back = b'{"input": ["Which account?", %b, {"role": "tool", "tool_call_id": "c1", "content": "found"}]}' % sent
    messages = decode_run(back, ChatTable()).chat.messages
    assert json.loads(messages[1]["tool_calls"][0]["function"]["arguments"])["account"] == number
