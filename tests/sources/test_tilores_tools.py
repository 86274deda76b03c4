"""LangChain tools over an instance: what a model may ask, and what it is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from tests.sources.tilores_client import EDWINA, EDWINA_EMAIL, EDWINA_RECORDS, asked, connected, ids, record_ids
from tests.tilores_instance import NESTED, UPPER, TiloresInstance
from tilores_core import Customer, SupportsTools
from tilores_plugins.sources.tilores.edges import Edge, parse, summary
from tilores_plugins.sources.tilores.source import TiloresSource
from tilores_plugins.sources.tilores.tools import MOST_CHARACTERS


@pytest_asyncio.fixture
async def source(instance: TiloresInstance, tmp_path: Path) -> AsyncIterator[TiloresSource]:
    async with connected(instance, tmp_path, timeout_seconds=30) as source:
        yield source


async def call(tool: BaseTool, **arguments: Any) -> tuple[dict[str, Any], list[Customer]]:
    """As an agent does: what the model is told, and the artifact."""
    message = await tool.ainvoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})
    assert len(message.content) <= MOST_CHARACTERS
    return json.loads(message.content), message.artifact


async def test_a_search_by_the_instance_s_own_parameters(instance: TiloresInstance, source: TiloresSource) -> None:
    assert isinstance(source, SupportsTools)
    search, _ = await source.tools(None)
    assert set(search.args) == {
        *("id", "firstName", "lastName", "dateOfBirth", "email"),
        *("phone", "accountNumber", "postalCode", "city"),
    }
    told, found = await call(search, accountNumber="ACC-70010001", email=None)
    assert [customer["customer_id"] for customer in told["customers"]] == ids(found)
    assert record_ids(found[0]) == EDWINA_RECORDS
    assert told["customers"][0]["records"][0]["system"] == "web", "the newest first"
    assert asked(instance)[0].variables["p0"] == {"accountNumber": "ACC-70010001"}
    told, found = await call(search, firstName="Edwina", lastName="Hawthorne")
    assert len(found) == len(told["customers"]) == 3


async def test_the_schema_is_small_and_what_providers_take(source: TiloresSource) -> None:
    for tool in await source.tools(None):
        schema = convert_to_openai_tool(tool)["function"]
        assert schema["name"].isidentifier()
        assert schema["parameters"]["type"] == "object"
        assert len(json.dumps(schema)) < 1_500


async def test_nested_and_required_parameters(tmp_path: Path) -> None:
    async with TiloresInstance(layout=NESTED) as instance, connected(instance, tmp_path) as source:
        search, _ = await source.tools(None)
        assert "person_family_name" in search.args
        _, found = await call(search, person_family_name="Hawthorne", person_given_name="Edwina")
        assert len(found) == 3
    async with TiloresInstance(layout=UPPER) as instance, connected(instance, tmp_path) as source:
        search, _ = await source.tools(None)
        parameters = convert_to_openai_tool(search)["function"]["parameters"]
        assert parameters["required"] == ["LAST_NAME"]
        assert parameters["properties"]["COUNTRY"]["enum"] == ["DE", "AT", "CH"]
        told, found = await call(search, FIRST_NAME="Edwina")
        assert (told, found) == ({"error": "more is needed", "missing": ["LAST_NAME"]}, [])


async def test_rubbish_is_answered_and_not_sent(instance: TiloresInstance, source: TiloresSource) -> None:
    search, edges = await source.tools(None)
    for arguments in ({}, {"email": ""}, {"shoe_size": 9}, {"email": {"a": 1}}, {"firstName": ["x"]}):
        told, found = await call(search, **arguments)
        assert told["error"]
        assert found == []
    assert asked(instance) == []
    told, found = await call(search, email="nobody@example.invalid")
    assert (told, found) == ({"error": "no customer fits"}, [])
    for arguments in ({}, {"customer_id": "nobody"}, {"customer_id": "x" * 9_999}):
        told, found = await call(edges, **arguments)
        assert (told, found) == ({"error": "there is no such customer"}, [])


async def test_bound_to_a_customer_they_know_nobody_else(instance: TiloresInstance, source: TiloresSource) -> None:
    edwina = await source.get(instance.entity_id(EDWINA))
    search, edges = await source.tools(edwina)
    told, found = await call(search, email=EDWINA_EMAIL)
    assert ids(found) == [instance.entity_id(EDWINA)]
    told, found = await call(search, firstName="Edwina", lastName="Hawthorne")
    assert ids(found) == [instance.entity_id(EDWINA)], "not her namesakes"
    assert "Kassel" not in json.dumps(told)
    others = [await call(search, email=email) for email in ("b.quill@example.com", "nobody@example.invalid")]
    assert others[0] == others[1], "whether somebody else exists is not said either"
    assert others[0][1] == []
    assert edges.args == {}
    told, found = await call(edges, customer_id=instance.entity_id("crm-1301"))
    assert told["customer_id"] == instance.entity_id(EDWINA)
    instance.merge("crm-1001", "web-2201")
    told, found = await call(edges)
    assert record_ids(found[0]) >= EDWINA_RECORDS


async def test_edges_tell_why_records_belong_together(instance: TiloresInstance, source: TiloresSource) -> None:
    _, edges = await source.tools(None)
    for form in ("short", "versioned", "scored", "mixed"):
        instance.edge_form = form
        told, (customer,) = await call(edges, customer_id=instance.entity_id(EDWINA))
        assert told["records"] == 5
        assert set(told["rules"]) <= {"ACCOUNT", "EMAIL", "NAME_DOB", "PHONE_NAME", "STATIC"}
        assert told["rules"]["ACCOUNT"] >= 1
        assert {record for link in told["links"] for record in link[:2]} <= record_ids(customer)
        assert told["duplicates"] == 1


@pytest.mark.parametrize(
    ("text", "edge"),
    [
        ("a:b:RULE", Edge("a", "b", "RULE", 100.0)),
        ("a:1:b:2:RULE", Edge("a", "b", "RULE", 100.0)),
        ("a:1:b:2:RULE:87", Edge("a", "b", "RULE", 87.0)),
        ("a:b:STATIC", Edge("a", "b", "STATIC", 100.0)),
        ("a:1:b:2:RULE:much", None),
        ("a:b", None),
        ("", None),
        ("a:b:c:d", None),
    ],
)
def test_forms_of_an_edge(text: str, edge: Edge | None) -> None:
    assert parse(text) == edge


def test_many_edges_are_counted_and_few_are_shown() -> None:
    told = summary({"id": "e", "edges": [f"a:{n}:R" for n in range(1_000)], "records": [{}] * 3, "duplicates": None})
    assert (told["rules"], len(told["links"]), told["links_left_out"]) == ({"R": 1000}, 40, 960)


async def test_much_is_cut(instance: TiloresInstance, source: TiloresSource) -> None:
    for number in range(30):
        record = {"id": f"long-{number}", "source": "long", "email": "long@example.com", "notes": "wörd " * 2_000}
        instance.submit({**record, "firstName": "Lo", "lastName": "Ng", "tags": ["t" * 100] * 100})
    search, _ = await source.tools(None)
    told, found = await call(search, email="long@example.com")
    assert told["customers"][0]["records_left_out"] >= 18
    assert len(found[0].records) == 30, "the artifact has it all"


async def test_what_worked_before_is_hinted_at(source: TiloresSource) -> None:
    search, _ = await source.tools(None)
    assert "before" not in search.description
    await call(search, email=EDWINA_EMAIL)
    await call(search, lastName="Nowhere", firstName="Nobody")
    search, _ = await source.tools(None)
    assert search.description.endswith("Have found customers before: email.")
