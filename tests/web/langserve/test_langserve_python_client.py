"""The real Python client against a real server."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate

from tilores_core.testing.waiting import eventually

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # langserve's own, while it is imported
    from langserve import RemoteRunnable

HELLO = "You said: hello\u2028\x85 – über 漢字 😀"


@pytest.fixture
async def remote(server: Any) -> AsyncIterator[RemoteRunnable[Any, Any]]:
    client: RemoteRunnable[Any, Any] = RemoteRunnable(server.url, timeout=60)
    yield client
    # Of itself it closes them when it is collected, from another event loop.
    client.sync_client.close()
    await client.async_client.aclose()


def test_invoke(remote: Any, server: Any) -> None:
    reply = remote.invoke("hello")
    assert type(reply) is AIMessage
    assert reply.content == HELLO
    assert str(reply.id).startswith("run-")
    assert reply.usage_metadata == {"input_tokens": 12, "output_tokens": 5, "total_tokens": 17}
    metadata = reply.response_metadata
    assert metadata["model"] == "demo:simulated-1"
    assert metadata["cache"] == "miss"
    assert metadata["customer_id"] == "EDW_HAWTHORNE_001"
    assert metadata["customer"] == {"kind": "one"}
    assert metadata["latency_ms"] > 0


def test_invoke_with_every_shape_of_input(remote: Any, server: Any) -> None:
    history = [
        SystemMessage("Be brief."),
        HumanMessage("Weather?"),
        AIMessage("", tool_calls=[{"name": "look_up", "args": {"city": "Leeds"}, "id": "c1"}]),
        ToolMessage("rain", tool_call_id="c1"),
        ("human", "hello"),
    ]
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{word}")])
    assert remote.invoke(history).content == HELLO
    assert server.engine.asked[-1].messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "look_up", "arguments": '{"city":"Leeds"}'},
                }
            ],
        },
        {"role": "tool", "content": "rain", "tool_call_id": "c1"},
        {"role": "user", "content": "hello"},
    )
    assert (prompt | remote).invoke({"word": "hello"}).content == HELLO
    assert server.engine.asked[-1].messages[0]["role"] == "system"
    assert (PromptTemplate.from_template("{word}") | remote).invoke({"word": "hello"}).content == HELLO
    assert remote.invoke({"input": "hello", "chat_history": []}).content == HELLO


def test_config_travels(remote: Any, server: Any) -> None:
    configurable = {
        "customer_id": "EDW_HAWTHORNE_001",
        "model": "openai:gpt-4o-mini",
        "session_id": "call-7",
        "max_age": 60,
        "no_cache": True,
        "temperature": 0,
    }
    remote.invoke("hello", {"configurable": configurable, "tags": ["desk"], "metadata": {"line": 3}})
    asked = server.engine.asked[-1]
    assert (asked.customer_id, asked.model, asked.session_id) == ("EDW_HAWTHORNE_001", "openai:gpt-4o-mini", "call-7")
    assert (asked.max_age, asked.no_cache, asked.parameters) == (60.0, True, {"temperature": 0.0})


async def test_ainvoke_and_abatch(remote: Any) -> None:
    assert (await remote.ainvoke("hello")).content == HELLO
    assert [reply.content for reply in await remote.abatch(["hello", "hello"])] == [HELLO, HELLO]


def test_batch_keeps_order_and_takes_one_config_each(remote: Any, server: Any) -> None:
    configs = [{"configurable": {"customer_id": f"C{n}"}} for n in range(3)]
    replies = remote.batch(["a", "b", "c"], configs)
    assert [reply.content[10] for reply in replies] == ["a", "b", "c"]
    assert sorted(str(asked.customer_id) for asked in server.engine.asked) == ["C0", "C1", "C2"]


def check_sum(chunks: list[AIMessageChunk]) -> None:
    assert len(chunks) > 3
    assert all(type(chunk) is AIMessageChunk for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == 1
    assert [chunk.chunk_position for chunk in chunks].count("last") == 1
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    assert whole.content == HELLO
    assert whole.usage_metadata == {"input_tokens": 12, "output_tokens": 5, "total_tokens": 17}
    assert whole.response_metadata["finish_reason"] == "stop"
    assert whole.response_metadata["model"] == "demo:simulated-1"


def test_stream(remote: Any) -> None:
    check_sum(list(remote.stream("hello")))


async def test_astream(remote: Any) -> None:
    check_sum([chunk async for chunk in remote.astream("hello")])


def test_streamed_tool_calls_add_up(remote: Any) -> None:
    chunks = list(remote.stream("tools"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    expected = [{"name": "look_up", "args": {"city": "Leeds", "days": 2}, "id": "call_1", "type": "tool_call"}]
    assert whole.tool_calls == expected
    assert whole.content == ""
    assert remote.invoke("tools").tool_calls == expected


def test_an_answer_that_comes_whole_is_streamed_too(remote: Any) -> None:
    chunks = list(remote.stream("whole"))
    assert [chunk.content for chunk in chunks] == ["All at once.", ""]
    assert chunks[-1].response_metadata["cache"] == "l1"
    assert chunks[-1].response_metadata["age_s"] == 1.235


def test_composition(remote: Any) -> None:
    chain = remote | StrOutputParser()
    assert chain.invoke("hello") == HELLO
    assert "".join(chain.stream("hello")) == HELLO


async def test_astream_events(remote: Any) -> None:
    events = [event async for event in remote.astream_events("hello", version="v2")]
    root = events[0]
    assert (root["event"], root["name"], root["data"]) == ("on_chain_start", "/chat", {"input": "hello"})
    assert root["parent_ids"] == []
    assert events[1]["event"] == "on_chat_model_start"
    assert events[1]["data"]["input"]["messages"] == [[HumanMessage("hello")]]
    assert events[1]["parent_ids"] == [root["run_id"]]
    assert events[1]["metadata"]["ls_provider"] == "demo"
    for name in ("chain", "chat_model"):
        pieces = [event["data"]["chunk"] for event in events if event["event"] == f"on_{name}_stream"]
        assert "".join(piece.content for piece in pieces) == HELLO
    assert [event["event"] for event in events[-2:]] == ["on_chat_model_end", "on_chain_end"]
    assert events[-1]["run_id"] == root["run_id"]
    whole = events[-1]["data"]["output"]
    assert isinstance(whole, AIMessage)
    assert (whole.content, whole.response_metadata["cache"]) == (HELLO, "miss")


async def test_astream_events_filters_and_private_metadata(remote: Any) -> None:
    config = {"tags": ["desk"], "metadata": {"line": 3, "__secret": 1}}
    models = [event async for event in remote.astream_events("hello", config, include_types=["chat_model"])]
    assert {event["name"] for event in models} == {"ChatModel"}
    assert models[0]["tags"] == ["desk"]
    assert models[0]["metadata"]["line"] == 3
    assert "__secret" not in models[0]["metadata"]
    roots = [event async for event in remote.astream_events("hello", exclude_types=["chat_model"])]
    assert {event["name"] for event in roots} == {"/chat"}
    assert [event async for event in remote.astream_events("hello", config, exclude_tags=["desk"])] == []


async def test_astream_log(remote: Any) -> None:
    patches = [patch async for patch in remote.astream_log("hello")]
    log = patches[0]
    for patch in patches[1:]:
        log = log + patch
    state = log.state
    assert state["final_output"].content == HELLO
    assert state["final_output"].usage_metadata["total_tokens"] == 17
    assert "".join(chunk.content for chunk in state["streamed_output"]) == HELLO
    assert (state["name"], state["type"]) == ("/chat", "chain")
    model = state["logs"]["ChatModel"]
    assert "".join(model["streamed_output_str"]) == HELLO
    assert model["final_output"].content == HELLO
    assert model["start_time"] <= model["end_time"]
    sums = [op["value"] for patch in patches for op in patch.ops if op["path"] == "/final_output"]
    assert [len(sums[0].content), len(sums[1].content)] == [8, 16]


async def test_astream_log_filters_inner_runs_only(remote: Any) -> None:
    patches = [patch async for patch in remote.astream_log("hello", exclude_types=["chat_model"])]
    log = patches[0]
    for patch in patches[1:]:
        log = log + patch
    assert log.state["logs"] == {}
    assert log.state["final_output"].content == HELLO


def test_errors_before_the_stream_are_answered_with_a_status(remote: Any) -> None:
    with pytest.raises(httpx.HTTPStatusError) as failed:
        remote.invoke("fail")
    assert failed.value.response.status_code == 503
    assert failed.value.response.headers["retry-after"] == "1"
    assert "10.0.0.7" not in str(failed.value)
    with pytest.raises(httpx.HTTPStatusError) as failed:
        list(remote.stream("limited"))
    assert failed.value.response.status_code == 429
    assert failed.value.response.headers["retry-after"] == "3"
    with pytest.raises(httpx.HTTPStatusError, match=r"input\.messages\[0\]\.role"):
        remote.invoke({"messages": [{"role": "king", "content": "hello"}]})


def test_an_error_in_the_middle_of_a_stream(remote: Any, server: Any) -> None:
    pieces = remote.stream("break")
    assert next(pieces).content == "You said"
    with pytest.raises(httpx.HTTPStatusError) as failed:
        next(pieces)
    assert failed.value.response.status_code == 500
    assert str(failed.value) == "Internal Server Error"
    assert [str(error) for error in server.errors] == ["Edwina's phone is +44 20 7183 8750"]


async def test_a_client_that_leaves_ends_the_engines_work(remote: Any, server: Any) -> None:
    pieces = remote.astream("slow")
    await anext(pieces)
    await pieces.aclose()
    await eventually(lambda: server.engine.closed)
    assert server.engine.closed == 1
    assert server.errors == []


def test_config_in_the_path(server: Any) -> None:
    # Made with lz-string 1.5.0: {"configurable":{"customer_id":"EDW_HAWTHORNE_001"}}
    packed = "N4Igxg9gdgZglgcwK4CcCGAjANgUxALlDCQGcAXCAWxxQH04ATAkAUQBEB1WgCQEEOAKtwDyAJQByLWgAZpARhABfRUA"
    client: RemoteRunnable[Any, Any] = RemoteRunnable(f"{server.url}/c/{packed}", timeout=60)
    assert client.invoke("hello").content == HELLO
    assert server.engine.asked[-1].customer_id == "EDW_HAWTHORNE_001"
    client.invoke("hello", {"configurable": {"customer_id": "another"}})
    assert server.engine.asked[-1].customer_id == "another"
    reply = httpx.post(f"{server.url}/c/!!/invoke", json={"input": "hello"})
    assert (reply.status_code, reply.json()["detail"]) == (400, "Invalid config hash")
    client.sync_client.close()
