"""The demo provider: conformance, settings, waiting, failing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import ValidationError

from tilores_core import (
    InvalidRequestError,
    LLMProvider,
    LLMProviderSpec,
    PluginContext,
    ProviderError,
    ProviderUnavailableError,
    UnknownModelError,
    UnsupportedParameterError,
)
from tilores_core.testing import eventually
from tilores_core.testing.providers import LLMProviderSuite
from tilores_plugins.providers import demo
from tilores_plugins.providers.demo.provider import DemoProvider, build
from tilores_plugins.providers.demo.settings import DemoModelSettings
from tilores_plugins.providers.demo.weaknesses import WEAKNESSES


def chat(parameters: dict[str, Any] | None = None, **settings: Any) -> Any:
    return DemoProvider(DemoModelSettings(**settings)).chat_model("simulated-1", parameters or {})


class TestDemo(LLMProviderSuite):
    deterministic = True
    unsupported_parameter = ("top_logprobs", 5)

    @pytest.fixture
    def provider(self) -> LLMProvider:
        return DemoProvider(DemoModelSettings())

    @pytest.fixture
    def model(self) -> str:
        return "simulated-1"


class TestSlowDemo(TestDemo):
    @pytest.fixture
    def provider(self) -> LLMProvider:
        return DemoProvider(DemoModelSettings(latency_ms=5, tokens_per_second=5000))


def test_the_hook_describes_what_can_be_built(tmp_path: Path) -> None:
    (spec,) = demo.register_llm_providers()
    assert isinstance(spec, LLMProviderSpec)
    assert spec.name == "demo"
    assert spec.factory == f"{build.__module__}:{build.__name__}"
    assert spec.settings == f"{DemoModelSettings.__module__}:{DemoModelSettings.__name__}"
    built = build(PluginContext(plugin_id="demo-model", settings=DemoModelSettings(), data_dir=tmp_path))
    infos = built.models()
    assert [info.id for info in infos] == ["simulated-1", *WEAKNESSES]
    for info in infos:
        assert info.id.startswith("simulated-")
        assert (info.simulated, info.context_window) == (True, 128_000)
        assert (info.input_price, info.output_price, info.unavailable) == (0, 0, None)


def test_langchain_is_imported_only_with_the_first_model() -> None:
    program = (
        "import sys, tilores_plugins.providers.demo\n"
        "from tilores_plugins.providers.demo.provider import DemoProvider\n"
        "from tilores_plugins.providers.demo.settings import DemoModelSettings\n"
        "provider = DemoProvider(DemoModelSettings()); provider.models()\n"
        "assert not any(name.startswith('langchain') for name in sys.modules), 'too early'\n"
        "provider.chat_model('simulated-1', {})\n"
        "assert 'langchain_core' in sys.modules\n"
        "assert not {'openai', 'anthropic', 'fastapi'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "bad",
    [{"latency_ms": -1}, {"failure_rate": 1.1}, {"tokens_per_second": -2}, {"latency": 5}, {"seed": "x"}],
)
def test_settings_refuse_nonsense(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DemoModelSettings(**bad)


# --- parameters


def test_unknown_model_says_what_there_is() -> None:
    with pytest.raises(UnknownModelError, match="demo:simulated-1"):
        DemoProvider(DemoModelSettings()).chat_model("gpt-9", {})


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", 2), ("logprobs", True), ("audio", {}), ("response_format", {"type": "json_schema"}), ("web_search", True)],
)
def test_what_it_cannot_do_is_named(name: str, value: Any) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        chat({name: value})
    assert caught.value.param == name


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("value", [0, -1, "ten", True])
def test_bad_token_limits(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        chat({name: value})
    assert caught.value.param == name


def test_what_has_no_effect_is_taken() -> None:
    parameters = {
        "temperature": 1.9,
        "top_p": 0.1,
        "seed": 4,
        "user": "ann",
        "n": 1,
        "logprobs": False,
        "frequency_penalty": 1,
        "tool_choice": None,
        "response_format": {"type": "text"},
        "reasoning_effort": "low",
    }
    assert chat(parameters).invoke("Hello").text == chat().invoke("Hello").text


@pytest.mark.parametrize(
    "parameters",
    [{"max_tokens": 50, "max_completion_tokens": 2}, {"max_completion_tokens": 2, "max_tokens": 50}],
)
def test_max_completion_tokens_wins(parameters: dict[str, Any]) -> None:
    message = chat(parameters).invoke("Hello")
    assert len(message.text) == 8
    assert message.usage_metadata["output_tokens"] == 2


@pytest.mark.parametrize("stop", ["demo", ["never said", "demo"], ("demo",)])
def test_stop_of_any_kind(stop: Any) -> None:
    whole = chat().invoke("Hello").text
    assert chat({"stop": stop}).invoke("Hello").text == whole[: whole.index("demo")]
    assert chat().invoke("Hello", stop=["demo"]).text == whole[: whole.index("demo")]


def test_pictures_are_refused_by_name() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(UnsupportedParameterError) as caught:
        chat().invoke([HumanMessage([{"type": "text", "text": "What is this?"}, picture])])
    assert caught.value.param == "messages"


def test_parts_of_text_are_read_together() -> None:
    parts = HumanMessage([{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}])
    assert chat().invoke([parts]).text == chat().invoke("Hello").text


# --- labels and usage


async def test_it_says_that_it_is_simulated() -> None:
    message = await chat().ainvoke("Who are you?")
    assert "simulated" in message.text
    assert message.response_metadata["simulated"] is True
    assert message.response_metadata["model_name"] == "simulated-1"
    chunks = [chunk async for chunk in chat().astream("Who are you?")]
    assert chunks[-1].response_metadata["model_name"] == "simulated-1"
    assert chunks[-1].response_metadata["simulated"] is True
    assert sum(bool(chunk.usage_metadata) for chunk in chunks) == 1


def test_usage_follows_the_length_of_the_text() -> None:
    message = chat().invoke([SystemMessage("x" * 400), HumanMessage("Hello you")])
    assert message.usage_metadata["input_tokens"] == 100 + 3
    assert message.usage_metadata["output_tokens"] == -(-len(message.text) // 4)


# --- tools


@tool
def find_customer(email: str, limit: int = 5) -> str:
    """Find a customer by e-mail address."""
    return f"{email} {limit}"


def functions(*names: str, properties: dict[str, Any] | None = None, required: list[str] | None = None) -> list[Any]:
    parameters = {"type": "object", "properties": properties or {}, "required": required or []}
    return [{"type": "function", "function": {"name": name, "parameters": parameters}} for name in names]


def test_bound_tools_of_langchain() -> None:
    bound = chat().bind_tools([find_customer], tool_choice="any")
    (call,) = bound.invoke("Find ann@example.com, at most 3 please").tool_calls
    assert call["name"] == "find_customer"
    assert call["args"] == {"email": "ann@example.com", "limit": 3}


def test_tools_are_called_only_when_forced() -> None:
    tools = functions("one", "two")
    not_forcing: list[Any] = [None, "auto", "none"]
    for choice in not_forcing:
        assert not chat({"tools": tools, "tool_choice": choice}).invoke("Hello").tool_calls
    forcing: list[Any] = ["required", "any", True]
    for choice in forcing:
        assert chat({"tools": tools, "tool_choice": choice}).invoke("Hello").tool_calls[0]["name"] == "one"
    naming: list[Any] = ["two", {"type": "function", "function": {"name": "two"}}]
    for choice in naming:
        assert chat({"tools": tools, "tool_choice": choice}).invoke("Hello").tool_calls[0]["name"] == "two"


@pytest.mark.parametrize(
    ("name", "described", "question", "expected"),
    [
        ("query", {"type": "string"}, "Who is Ann Lee?", "Who is Ann Lee?"),
        ("full_name", {"type": "string"}, "Find Edwina Hawthorne now", "Edwina Hawthorne"),
        ("phone", {"type": "string"}, "She rang from +44 20 7183 8750.", "+44 20 7183 8750"),
        ("customer_id", {"type": "string"}, "Open EDW_HAWTHORNE_001 please", "EDW_HAWTHORNE_001"),
        ("date_of_birth", {"type": "string"}, "born 1984-06-17", "1984-06-17"),
        ("count", {"type": "integer"}, "the last 12 calls", 12),
        ("count", {"type": "integer"}, "the last calls", 0),
        ("share", {"type": "number"}, "over 2.5 percent", 2.5),
        ("unit", {"enum": ["day", "month"]}, "per Month", "month"),
        ("unit", {"enum": ["day", "month"]}, "per hour", "day"),
        ("sure", {"type": "boolean"}, "yes", True),
        ("tags", {"type": "array"}, "yes", []),
        (
            "filter",
            {"type": "object", "properties": {"email": {"type": "string"}}, "required": ["email"]},
            "of a@example.com",
            {"email": "a@example.com"},
        ),
        ("email", {"type": "string"}, "nothing of the kind", "nothing of the kind"),
    ],
)
def test_arguments_come_from_the_question(name: str, described: Any, question: str, expected: Any) -> None:
    tools = functions("act", properties={name: described}, required=[name])
    message = chat({"tools": tools, "tool_choice": "required"}).invoke(question)
    assert message.tool_calls[0]["args"] == {name: expected}


def test_optional_arguments_that_are_not_said_are_left_out() -> None:
    tools = functions("act", properties={"email": {"type": "string"}, "limit": {"type": "integer"}})
    message = chat({"tools": tools, "tool_choice": "required"}).invoke("for a@example.com")
    assert message.tool_calls[0]["args"] == {"email": "a@example.com"}


def test_after_a_tools_result_it_answers() -> None:
    model = chat({"tools": functions("act"), "tool_choice": "required"})
    called = model.invoke("Hello")
    message = model.invoke(
        [HumanMessage("Hello"), called, ToolMessage("42", tool_call_id=called.tool_calls[0]["id"])]
    )
    assert not message.tool_calls
    assert "42" in message.text
    assert isinstance(message, AIMessage)


# --- waiting, failing, stopping


async def test_waiting_does_not_block_the_loop() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.005)  # a tick

    ticking = asyncio.create_task(tick())
    model = chat(latency_ms=100, tokens_per_second=2000)
    await asyncio.gather(*(model.ainvoke("Hello") for _ in range(5)))
    assert [chunk async for chunk in model.astream("Hello")]
    ticking.cancel()
    assert ticks > 3


async def test_cancelling_stops_a_slow_call_at_once() -> None:
    model = chat(latency_ms=600_000)
    for waiting in (model.ainvoke("Hello"), anext(model.astream("Hello"))):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 0.05)


async def test_cancelling_stops_a_slow_stream_after_the_first_piece() -> None:
    pieces: list[str] = []

    async def consume() -> None:
        async for chunk in chat(tokens_per_second=0.001).astream("Hello"):
            pieces.append(chunk.text)  # noqa: PERF401 - what came before the end is looked at

    consuming = asyncio.create_task(consume())
    await eventually(lambda: pieces)
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert len(pieces) == 1


async def test_outages_come_as_often_as_set_and_the_same_each_time() -> None:
    async def failed(seed: int | None, rate: float) -> list[bool]:
        provider = DemoProvider(DemoModelSettings(failure_rate=rate, seed=seed))
        model = provider.chat_model("simulated-1", {})
        results = []
        for _ in range(200):
            try:
                await model.ainvoke("Hello")
                results.append(False)
            except Exception as error:
                mapped = provider.map_error(error)
                assert isinstance(mapped, ProviderUnavailableError)
                assert mapped.provider == "demo"
                results.append(True)
        return results

    assert await failed(7, 0.3) == await failed(7, 0.3)
    assert await failed(7, 0.3) != await failed(8, 0.3)
    assert 30 < sum(await failed(7, 0.3)) < 90
    assert sum(await failed(None, 0)) == 0
    assert sum(await failed(None, 1)) == 200


async def test_an_outage_of_a_stream_comes_before_its_first_piece() -> None:
    provider = DemoProvider(DemoModelSettings(failure_rate=1))
    with pytest.raises(Exception, match="simulated outage") as caught:
        await anext(provider.chat_model("simulated-1", {}).astream("Hello"))
    assert isinstance(provider.map_error(caught.value), ProviderUnavailableError)


def test_other_errors_are_mapped_without_their_text() -> None:
    provider = DemoProvider(DemoModelSettings())
    mapped = provider.map_error(ValueError("Ann's secret"))
    assert type(mapped) is ProviderError
    assert "secret" not in str(mapped)
    assert isinstance(provider.map_error(TimeoutError()), ProviderUnavailableError)


async def test_closing_forgets_what_was_read() -> None:
    provider = DemoProvider(DemoModelSettings())
    model = provider.chat_model("simulated-1", {})
    await model.ainvoke([("system", "one"), ("user", "Hello")])
    remembered = model.read.cache_info  # type: ignore[attr-defined]
    assert remembered().currsize == 1
    for number in range(100):
        await model.ainvoke([("system", f"prompt {number}"), ("user", "Hello")])
    assert remembered().currsize <= 32
    await provider.aclose()
    assert remembered().currsize == 0
