"""Whoever is in play, nobody else's data reaches the model: whatever it calls, with whatever arguments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from langchain_core.tools import BaseTool, StructuredTool

from tests.chat.engine_world import EDWINA, JOHN_1, JOHN_2, PEOPLE, ROBIN, Crm, World, question
from tilores_core.chat.tools import wording
from tilores_core.chat.tools.runner import limit_text
from tilores_core.contracts import Customer, ModelInfo, PluginContext
from tilores_core.settings import ChatTable
from tilores_core.testing import FakeProvider
from tilores_core.testing.fake_provider import FakeCall, FakeReply
from tilores_plugins.providers.demo.provider import DemoProvider
from tilores_plugins.providers.demo.settings import DemoModelSettings
from tilores_plugins.sources.demo import source as demo_source

TOOLED = ModelInfo(id="fake-1", tools=True)
OTHERS = (ROBIN, JOHN_1, JOHN_2)
MARKS = {person.id: f"mark-{person.records[0].fields['credit_score'][5:]}" for person in PEOPLE}
HERS = MARKS[EDWINA.id]

names = st.sampled_from(
    ["find_customer", "customer_records", "search_customers", "leaky", "lying", "careless", "erase"]
)
values = st.one_of(
    st.sampled_from(
        [*(person.id for person in PEOPLE), *(person.name for person in PEOPLE), "1988-08-08", "robin@example.com"]
    ),
    st.text(max_size=20),
    st.integers(),
    st.none(),
    st.lists(st.text(max_size=5), max_size=2),
)
arguments = st.one_of(
    st.dictionaries(
        st.sampled_from(["customer_id", "name", "email", "phone", "date_of_birth", "spectrum", "query"]), values
    ).map(json.dumps),
    st.text(max_size=30),
)
turns = st.lists(st.lists(st.tuples(names, arguments), min_size=1, max_size=4), min_size=1, max_size=3)


class Leaky(Crm):
    """A source whose tools pay no heed to the customer that they were made for."""

    async def tools(self, customer: Customer | None) -> Sequence[BaseTool]:
        async def leaky(**_: Any) -> tuple[str, list[Customer]]:
            return "".join(map(str, self.people.values())), list(self.people.values())

        async def lying(**_: Any) -> tuple[str, list[Customer]]:
            return str(ROBIN), [ROBIN]

        async def careless(**_: Any) -> str:
            return str(ROBIN)

        async def search(query: str = "", **_: Any) -> tuple[str, list[Customer]]:
            found = [person for person in self.people.values() if query in (person.id, person.name)]
            return "".join(map(str, found)), found

        schema = {"type": "object", "properties": {"query": {"type": "string"}}}
        made = [("leaky", leaky), ("lying", lying), ("search_customers", search)]
        return [
            *(
                StructuredTool(
                    name=name,
                    description=name,
                    args_schema=schema,
                    coroutine=run,
                    response_format="content_and_artifact",
                )
                for name, run in made
            ),
            StructuredTool(name="careless", description="careless", args_schema=schema, coroutine=careless),
        ]


def scripted(made: list[list[tuple[str, str]]]) -> FakeProvider:
    provider = FakeProvider(infos=(TOOLED,), otherwise="That is all.")
    for calls in made:
        tool_calls = tuple(
            {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": written}}
            for n, (name, written) in enumerate(calls)
        )
        provider.enqueue(FakeReply(tool_calls=tool_calls, finish_reason="tool_calls"))
    return provider


def people_in(call: FakeCall) -> set[str]:
    """Whose data the model was sent; what it asked for itself is its own."""
    told = "\n".join(str(message.content) for message in call.messages if message.type != "ai")
    return {customer_id for customer_id, mark in MARKS.items() if mark in told}


@settings(max_examples=60, deadline=None)
@given(turns, st.booleans(), st.booleans())
async def test_a_bound_model_sees_nobody_else(made: list[list[tuple[str, str]]], leaky: bool, streamed: bool) -> None:
    provider = scripted(made)
    crm = Leaky() if leaky else Crm()
    async with World(provider=provider, crm=crm, chat=ChatTable(mode="tools")) as here:
        turn = question("What do we know?", customer_id=EDWINA.id)
        items = [item async for item in here.engine.stream(turn)] if streamed else [await here.engine.answer(turn)]
        assert items
        for call in provider.asked:
            assert people_in(call) <= {EDWINA.id}


@settings(max_examples=60, deadline=None)
@given(turns, st.booleans())
async def test_a_searching_model_sees_one_at_most(made: list[list[tuple[str, str]]], leaky: bool) -> None:
    provider = scripted(made)
    async with World(provider=provider, crm=Leaky() if leaky else Crm(), chat=ChatTable(mode="tools")) as here:
        await here.ask("What do we know?")
        seen = set.union(*(people_in(call) for call in provider.asked))
        assert len(seen) <= 1


async def test_what_is_left_of_tools_that_pay_no_heed() -> None:
    made = [
        [("leaky", "{}"), ("lying", "{}"), ("careless", "{}"), ("search_customers", f'{{"query": "{EDWINA.id}"}}')]
    ]
    provider = scripted(made)
    async with World(provider=provider, crm=Leaky(), chat=ChatTable(mode="tools")) as here:
        await here.ask()
        first, second = provider.asked
        offered = [tool["function"]["name"] for tool in first.parameters["tools"]]
        assert offered == ["customer_records", "leaky", "lying", "search_customers"], "one does not say about whom"
        told = [str(message.content) for message in second.messages if message.type == "tool"]
        assert told[:2] == [wording.REFUSED, wording.REFUSED]
        assert "There is no such tool" in told[2]
        assert HERS in told[3]


async def test_a_sources_tools_are_made_anew_for_whom_they_found() -> None:
    bound_to: list[str | None] = []

    class Telling(Leaky):
        async def tools(self, customer: Customer | None) -> Sequence[BaseTool]:
            bound_to.append(None if customer is None else customer.id)
            return await super().tools(customer)

    provider = scripted([[("search_customers", f'{{"query": "{ROBIN.id}"}}')], [("leaky", "{}")]])
    async with World(provider=provider, crm=Telling(), chat=ChatTable(mode="tools")) as here:
        answer = await here.ask("What do we know?")
        assert answer.customer.customer_id == ROBIN.id
        assert bound_to == [None, ROBIN.id]
        assert people_in(provider.asked[-1]) == {ROBIN.id}


async def test_a_source_that_cannot_make_its_tools() -> None:
    class Broken(Crm):
        async def tools(self, customer: Customer | None) -> Sequence[BaseTool]:
            raise RuntimeError("no")

    provider = scripted([[("find_customer", f'{{"customer_id": "{ROBIN.id}"}}')]])
    async with World(provider=provider, crm=Broken(), chat=ChatTable(mode="tools")) as here:
        assert (await here.ask("What do we know?")).customer.customer_id == ROBIN.id


async def test_no_call_goes_to_langsmith_by_itself() -> None:
    from langchain_core.callbacks import AsyncCallbackManager
    from langchain_core.tracers import LangChainTracer
    from langchain_core.tracers.context import tracing_v2_enabled
    from langsmith import Client

    def is_traced() -> bool:
        return any(isinstance(handler, LangChainTracer) for handler in AsyncCallbackManager.configure().handlers)

    seen: list[Any] = []

    class Looking(Leaky):
        async def tools(self, customer: Customer | None) -> Sequence[BaseTool]:
            async def look(**_: Any) -> tuple[str, list[Customer]]:
                seen.append(is_traced())
                return "", []

            schema: dict[str, Any] = {"type": "object", "properties": {}}
            return [
                StructuredTool(
                    name="look",
                    description="look",
                    args_schema=schema,
                    coroutine=look,
                    response_format="content_and_artifact",
                )
            ]

    async with World(provider=scripted([[("look", "{}")]]), crm=Looking(), chat=ChatTable(mode="tools")) as here:
        client = Client(api_url="http://127.0.0.1:9", api_key="none", auto_batch_tracing=False)
        with tracing_v2_enabled(client=client):
            assert is_traced()
            await here.ask()
    assert seen == [False]


# --- the demo model over the demo customers --------------------------------------------------------------


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    context = PluginContext(plugin_id="demo", settings=None, data_dir=tmp_path_factory.mktemp("demo"))
    return demo_source.build(context)


async def test_the_demo_model_reads_its_customer_alone(customers: Any, tmp_path: Path) -> None:
    demo = DemoProvider(DemoModelSettings())
    asked: list[list[Any]] = []
    chat = ChatTable(mode="tools")
    async with World(providers={"demo": demo}, model="demo:simulated-1", crm=customers, chat=chat) as here:
        make = demo.chat_model

        def chat_model(model: str, parameters: Any) -> Any:
            made = make(model, parameters)
            generate = type(made)._agenerate

            async def listening(messages: list[Any], *more: Any, **named: Any) -> Any:
                asked.append(messages)
                return await generate(made, messages, *more, **named)

            object.__setattr__(made, "_agenerate", listening)
            return made

        demo.chat_model = chat_model  # type: ignore[method-assign]
        answer = await here.ask("What is Edwina Hawthorne's e-mail address?")
        assert answer.customer.customer_id == "EDW_HAWTHORNE_001"
        edwina = await customers.get("EDW_HAWTHORNE_001")
        emails = {str(record.fields.get("email")) for record in edwina.records}
        assert any(email in answer.text for email in emails), answer.text
        assert [len([m for m in messages if m.type == "tool"]) for messages in asked] == [0, 1]
        assert (await here.ask("What is Edwina Hawthorne's e-mail address?")).cache_tier == "l1"


# --- lengths ---------------------------------------------------------------------------------------------


@given(st.text(max_size=3000), st.integers(100, 2000), st.integers(64, 900))
def test_a_text_is_cut_to_both_measures(text: str, characters: int, tokens: int) -> None:
    from tilores_core.chat.context.estimate import estimate_tokens

    cut = limit_text(text, characters, tokens)
    assert len(cut) <= characters
    assert estimate_tokens(cut) <= tokens
    if len(text) <= characters and estimate_tokens(text) <= tokens:
        assert cut == text
