"""A model that looks things up by itself, over real HTTP: the server, OpenAI's SDK, a fake upstream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running_server import RunningServer
from tests.sources.tilores_client import in_thread
from tests.tilores_instance import TiloresInstance
from tilores_core.testing.fake_upstream import DEFAULT_KEY, Asked, FakeUpstream, HttpError, Recorded, Reply, ToolCall

EDWINA = "EDW_HAWTHORNE_001"
MODEL = "openai:gpt-4o-mini"
TOML = """
[use]
cache = ["memory"]
source = "{source}"
model = "openai:gpt-4o-mini"
{fallbacks}

[chat]
mode = "tools"
max_tool_turns = 3

[plugins.openai]
base_url = "{base_url}"
api_key = {{ env = "FAKE_UPSTREAM_KEY" }}
"""
THEIRS = {
    "type": "function",
    "function": {"name": "transfer_call", "parameters": {"type": "object", "properties": {"to": {"type": "string"}}}},
}
ANSWER = "I have read the records. They hold much, and this is the end of what I say about them. " * 5

streamed_or_not = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@dataclass(slots=True)
class Told:
    """What the caller got, whichever the protocol."""

    status: int
    text: str = ""
    finish: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    pieces: int = 0
    usage: dict[str, Any] | None = None
    extension: dict[str, Any] | None = None
    error: Any = None


@dataclass(slots=True)
class Product:
    model: FakeUpstream
    server: RunningServer

    def ask(self, question: str, *, streamed: bool = False, **more: Any) -> Told:
        """By OpenAI's protocol."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": question}], "stream": streamed, **more}
        if streamed:
            body["stream_options"] = {"include_usage": True}
        with httpx.stream("POST", f"{self.server.v1}/chat/completions", json=body, timeout=30) as reply:
            reply.read()
        if reply.status_code != 200:
            return Told(reply.status_code, error=reply.json()["error"])
        if streamed:
            return _pieces(reply.text)
        said = reply.json()
        choice = said["choices"][0]
        return Told(
            200,
            choice["message"]["content"] or "",
            choice["finish_reason"],
            choice["message"].get("tool_calls"),
            usage=said["usage"],
            extension=said["tilores"],
        )

    def chat(self, question: str, *, streamed: bool = False, **configurable: Any) -> Told:
        """By LangServe's."""
        body = {"input": question, "config": {"configurable": configurable}}
        if not streamed:
            output = httpx.post(f"{self.server.chat}/invoke", json=body, timeout=30).json()["output"]
            return Told(200, output["content"], tool_calls=output.get("tool_calls"))
        told = Told(200, tool_calls=[])
        with httpx.stream("POST", f"{self.server.chat}/stream", json=body, timeout=30) as reply:
            reply.read()
        for line in reply.text.splitlines():
            if line.startswith("data: ") and "content" in (data := json.loads(line.removeprefix("data: "))):
                told.text += data["content"]
                told.pieces += bool(data["content"])
                told.tool_calls = (told.tool_calls or []) + data.get("tool_calls", [])
        return told

    def asked(self, index: int) -> Recorded:
        return self.model.requests[index]


def _pieces(text: str) -> Told:
    told = Told(200)
    assert text.rstrip().endswith("data: [DONE]")
    for line in text.splitlines():
        if not line.startswith("data: {"):
            continue
        chunk = json.loads(line.removeprefix("data: "))
        assert "error" not in chunk, chunk
        told.usage = chunk.get("usage") or told.usage
        told.extension = chunk.get("tilores", told.extension)
        for choice in chunk["choices"]:
            told.text += choice["delta"].get("content") or ""
            told.pieces += bool(choice["delta"].get("content"))
            told.finish = choice["finish_reason"] or told.finish
            if calls := choice["delta"].get("tool_calls"):
                told.tool_calls = (told.tool_calls or []) + calls
    return told


def results(recorded: Recorded) -> list[str]:
    return [message["content"] for message in recorded.body["messages"] if message["role"] == "tool"]


def names(recorded: Recorded) -> list[str]:
    return [tool["function"]["name"] for tool in recorded.body.get("tools", ())]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    toml = TOML.format(source="demo", fallbacks='fallbacks = ["demo:simulated-1"]', base_url="{base_url}")
    with FakeUpstream("openai") as model:
        toml = toml.replace("{base_url}", model.base_url)
        folder = tmp_path_factory.mktemp("tools")
        with RunningServer(
            folder, toml=toml, variables={"FAKE_UPSTREAM_KEY": DEFAULT_KEY, "TILORES_ALLOW_ANONYMOUS": "true"}
        ) as server:
            yield Product(model, server)


@pytest.fixture(autouse=True)
def _silent(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in ("product", "connected"):
        if name in request.fixturenames:
            request.getfixturevalue(name).model.clear()


def read(spectrum: str | None = None, text: str | None = None) -> Reply:
    return Reply(text, tool_calls=(ToolCall("customer_records", {"spectrum": spectrum} if spectrum else {}),))


@streamed_or_not
@pytest.mark.parametrize("langserve", [False, True], ids=["openai", "langserve"])
def test_a_turn_of_tools_then_the_answer(product: Product, streamed: bool, langserve: bool) -> None:
    product.model.enqueue(read(text="Let me look that up."), Reply(ANSWER, between=0.002 if streamed else 0))
    question = f"What do we know of Edwina Hawthorne, {streamed=} {langserve=}?"
    told = (product.chat if langserve else product.ask)(question, streamed=streamed)
    assert told.text == ANSWER
    assert not told.tool_calls, "a tool of ours is nobody else's business"
    first, second = product.asked(0), product.asked(1)
    assert first.streamed == second.streamed
    assert names(first) == ["customer_records"]
    assert "credit_score" not in json.dumps(first.body["messages"]), "the records are not in the prompt"
    [records] = results(second)
    assert records.startswith(f'<records customer="{EDWINA}"')
    assert "credit_score" in records
    if streamed:
        assert told.pieces > 4
    if not langserve:
        assert told.finish == "stop"
        assert told.extension is not None
        assert told.extension["customer_id"] == EDWINA
        assert told.usage is not None
        assert told.usage["prompt_tokens"] > len(records) // 20, "of both calls"


def test_what_was_read_is_known_the_next_time(product: Product) -> None:
    product.model.enqueue(read("customer_profile"), "This is she.")
    question = "Who is Edwina Hawthorne?"
    assert product.ask(question).extension["cache"] == "miss"  # type: ignore[index]
    again = product.ask(question)
    assert (again.text, again.extension["cache"]) == ("This is she.", "l1")  # type: ignore[index]
    assert len(product.model.requests) == 2


@streamed_or_not
def test_it_searches_when_nobody_is_named(product: Product, streamed: bool) -> None:
    product.model.enqueue(
        Reply(tool_calls=(ToolCall("find_customer", {"customer_id": EDWINA}),)),
        Reply(tool_calls=(ToolCall("find_customer", {"name": "Zachary Quayle"}),)),
        "It is hers.",
    )
    told = product.ask("Whose points are these?", streamed=streamed)
    assert (told.text, told.finish, told.tool_calls) == ("It is hers.", "stop", None)
    assert told.extension is not None
    assert told.extension["customer_id"] == EDWINA
    assert names(product.asked(0)) == ["customer_records", "find_customer"]
    assert "only the customer in play" in results(product.asked(2))[1]
    product.model.enqueue("Nobody's.")
    assert product.ask("Whose points are these?", streamed=streamed).text == "Nobody's.", "it is not cached"


@streamed_or_not
def test_the_callers_own_tools(product: Product, streamed: bool) -> None:
    product.model.enqueue(read(), Reply(tool_calls=(ToolCall("transfer_call", {"to": "billing"}),)))
    told = product.ask(f"Edwina Hawthorne wants billing, {streamed=}", streamed=streamed, tools=[THEIRS])
    assert told.finish == "tool_calls"
    assert told.tool_calls is not None
    assert [call["function"]["name"] for call in told.tool_calls] == ["transfer_call"]
    assert json.loads(told.tool_calls[0]["function"]["arguments"]) == {"to": "billing"}
    assert names(product.asked(0)) == ["customer_records", "transfer_call"]


def test_a_tool_with_a_name_of_ours(product: Product) -> None:
    tool = {"type": "function", "function": {"name": "customer_records"}}
    told = product.ask("What of Edwina Hawthorne?", tools=[THEIRS, tool])
    assert told.status == 400
    assert told.error["param"] == "tools[1].function.name"
    assert "customer_records" in told.error["message"]


def test_it_cannot_look_things_up_for_ever(product: Product) -> None:
    def always(asked: Asked) -> Reply:
        return Reply(tool_calls=(ToolCall("customer_records"),)) if asked.tools else Reply("Enough.")

    product.model.otherwise = always
    assert product.ask("Tell me all about Edwina Hawthorne!").text == "Enough."
    assert len(product.model.requests) == 4
    last = product.asked(-1)
    assert not names(last)
    assert "<records customer=" in last.body["messages"][0]["content"]


def test_a_fallback_goes_on_in_the_middle(product: Product) -> None:
    """The demo model takes over from what was read so far."""
    product.model.enqueue(read(), HttpError(status=503), HttpError(status=503))
    told = product.ask("What is the e-mail address of Edwina Hawthorne, if you please?")
    assert told.status == 200
    assert "@" in told.text


# --- over a Tilores instance -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def connected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with in_thread(TiloresInstance()) as instance, FakeUpstream("openai") as model:
        variables = {
            "TILORES_ALLOW_ANONYMOUS": "true",
            "FAKE_UPSTREAM_KEY": DEFAULT_KEY,
            "TILORES_API_URL": instance.api_url,
            "TILORES_TOKEN_URL": instance.token_url,
            "TILORES_CLIENT_ID": instance.client_id,
            "TILORES_CLIENT_SECRET": instance.client_secret,
        }
        toml = TOML.format(source="tilores", fallbacks="", base_url=model.base_url)
        folder: Path = tmp_path_factory.mktemp("connected")
        with RunningServer(folder, toml=toml, variables=variables) as server:
            yield Product(model, server)


def test_the_instances_own_tools_find_a_customer(connected: Product) -> None:
    connected.model.enqueue(
        Reply(tool_calls=(ToolCall("search_customers", {"accountNumber": "ACC-70010001"}),)),
        Reply(tool_calls=(ToolCall("customer_edges"), ToolCall("search_customers", {"city": "Bremen"}))),
        "They belong together.",
    )
    told = connected.ask("Whose account is it?")
    assert told.text == "They belong together."
    assert told.extension is not None
    assert told.extension["customer"] == "one"
    assert set(names(connected.asked(0))) == {"customer_records", "search_customers", "customer_edges"}
    assert "2500.5" in results(connected.asked(1))[0]
    edges, other = results(connected.asked(2))[1:]
    assert "error" not in edges
    assert "not the customer in question" in other


def test_of_namesakes_only_what_tells_them_apart(connected: Product) -> None:
    search = ToolCall("search_customers", {"firstName": "Edwina", "lastName": "Hawthorne"})
    connected.model.enqueue(Reply(tool_calls=(search,)), "Which of them?")
    told = connected.ask("Whose account is it, pray?")
    assert told.extension is not None
    assert told.extension["customer"] == "several"
    [content] = results(connected.asked(1))
    assert "1984" in content
    assert "1951" in content
    assert "2500" not in content
    assert "ACC-" not in content


def test_a_known_customer_s_records_beside_the_instances_tools(connected: Product) -> None:
    connected.model.enqueue(read(), "88,000.")
    told = connected.ask("What is the balance of Bartholomew Quill?")
    assert told.text == "88,000."
    assert "88000" in results(connected.asked(1))[0]
    assert set(names(connected.asked(0))) == {"customer_records", "search_customers", "customer_edges"}
