from __future__ import annotations

from typing import Any

import orjson
import pytest
from msgspec.structs import replace
from openai.types import CompletionUsage

from tilores_core.contracts import Answer, CustomerChoice, CustomerOutcome, FinishReason, ModelInfo, Usage
from tilores_core.errors import UnknownModelError
from tilores_core.web.langserve.encode import usage_metadata
from tilores_core.web.openai.encode import completion_template, find_model, model_body, models_body
from tilores_core.web.response_template import ReplyValues

ANSWER = Answer(
    text="712",
    model="demo:simulated-1",
    usage=Usage(input_tokens=10, output_tokens=5),
    cost=0.0,
    cache_tier="l2",
    age=1.23456,
    stale=True,
    prompt_version="builtin-0",
    customer=CustomerOutcome(kind="one", customer_id="EDW_HAWTHORNE_001"),
    spectrum="credit",
)
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def body(answer: Answer, **more: bool) -> dict[str, Any]:
    return completion_template(answer, ReplyValues.of(answer, "chatcmpl-1", 0.25, 1_700_000_000), **more)


def test_a_completion_whole() -> None:
    assert body(ANSWER) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "demo:simulated-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "712", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        "system_fingerprint": None,
        "tilores": {
            "cache": "l2",
            "age_s": 1.235,
            "stale": True,
            "customer_id": "EDW_HAWTHORNE_001",
            "customer": "one",
            "spectrum": "credit",
            "prompt_version": "builtin-0",
            "latency_ms": 0.25,
            "cost": 0.0,
        },
    }


def test_tokens_that_were_cached_or_thoughts_are_told_in_both_protocols() -> None:
    usage = Usage(input_tokens=10, output_tokens=5, cached_tokens=8, reasoning_tokens=2)
    said = body(replace(ANSWER, usage=usage))["usage"]
    assert CompletionUsage.model_validate(said).prompt_tokens_details.cached_tokens == 8  # type: ignore[union-attr]
    assert said["completion_tokens_details"] == {"reasoning_tokens": 2}
    metadata = usage_metadata(usage)
    assert metadata["input_token_details"] == {"cache_read": 8}
    assert metadata["output_token_details"] == {"reasoning": 2}


def test_several_customers_are_told_apart() -> None:
    choices = (CustomerChoice(traits={"city": "Bath"}), CustomerChoice(traits={"city": "York"}))
    said = body(replace(ANSWER, customer=CustomerOutcome(kind="several", choices=choices)))["tilores"]
    assert said["customer"] == "several"
    assert said["customer_id"] is None
    assert said["choices"] == [{"city": "Bath"}, {"city": "York"}]


def test_content_is_null_only_with_tool_calls() -> None:
    message = body(replace(ANSWER, text="", tool_calls=(CALL,)))["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "refusal": None, "tool_calls": [CALL]}
    assert body(replace(ANSWER, text="Wait.", tool_calls=(CALL,)))["choices"][0]["message"]["content"] == "Wait."
    assert body(replace(ANSWER, text=""))["choices"][0]["message"]["content"] == ""


def test_tool_calls_have_the_protocols_keys() -> None:
    loose = {"index": 0, "id": None, "function": {"name": "weather", "arguments": None}}
    message = body(replace(ANSWER, tool_calls=(loose,)))["choices"][0]["message"]
    assert message["tool_calls"] == [
        {"id": "call_0", "type": "function", "function": {"name": "weather", "arguments": ""}}
    ]


def test_client_that_offers_functions_gets_a_function_call() -> None:
    choice = body(replace(ANSWER, text="", tool_calls=(CALL,)), functions=True)["choices"][0]
    assert choice["message"]["function_call"] == CALL["function"]
    assert choice["finish_reason"] == "function_call"
    assert body(ANSWER, functions=True) == body(ANSWER)


@pytest.mark.parametrize(
    ("said", "calls", "sent"),
    [
        ("stop", (), "stop"),
        ("length", (), "length"),
        ("content_filter", (), "content_filter"),
        ("tool_calls", (), "stop"),
        ("tool_calls", (CALL,), "tool_calls"),
        ("stop", (CALL,), "tool_calls"),
        ("length", (CALL,), "length"),
    ],
)
def test_finish_reason(said: FinishReason, calls: tuple[Any, ...], sent: str) -> None:
    assert body(replace(ANSWER, finish_reason=said, tool_calls=calls))["choices"][0]["finish_reason"] == sent


def test_stored_bytes_can_be_cut_where_replies_differ() -> None:
    marks = {name: f"@{name}@" for name in ReplyValues._fields}
    wire = orjson.dumps(completion_template(ANSWER, ReplyValues(**marks))).decode()
    values = {
        "id": "chatcmpl-1",
        "created": 1_700_000_000,
        "tier": "l2",
        "age_s": 1.235,
        "stale": True,
        "latency_ms": 0.25,
        "cost": 0.0,
    }
    for name, value in values.items():
        assert wire.count(marks[name]) == 1
        wire = wire.replace(f'"{marks[name]}"', orjson.dumps(value).decode())
    assert orjson.loads(wire) == body(ANSWER)


# --- models ----------------------------------------------------------------------------------------------

MODELS = [
    ("demo", ModelInfo(id="simulated-1", created=1_700_000_000, simulated=True)),
    ("openai", ModelInfo(id="gpt-4o-mini", created=1_700_000_001)),
    ("openrouter", ModelInfo(id="vendor/large:free", unavailable="set OPENROUTER_API_KEY")),
    ("openai", ModelInfo(id="shared")),
    ("mistral", ModelInfo(id="shared")),
]


def test_models() -> None:
    listed = models_body(MODELS)
    assert listed["object"] == "list"
    assert listed["data"][:3] == [
        {
            "id": "demo:simulated-1",
            "object": "model",
            "created": 1_700_000_000,
            "owned_by": "demo",
            "available": True,
            "name": "demo:simulated-1 (simulated)",
        },
        {
            "id": "openai:gpt-4o-mini",
            "object": "model",
            "created": 1_700_000_001,
            "owned_by": "openai",
            "available": True,
        },
        {
            "id": "openrouter:vendor/large:free",
            "object": "model",
            "created": 0,
            "owned_by": "openrouter",
            "available": False,
            "unavailable_reason": "set OPENROUTER_API_KEY",
            "name": "openrouter:vendor/large:free (unavailable)",
        },
    ]


@pytest.mark.parametrize(
    ("wanted", "index"), [("openrouter:vendor/large:free", 2), ("gpt-4o-mini", 1), ("vendor/large:free", 2)]
)
def test_one_model(wanted: str, index: int) -> None:
    assert find_model(MODELS, wanted) == model_body(*MODELS[index])


@pytest.mark.parametrize("wanted", ["", "shared", "openai:", "OPENAI:gpt-4o-mini"])
def test_a_model_that_is_not_listed(wanted: str) -> None:
    with pytest.raises(UnknownModelError):
        find_model(MODELS, wanted)
