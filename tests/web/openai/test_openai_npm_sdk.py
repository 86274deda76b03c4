"""The openai package of npm, in its current version and in the one that AnythingLLM pins, against a real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.web.openai.openai_app import CALL, KEY, Running

TEXT = "Edwina Hawthorne's score\n  is 712 – „gut“."

pytestmark = pytest.mark.node
RunNode = Callable[..., Any]


@pytest.fixture(params=["openai", "openai4"])
def package(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_everything_the_sdk_calls(running: Running, run_node: RunNode, package: str) -> None:
    saw = run_node("openai/sdk.mjs", package, running.v1, KEY)
    assert saw["text"] == saw["streamed"] == TEXT
    assert saw["requestId"] == "req-test"
    assert (saw["usage"], saw["finish"]) == (18, "stop")
    assert saw["call"] == [CALL]
    assert saw["callFinish"] == "tool_calls"
    assert saw["streamedPieces"] == 5
    assert saw["streamedFinish"] == ["stop"]
    assert saw["heads"] == 1
    assert saw["usageUnasked"] == 0
    assert saw["usageAsked"] == [[0, 18]]
    assert saw["pieces"][0] == {**CALL, "index": 0, "function": {"name": "weather", "arguments": ""}}
    assert "".join(piece["function"]["arguments"] for piece in saw["pieces"]) == '{"city":"Bath"}'
    assert all("name" not in piece["function"] for piece in saw["pieces"][1:])
    assert saw["listed"] == saw["retrieved"] == ["demo:plain", "demo:vendor/large:free", "openai:gpt-4o-mini"]
    assert running.server.cancelled.wait(60), "the client left, and the engine went on"


def test_every_failure_has_its_class(running: Running, run_node: RunNode, package: str) -> None:
    failures = run_node("openai/sdk.mjs", package, running.v1, KEY)["failures"]
    told = {name: (said["kind"], said["status"], said["code"]) for name, said in failures.items()}
    assert told == {
        "limited": ("RateLimitError", 429, "rate_limit_exceeded"),
        "full": ("InternalServerError", 503, "service_unavailable"),
        "provider-down": ("InternalServerError", 503, "service_unavailable"),
        "late": ("InternalServerError", 503, "service_unavailable"),
        "long": ("BadRequestError", 400, "context_length_exceeded"),
        "forbidden": ("PermissionDeniedError", 403, None),
        "nothing": ("NotFoundError", 404, "model_not_found"),
        "bug": ("InternalServerError", 500, None),
        "breaks": ("APIError", None, "service_unavailable"),
        "plain": ("RateLimitError", 429, "rate_limit_exceeded"),
        "field": ("BadRequestError", 400, None),
        "key": ("AuthenticationError", 401, "invalid_api_key"),
        "route": ("NotFoundError", 404, None),
    }
    assert failures["field"]["param"] == "messages[0].content"
    assert failures["limited"]["requestId"] == "req-test"
    assert "the model went away" in failures["breaks"]["message"]


def test_the_stream_helper_puts_the_answer_together(running: Running, run_node: RunNode, package: str) -> None:
    assert run_node("openai/runner.mjs", package, running.v1, KEY) == {
        "content": "Let me see.",
        "calls": 1,
        "call": ["call_abc", "function", "weather", '{"city":"Bath"}'],
        "finish": "tool_calls",
        "usage": 18,
    }


def test_anythingllm(running: Running, run_node: RunNode) -> None:
    running.server.keyless = True
    saw = run_node("openai/anythingllm.mjs", running.v1)
    assert saw["models"][0] == {"id": "demo:plain", "organization": "demo"}
    assert (saw["plain"], saw["tokens"]) == (TEXT, 18)
    assert saw["chat"] == {"text": TEXT, "usage": None, "finish": "stop"}
    assert saw["counted"]["usage"]["total_tokens"] == 18
    assert saw["empty"] == {"text": "", "usage": None, "finish": "stop"}
    assert saw["hit"]["text"] == "from the cache"
    assert saw["tools"]["finish"] == "tool_calls"
    assert "hangs" not in saw["breaks"]
    assert "the model went away" in saw["breaks"]["failed"]
    assert saw["refused"] == "503 no key for openai (set OPENAI_API_KEY)"
    seen = running.server.requests[0].chat
    assert [set(message) for message in seen.messages] == [{"role", "content"}] * 4
    assert seen.messages[3]["content"][1]["type"] == "image_url"  # type: ignore[index]  # a list of parts
