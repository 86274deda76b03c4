"""Each dialect through the partner package that speaks it: plain, streamed, with a tool, and with what goes wrong."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
import pytest_asyncio
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage

from tests.fake_upstream.partner_models import NAMES, model_of
from tilores_core.testing.fake_upstream import (
    Cut,
    ErrorEvent,
    FakeUpstream,
    HttpError,
    MalformedEvent,
    MalformedReply,
    Reply,
    ToolCall,
)

# The partner packages keep their clients, some for as long as the process lives, and cannot be told to close them:
# hence one event loop for all of this file.
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
]

TEXT = "Grüße aus Łódź, 東京 und 🏔️. Das Konto steht bei 40 €."
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "find_customer",
        "description": "Find a customer.",
        "parameters": {"type": "object", "properties": {"email": {"type": "string"}}, "required": ["email"]},
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def _collected() -> AsyncIterator[None]:
    """What the partner packages left open is closed here, and not in the time of somebody else's test."""
    yield
    gc.collect()
    await asyncio.sleep(0.05)  # their sockets close in later rounds of the loop
    gc.collect()


@pytest_asyncio.fixture(params=NAMES, loop_scope="module")
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream(request.param) as made:
        yield made


@pytest.fixture
def model(upstream: FakeUpstream) -> BaseChatModel:
    return model_of(upstream)


async def streamed(model: Any, asked: Any) -> AIMessageChunk:
    whole: AIMessageChunk | None = None
    async for chunk in model.astream(asked):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    return whole


async def failed(answering: Awaitable[Any]) -> bool:
    try:
        await answering
    except Exception:
        return True
    return False


async def test_plain(upstream: FakeUpstream, model: BaseChatModel) -> None:
    upstream.enqueue(Reply(TEXT, input_tokens=7))
    message = await model.ainvoke("Hello")
    assert message.text == TEXT
    assert message.usage_metadata is not None
    assert message.usage_metadata["input_tokens"] == 7
    assert message.usage_metadata["output_tokens"] == len(TEXT.split())
    (asked,) = upstream.requests
    # Ollama's package streams whichever way it is asked.
    assert asked.streamed is (upstream.dialect.name == "ollama")
    assert (asked.done, asked.disconnected) == (True, False)
    assert sum(upstream.counts.values()) == upstream.counts[asked.model] == 1


async def test_streamed(upstream: FakeUpstream, model: BaseChatModel) -> None:
    upstream.enqueue(Reply(TEXT, input_tokens=7, between=0.001))
    chunks = [chunk async for chunk in model.astream("Hello")]
    assert "".join(chunk.text for chunk in chunks) == TEXT
    assert sum(1 for chunk in chunks if chunk.text) == len(TEXT.split())
    spent = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert sum(usage["input_tokens"] for usage in spent) == 7
    assert sum(usage["output_tokens"] for usage in spent) == len(TEXT.split())
    assert upstream.requests[0].streamed


async def test_tools_plain_and_streamed(upstream: FakeUpstream, model: BaseChatModel) -> None:
    bound = model.bind_tools([TOOL])
    asked = "Please find the customer with the address edwina@example.com"
    for message in (await bound.ainvoke(asked), await streamed(bound, asked)):
        assert [(call["name"], call["args"]) for call in message.tool_calls] == [
            ("find_customer", {"email": "edwina@example.com"})
        ]
        assert message.usage_metadata is not None
    assert not (await bound.ainvoke("Good day")).tool_calls


async def test_a_tools_result_is_read(upstream: FakeUpstream, model: BaseChatModel) -> None:
    bound = model.bind_tools([TOOL])
    asked = HumanMessage("Please find the customer with the address edwina@example.com")
    called = await bound.ainvoke([asked])
    assert isinstance(called, AIMessage)
    result = ToolMessage("found: 4711", tool_call_id=called.tool_calls[0]["id"] or "", name="find_customer")
    message = await bound.ainvoke([asked, called, result])
    assert "4711" in message.text
    assert not message.tool_calls


async def test_scripted_calls(upstream: FakeUpstream, model: BaseChatModel) -> None:
    calls = (ToolCall("one", {"a": 1, "b": "zwölf"}), ToolCall("two", {"c": [1, 2]}))
    upstream.enqueue(Reply(tool_calls=calls), Reply(tool_calls=calls))
    bound = model.bind_tools([TOOL])
    for message in (await bound.ainvoke("Hello"), await streamed(bound, "Hello")):
        assert [(call["name"], call["args"]) for call in message.tool_calls] == [
            ("one", {"a": 1, "b": "zwölf"}),
            ("two", {"c": [1, 2]}),
        ]
        assert len({call["id"] for call in message.tool_calls}) == 2


async def test_a_limit_and_a_stop_are_kept(upstream: FakeUpstream) -> None:
    made = model_of
    limit = "num_predict" if upstream.dialect.name == "ollama" else "max_tokens"
    short = await made(upstream, **dict[str, Any]({limit: 2})).ainvoke("Hello")
    assert short.usage_metadata is not None
    assert short.usage_metadata["output_tokens"] == 2
    assert {"length", "max_tokens", "MAX_TOKENS"} & set(map(str, short.response_metadata.values()))
    upstream.enqueue("One. Two. Three.")
    stopped = await made(upstream).ainvoke("Hello", stop=["Two"])
    assert stopped.text.strip() == "One."


async def test_a_wrong_key_and_an_unknown_model(upstream: FakeUpstream) -> None:
    made = model_of
    unknown = made(upstream, model="no-such-model")
    with pytest.raises(Exception, match=r"(?i)404|not found|invalid model|not exist|not a valid model"):
        await unknown.ainvoke("Hello")
    if upstream.dialect.name == "ollama":
        return  # it asks for no key
    with pytest.raises(Exception, match=r"(?i)401|unauthorized|key|user not found"):
        await made(upstream, key="wrong-key-0000000000").ainvoke("Hello")


@pytest.mark.parametrize(
    "fault",
    [
        HttpError(status=429, retry_after=2),
        HttpError(status=500),
        HttpError(status=503),
        HttpError(status=529),
        Cut(after=2),
        ErrorEvent(after=2),
        MalformedEvent(after=2),
        MalformedReply(),
    ],
    ids=lambda fault: type(fault).__name__ + str(getattr(fault, "status", "")),
)
async def test_faults_reach_the_caller_once(upstream: FakeUpstream, model: BaseChatModel, fault: Any) -> None:
    upstream.enqueue(fault, fault)
    assert await failed(model.ainvoke("Hello"))
    if upstream.dialect.name == "mistral" and isinstance(fault, ErrorEvent):
        # LangChain passes over a chunk without choices; what is left has no reason to have ended.
        assert "finish_reason" not in (await streamed(model, "Hello")).response_metadata
    else:
        assert await failed(streamed(model, "Hello"))
    assert len(upstream.requests) == 2
    assert (await model.ainvoke("Hello")).text


async def test_thinking_is_shown(upstream: FakeUpstream, model: BaseChatModel) -> None:
    if upstream.dialect.name in ("openai", "mistral", "openrouter", "openai-compatible"):
        pytest.skip("the partner package or the protocol has no place for it")
    upstream.enqueue(Reply("Forty.", reasoning="Let me see"), Reply("Forty.", reasoning="Let me see"))
    if upstream.dialect.name == "ollama":
        model = model_of(upstream, reasoning=True)
    for message in (await model.ainvoke("Hello"), await streamed(model, "Hello")):
        assert "Forty." in message.text
        assert "Let me see" in str(message)
