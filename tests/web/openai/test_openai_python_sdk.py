"""The openai package for Python against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import orjson
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.web.openai.openai_app import CALL, KEY, Running

ASK: Any = [{"role": "user", "content": "What is Edwina Hawthorne's credit score?"}]
TEXT = "Edwina Hawthorne's score\n  is 712 – „gut“."
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.fixture
def client(running: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=running.v1, api_key=KEY, max_retries=0) as client:
        yield client


def test_create(client: OpenAI, running: Running) -> None:
    done = client.chat.completions.create(
        model="demo:plain",
        messages=ASK,
        temperature=0.2,
        max_tokens=50,
        metadata={"customer_id": "EDW_HAWTHORNE_001"},
    )
    assert done._request_id == "req-test"
    assert done.id.startswith("chatcmpl-")
    assert done.model == "demo:plain"
    assert done.choices[0].message.content == TEXT
    assert done.choices[0].finish_reason == "stop"
    assert done.usage is not None
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens == 18
    assert done.model_extra is not None
    assert done.model_extra["tilores"]["customer_id"] == "EDW_HAWTHORNE_001"
    [seen] = running.server.requests
    assert seen.chat.parameters == {"temperature": 0.2, "max_tokens": 50}
    assert seen.chat.customer_id == "EDW_HAWTHORNE_001"


def test_what_the_sdk_sends_for_a_session_and_freshness(client: OpenAI, running: Running) -> None:
    client.chat.completions.create(
        model="demo:plain",
        messages=ASK,
        user="desk-7",
        extra_headers={"X-Customer-Id": "A", "Cache-Control": "max-age=5"},
        extra_body={"config": {"configurable": {"no_cache": True}}},
    )
    chat = running.server.requests[0].chat
    assert (chat.session_id, chat.customer_id, chat.max_age, chat.no_cache) == ("desk-7", "A", 5.0, True)


def test_raw_response_headers(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="demo:vendor/large:free", messages=ASK)
    assert raw.headers["x-tilores-cache"] == "l1"
    assert raw.parse().choices[0].message.content == "from the cache"


def test_stream(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="demo:plain", messages=ASK, stream=True))
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len([chunk for chunk in chunks if chunk.choices[0].delta.content]) == 3
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def test_stream_with_usage(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="demo:plain", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == []
    # Once only: a client that adds up what it finds must not count twice.
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [18]


@pytest.mark.parametrize("model", ["demo:vendor/large:free", "demo:empty"])
def test_stream_without_pieces(client: OpenAI, model: str) -> None:
    chunks = list(client.chat.completions.create(model=model, messages=ASK, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == ("" if model == "demo:empty" else "from the cache")
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_tool_calls(client: OpenAI, running: Running) -> None:
    done = client.chat.completions.create(model="demo:tools", messages=ASK, tools=TOOLS, tool_choice="auto")
    message: Any = done.choices[0].message
    assert done.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls[0].to_dict() == CALL
    # The SDK's own message goes back as history.
    result: Any = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
    client.chat.completions.create(model="demo:plain", messages=[*ASK, message, result], tools=TOOLS)
    assert running.server.requests[1].chat.messages[1:] == (
        {"role": "assistant", "content": "Let me see.", "tool_calls": [CALL]},
        {"role": "tool", "content": "rain", "tool_call_id": "call_abc"},
    )


def test_the_sdk_puts_streamed_tool_calls_together(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model="demo:tools", messages=ASK, tools=TOOLS, stream_options={"include_usage": True}
    ) as stream:
        done = stream.get_final_completion()
    message = done.choices[0].message
    assert message.content == "Let me see."
    assert message.tool_calls is not None
    [call] = message.tool_calls
    assert (call.id, call.function.name, call.function.arguments) == ("call_abc", "weather", '{"city":"Bath"}')
    assert done.choices[0].finish_reason == "tool_calls"
    assert done.usage is not None
    assert done.usage.total_tokens == 18


def test_models(client: OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert list(models) == ["demo:plain", "demo:vendor/large:free", "openai:gpt-4o-mini"]
    assert models["demo:plain"].owned_by == "demo"
    assert models["openai:gpt-4o-mini"].to_dict()["unavailable_reason"] == "set OPENAI_API_KEY"
    for identifier, model in models.items():
        assert client.models.retrieve(identifier) == model
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("demo:nothing")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("path", ["demo:vendor/large:free", "demo%3Avendor%2Flarge%3Afree"])
def test_a_models_id_may_be_encoded_or_not(running: Running, path: str) -> None:
    found = httpx.get(f"{running.v1}/models/{path}", headers={"Authorization": f"Bearer {KEY}"})
    assert found.json()["id"] == "demo:vendor/large:free"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "kind", "status", "code"),
    [
        ("demo:limited", openai.RateLimitError, 429, "rate_limit_exceeded"),
        ("demo:full", openai.InternalServerError, 503, "service_unavailable"),
        ("demo:source-down", openai.InternalServerError, 503, "service_unavailable"),
        ("demo:provider-down", openai.InternalServerError, 503, "service_unavailable"),
        ("demo:late", openai.InternalServerError, 503, "service_unavailable"),
        ("demo:long", openai.BadRequestError, 400, "context_length_exceeded"),
        ("demo:refused", openai.BadRequestError, 400, "content_filter"),
        ("demo:forbidden", openai.PermissionDeniedError, 403, None),
        ("demo:large", openai.APIStatusError, 413, None),
        ("demo:nothing", openai.NotFoundError, 404, "model_not_found"),
        ("demo:bug", openai.InternalServerError, 500, None),
    ],
)
def test_error_classes(
    client: OpenAI, model: str, kind: type[openai.APIStatusError], status: int, code: str | None, stream: bool
) -> None:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model=model, messages=ASK, stream=stream)
    error = caught.value
    assert (error.status_code, error.code, error.request_id) == (status, code, "req-test")
    assert error.type
    assert "4711" not in str(error)
    assert "api.example.test" not in str(error)


def test_a_wrong_field_is_named(client: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": [{"type": "video", "video": {}}]}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="demo:plain", messages=messages)
    assert caught.value.param == "messages[0].content[0].type"
    assert caught.value.type == "invalid_request_error"


def test_a_wrong_key(running: Running) -> None:
    with OpenAI(base_url=running.v1, api_key="wrong") as client, pytest.raises(openai.AuthenticationError) as caught:
        client.models.list()
    assert caught.value.code == "invalid_api_key"


def test_other_endpoints_are_not_pretended(client: OpenAI, running: Running) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model="demo:plain", input="x")
    assert caught.value.type == "invalid_request_error"
    wrong = httpx.get(f"{running.v1}/chat/completions", headers={"Authorization": f"Bearer {KEY}"})
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json()["error"]["type"] == "invalid_request_error"


def test_a_failure_in_the_middle_of_a_stream(client: OpenAI, running: Running) -> None:
    got: list[Any] = []
    stream = client.chat.completions.create(model="demo:breaks", messages=ASK, stream=True)
    with pytest.raises(openai.APIError, match="the model went away"):
        got.extend(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in got) == "Edwina"
    assert all(chunk.choices[0].finish_reason is None for chunk in got)
    assert len(running.server.errors) == 1


def test_the_sdk_tries_again_when_that_helps_and_only_then(running: Running) -> None:
    with OpenAI(base_url=running.v1, api_key=KEY, max_retries=2) as client:
        assert client.chat.completions.create(model="demo:recovers", messages=ASK).choices[0].message.content == TEXT
        for model in ("demo:bug", "demo:provider-key"):
            with pytest.raises(openai.InternalServerError):
                client.chat.completions.create(model=model, messages=ASK)
    assert running.server.attempts == {"recovers": 2, "bug": 1, "provider-key": 1}


def test_comments_keep_a_quiet_stream_alive(client: OpenAI, running: Running) -> None:
    running.server.keep_alive = 0.05
    chunks = list(client.chat.completions.create(model="demo:quiet", messages=ASK, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "so far"


def test_leaving_in_the_middle_stops_the_engine(client: OpenAI, running: Running) -> None:
    with client.chat.completions.create(model="demo:endless", messages=ASK, stream=True) as stream:
        next(iter(stream))
    assert running.server.cancelled.wait(60)


async def test_the_async_client(running: Running) -> None:
    async with AsyncOpenAI(base_url=running.v1, api_key=KEY, max_retries=0) as client:
        done = await client.chat.completions.create(model="demo:plain", messages=ASK)
        assert done.choices[0].message.content == TEXT
        stream = await client.chat.completions.create(
            model="demo:tools", messages=ASK, tools=TOOLS, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        pieces = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or ()]
        assert {piece.index for piece in pieces} == {0}
        functions = [piece.function for piece in pieces if piece.function]
        assert [function.name for function in functions if function.name] == ["weather"]
        assert orjson.loads("".join(function.arguments or "" for function in functions)) == {"city": "Bath"}
        assert "demo:plain" in [model.id async for model in client.models.list()]
        assert (await client.models.retrieve("demo:vendor/large:free")).id == "demo:vendor/large:free"
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="demo:limited", messages=ASK)
        broken = await client.chat.completions.create(model="demo:breaks", messages=ASK, stream=True)
        with pytest.raises(openai.APIError, match="the model went away"):
            [chunk async for chunk in broken]
