"""Clients that read the protocol in the way of the two chat programs."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from tests.web.openai.openai_app import KEY, Running

HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


def _lines(running: Running, model: str, **fields: Any) -> list[Any]:
    """Every `data:` line by itself, as Open WebUI reads them; lines end where `str.splitlines` says."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": True, **fields}
    found = []
    with httpx.stream("POST", f"{running.v1}/chat/completions", headers=HEADERS, json=body) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        for line in reply.iter_lines():
            assert not line.startswith("event")
            if line.startswith("data:") and (data := line.removeprefix("data:").strip()) != "[DONE]":
                found.append(orjson.loads(data))
    return found


def test_open_webui_chat(running: Running) -> None:
    events = _lines(
        running,
        "demo:plain",
        stream_options={"include_usage": True},
        reasoning={"effort": "low"},
        user={"name": "Edwina Hawthorne", "id": "1", "email": "edwina@example.test", "role": "user"},
    )
    text = "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
    assert text.startswith("Edwina Hawthorne's score\n  is 712")
    assert [event["usage"]["total_tokens"] for event in events if event["usage"]] == [18]


def test_open_webui_tool_calls_are_joined_by_index(running: Running) -> None:
    calls: list[dict[str, Any]] = []
    for event in _lines(running, "demo:tools"):
        for piece in event["choices"][0]["delta"].get("tool_calls", ()):
            known = next((call for call in calls if call["index"] == piece["index"]), None)
            if known is None:
                calls.append(piece)
            else:
                known["function"]["name"] += piece["function"].get("name", "")
                known["function"]["arguments"] += piece["function"].get("arguments", "")
    assert calls == [
        {
            "index": 0,
            "id": "call_abc",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city":"Bath"}'},
        }
    ]


def test_open_webui_connection_test(running: Running) -> None:
    listed = httpx.get(f"{running.v1}/models", headers={**HEADERS, "X-OpenWebUI-User-Id": "1"}).json()
    assert all(model["id"] for model in listed["data"])
    refused = httpx.get(f"{running.v1}/models", headers={"Authorization": "Bearer wrong"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")


def test_open_webui_background_task(running: Running) -> None:
    prompt = '### Task:\nGenerate 1-3 tags. JSON format: { "tags": ["tag1"] }\n' + "x" * 5000
    body = {
        "model": "demo:plain",
        "messages": [{"role": "user", "content": prompt}],
        "stream": False,
        "max_completion_tokens": 9,
    }
    reply = httpx.post(f"{running.v1}/chat/completions", headers=HEADERS, json=body)
    assert isinstance(reply.json()["choices"][0]["message"]["content"], str)
    assert running.server.requests[0].chat.parameters == {"max_tokens": 9}


@pytest.mark.parametrize("usage", [False, True])
def test_anythingllm_stops_at_the_finish_chunk(running: Running, usage: bool) -> None:
    running.server.keyless = True
    body = {
        "model": "demo:plain",
        "stream": True,
        "messages": [
            {"role": "system", "content": ""},
            {"role": "user", "content": "hello", "attachments": []},
            {"role": "assistant", "content": "Good day.", "attachments": []},
            {"role": "user", "content": "What is Edwina Hawthorne's credit score?"},
        ],
        "temperature": 0.7,
        "max_tokens": 1024,
        **({"stream_options": {"include_usage": True}} if usage else {}),
    }
    headers = {"Authorization": "Bearer null", "Accept": "application/json", "User-Agent": "AnythingLLM/1.16.0"}
    text, tokens = "", None
    with httpx.stream("POST", f"{running.v1}/chat/completions", headers=headers, json=body) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: "):
                event = orjson.loads(line[6:])
                tokens = event.get("usage") or tokens
                choice = event["choices"][0]
                text += choice["delta"].get("content") or ""
                if choice["finish_reason"]:
                    break
        else:
            pytest.fail("a stream without a finish reason hangs AnythingLLM")
    assert text.endswith("„gut“.")
    assert (tokens is not None) == usage
    assert all(message.keys() == {"role", "content"} for message in running.server.requests[0].chat.messages)
