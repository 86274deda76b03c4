"""The clients that people use, against the real server: langserve's RemoteRunnable and the openai package."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from tests.e2e.running_server import RunningServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # langserve's own, while it is imported
    from langserve import RemoteRunnable

SCORE = "What is Edwina Hawthorne's credit score?"
ANSWER = "Edwina Hawthorne's credit score is 742."
MODEL = "demo:simulated-1"


# --- langserve ----------------------------------------------------------------------------------------------


@pytest.fixture
async def remote(server: RunningServer) -> AsyncIterator[RemoteRunnable[Any, Any]]:
    client: RemoteRunnable[Any, Any] = RemoteRunnable(server.chat, timeout=30)
    yield client
    client.sync_client.close()
    await client.async_client.aclose()


def whole(pieces: list[Any]) -> Any:
    total = pieces[0]
    for piece in pieces[1:]:
        total = total + piece
    return total


async def test_remote_invoke(remote: Any) -> None:
    reply = remote.invoke(SCORE)
    assert type(reply) is AIMessage
    assert reply.content == ANSWER
    told = (await remote.ainvoke(SCORE)).response_metadata
    assert (told["cache"], told["model"], told["cost"], told["stale"]) == ("l1", MODEL, 0.0, False)
    assert told["customer_id"] == "EDW_HAWTHORNE_001"
    assert told["spectrum"] == "credit_analysis"


async def test_remote_batch(remote: Any) -> None:
    questions = [SCORE, "What is Zebulon Quackenbush's credit score?"]
    for replies in (remote.batch(questions), await remote.abatch(questions)):
        assert replies[0].content == ANSWER
        assert replies[1].response_metadata["customer"] == {"kind": "none"}
    ids = [{"configurable": {"customer_id": name}} for name in ("EDW_HAWTHORNE_001", "ING_EKDAHL_001")]
    replies = remote.batch(["Credit score?"] * 2, ids)
    assert [reply.response_metadata["customer_id"] for reply in replies] == ["EDW_HAWTHORNE_001", "ING_EKDAHL_001"]
    assert [("742" in reply.content) for reply in replies] == [True, False]


@pytest.mark.parametrize("fresh", [True, False], ids=["from the model", "from the cache"])
async def test_remote_streams(remote: Any, fresh: bool) -> None:
    config: Any = {"configurable": {"no_cache": fresh}}
    remote.invoke(SCORE)
    pieces = list(remote.stream(SCORE, config))
    assert all(type(piece) is AIMessageChunk for piece in pieces)
    assert whole(pieces).content == ANSWER
    assert whole(pieces).response_metadata["cache"] == ("miss" if fresh else "l1")
    assert whole([piece async for piece in remote.astream(SCORE, config)]).content == ANSWER

    patch = whole([patch async for patch in remote.astream_log(SCORE, config)])
    assert patch.state["final_output"].content == ANSWER
    assert whole(patch.state["streamed_output"]).content == ANSWER

    events = [event async for event in remote.astream_events(SCORE, config, version="v2")]
    assert (events[0]["event"], events[-1]["event"]) == ("on_chain_start", "on_chain_end")
    assert events[-1]["data"]["output"].content == ANSWER
    spoken = [event["data"]["chunk"].content for event in events if event["event"] == "on_chain_stream"]
    assert "".join(spoken) == ANSWER


async def test_remote_in_a_composition(remote: Any) -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "What is {who}'s credit score?")])
    chain = prompt | remote | StrOutputParser()
    assert chain.invoke({"who": "Edwina Hawthorne"}) == ANSWER
    assert "".join([piece async for piece in chain.astream({"who": "Edwina Hawthorne"})]) == ANSWER


async def test_remote_failure_names_the_field(remote: Any) -> None:
    with pytest.raises(Exception, match="there is no model") as caught:
        remote.invoke(SCORE, {"configurable": {"model": "nobody:nothing"}})
    assert "422" in str(caught.value)
    with pytest.raises(Exception, match="422"):
        [piece async for piece in remote.astream({"topic": SCORE})]


# --- openai -------------------------------------------------------------------------------------------------


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.v1, api_key="any", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
async def aclient(server: RunningServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=server.v1, api_key="any", max_retries=0, timeout=30) as client:
        yield client


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


async def test_openai_chat(client: openai.OpenAI, aclient: openai.AsyncOpenAI) -> None:
    done = client.chat.completions.create(model=MODEL, messages=user(SCORE))
    assert done.choices[0].message.content == ANSWER
    assert done.choices[0].finish_reason == "stop"
    assert done.usage is not None
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens > 0
    again = await aclient.chat.completions.with_raw_response.create(model=MODEL, messages=user(SCORE))
    assert again.headers["x-tilores-cache"] == "l1"
    parsed = again.parse()
    assert parsed.choices[0].message.content == ANSWER
    assert parsed.usage == done.usage
    assert parsed.id != done.id


@pytest.mark.parametrize("fresh", ["true", "false"])
async def test_openai_streams(client: openai.OpenAI, aclient: openai.AsyncOpenAI, fresh: str) -> None:
    client.chat.completions.create(model=MODEL, messages=user(SCORE))
    chunks = list(
        client.chat.completions.create(model=MODEL, messages=user(SCORE), stream=True, metadata={"no_cache": fresh})
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in chunks)
    counted = [
        chunk
        async for chunk in await aclient.chat.completions.create(
            model=MODEL,
            messages=user(SCORE),
            stream=True,
            stream_options={"include_usage": True},
            metadata={"no_cache": fresh},
        )
    ]
    assert counted[-1].choices == []
    assert counted[-1].usage is not None
    assert counted[-1].usage.total_tokens > 0


async def test_openai_models(client: openai.OpenAI, aclient: openai.AsyncOpenAI) -> None:
    listed = [model.id for model in client.models.list()]
    assert MODEL in listed
    for name in listed:
        assert (await aclient.models.retrieve(name)).id == name
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody:nothing")


def test_openai_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nobody:nothing", messages=user(SCORE))
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as empty:
        client.chat.completions.create(model=MODEL, messages=[])
    assert empty.value.param == "messages"
    with pytest.raises(openai.BadRequestError) as hot:
        client.chat.completions.create(model=MODEL, messages=user(SCORE), temperature=3)
    assert (hot.value.param, hot.value.type) == ("temperature", "invalid_request_error")
    assert hot.value.request_id
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model=MODEL, input=SCORE)
