"""The scripted provider keeps the contract of a provider, and shows what it was asked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import aclosing

import pytest

from tilores_core.contracts import LLMProvider, Usage
from tilores_core.errors import ProviderError, ProviderUnavailableError
from tilores_core.testing import FakeProvider, FakeReply
from tilores_core.testing.providers import LLMProviderSuite
from tilores_core.testing.waiting import eventually

CALL = {"id": "call-1", "type": "function", "function": {"name": "find", "arguments": '{"email":"a@example.com"}'}}


class TestFakeProviderConforms(LLMProviderSuite):
    deterministic = True
    supports_stop = False
    supports_max_tokens = False
    supports_tools = False
    supports_json = False

    @pytest.fixture
    def provider(self) -> LLMProvider:
        return FakeProvider(otherwise="I can answer questions. I can also wait.", unlisted=False)

    @pytest.fixture
    def model(self) -> str:
        return "fake-1"


async def test_replies_come_in_the_order_they_were_queued() -> None:
    provider = FakeProvider()
    provider.enqueue("one", ProviderUnavailableError("down", provider="fake"), FakeReply(text="three"))
    chat = provider.chat_model("fake-1", {})
    assert (await chat.ainvoke("a")).text == "one"
    with pytest.raises(ProviderUnavailableError):
        await chat.ainvoke("b")
    assert provider.waiting == 1
    assert (await chat.ainvoke("c")).text == "three"
    assert [call.text for call in provider.asked] == ["a", "b", "c"]


async def test_a_call_too_many_is_seen() -> None:
    with pytest.raises(AssertionError, match="no reply is queued"):
        await FakeProvider().chat_model("fake-1", {}).ainvoke("a")


async def test_a_reply_may_depend_on_the_call() -> None:
    provider = FakeProvider(otherwise=lambda call: f"{call.model} read: {call.text}")
    assert (await provider.chat_model("x", {}).ainvoke("hello")).text == "x read: hello"


async def test_a_stream_can_fail_half_way() -> None:
    provider = FakeProvider()
    provider.enqueue(FakeReply(text="one two three", error=RuntimeError("gone"), error_after=2))
    stream = aiter(provider.chat_model("fake-1", {}).astream("a"))
    assert [(await anext(stream)).text for _ in range(2)] == ["one ", "two "]
    with pytest.raises(RuntimeError, match="gone"):
        await anext(stream)


async def test_tool_calls_whole_and_in_pieces() -> None:
    provider = FakeProvider(otherwise=FakeReply(tool_calls=(CALL,), finish_reason="tool_calls", usage=Usage()))
    chat = provider.chat_model("fake-1", {})
    whole = await chat.ainvoke("a")
    streamed = None
    async for chunk in chat.astream("a"):
        streamed = chunk if streamed is None else streamed + chunk
    assert streamed is not None
    assert whole.tool_calls[0]["args"] == streamed.tool_calls[0]["args"] == {"email": "a@example.com"}


async def test_a_cancelled_call_is_counted() -> None:
    provider = FakeProvider(otherwise=FakeReply(text="never", until=asyncio.Event()))
    task = asyncio.create_task(provider.chat_model("fake-1", {}).ainvoke("a"))
    await eventually(lambda: provider.running)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (provider.running, provider.cancelled) == (0, 1)


async def test_a_stream_that_is_left_is_counted() -> None:
    provider = FakeProvider(otherwise="one two three")
    async with aclosing(provider.chat_model("fake-1", {}).astream("a")) as stream:  # type: ignore[type-var]
        async for _ in stream:
            break
    assert (provider.running, provider.cancelled) == (0, 1)


def test_foreign_errors_are_mapped() -> None:
    provider = FakeProvider(name="acme")
    mapped = provider.map_error(RuntimeError("secret"))
    assert isinstance(mapped, ProviderError)
    assert mapped.provider == "acme"
    assert "secret" not in str(mapped)


def test_importing_it_does_not_import_langchain() -> None:
    code = "import sys; from tilores_core.testing import FakeProvider; print('langchain_core' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
