from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from tests.web.langserve.langserve_app import TOOL_CALL, answer
from tilores_core.contracts import CustomerChoice, CustomerOutcome
from tilores_core.errors import InvalidRequestError
from tilores_core.web.langserve.config import config_schema, read_config
from tilores_core.web.langserve.encode import reply
from tilores_core.web.langserve.messages import parse_messages
from tilores_core.web.langserve.schemas import input_schema, output_schema

INPUTS: list[Any] = [
    "hi",
    ["hi"],
    [["human", "hi"], ["ai", "ho"], "hi"],
    [{"role": "user", "content": "hi"}],
    [{"type": "human", "content": "hi", "additional_kwargs": {}, "name": None}],
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
    {"input": "hi"},
    {"input": {"role": "user", "content": "hi"}},
    {"input": ["hi"], "more": 7},
    {"question": "hi", "chat_history": []},
    {"messages": "hi"},
    {"type": "human", "content": "hi"},
]
NO_INPUTS: list[Any] = [
    None,
    7,
    {},
    {"topic": "hi"},
    [7],
    [["king", "hi"]],
    [{"role": "king", "content": "hi"}],
    {"messages": 7},
    {"input": 7},
]


def test_input_schema_agrees_with_the_parser() -> None:
    schema = jsonschema_rs.validator_for(input_schema())
    for value in INPUTS:
        assert schema.is_valid(value), value
        parse_messages(value)
    for value in NO_INPUTS:
        assert not schema.is_valid(value), value
        with pytest.raises(InvalidRequestError):
            parse_messages(value)


def test_replies_fit_the_output_schema() -> None:
    schema = jsonschema_rs.validator_for(output_schema())
    several = CustomerOutcome(kind="several", choices=(CustomerChoice(traits={"born": "1980"}),))
    for given in (
        answer("hi"),
        answer("", tool_calls=(TOOL_CALL,), finish_reason="tool_calls"),
        answer("Which?", customer=several, cost=None),
    ):
        schema.validate(reply(given, run_id="r1", latency_ms=1))
    assert not schema.is_valid({"content": "hi"})


def test_config_schema_agrees_with_the_reader() -> None:
    schema = config_schema(["demo:simulated-1"])
    check = jsonschema_rs.validator_for(schema)
    good: list[Any] = [
        {},
        {"configurable": {"model": "openai:unlisted", "customer_id": "C1", "max_age": 0, "no_cache": False}},
        {"configurable": {"stop": "x", "seed": 1, "max_tokens": 5, "temperature": 2, "top_p": None}, "tags": None},
    ]
    for config in good:
        check.validate(config)
        read_config(config, None)
    bad: list[Any] = [
        {"configurable": {"model": 7}},
        {"configurable": {"max_age": -1}},
        {"configurable": {"no_cache": "yes"}},
        {"configurable": {"stop": [""]}},
        {"tags": "x"},
        {"metadata": 7},
    ]
    for config in bad:
        assert not check.is_valid(config), config
        with pytest.raises(InvalidRequestError):
            read_config(config, None)
    configurable = next(kind for kind in schema["properties"]["configurable"]["anyOf"] if "properties" in kind)
    assert configurable["properties"]["model"]["examples"] == ["demo:simulated-1"]
