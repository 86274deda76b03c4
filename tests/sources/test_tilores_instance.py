"""The Tilores instance that the tests run against: does it answer as the real one is described to?"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import GraphQLObjectType, build_client_schema, get_introspection_query

from tests.tilores_instance import NESTED, UPPER, TiloresInstance, crowd
from tests.tilores_instance.insights import Insights, frequencies
from tilores_core.testing.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]

LOOKUP = """
query Lookup($params: SearchParams!, $size: Int = 3) {
  search(input: {parameters: $params, page: 1, pageSize: $size}) {
    entities {
      id
      hits
      recordInsights {
        records: count
        emails: valuesDistinct(field: "email")
        cities: valuesDistinct(field: "address.city")
        lastName: frequencyDistribution(field: "lastName", top: 1, direction: DESC) { value frequency percentage }
        latest: newest(field: "receivedDate") { id source phone }
        emailConfidence: confidence(field: "email")
        open: filter(conditions: [{field: "accountStatus", equals: "OPEN"}]) { count sum(field: "balance") }
      }
      records { id source }
    }
  }
}
"""
BY_ID = "query ById($id: ID!) { entity(input: {id: $id}) { entity { id records { id } edges duplicates } } }"
BY_RECORD = "query ByRecord($id: ID!) { entityByRecord(input: {id: $id}) { entity { id records { id } } } }"
ADD = "mutation Add($records: [RecordInput!]!) { submit(input: {records: $records}) { recordsAdded } }"
EDWINA = {"email": "edwina.hawthorne@example.com"}
NAMESAKES = {"firstName": "Edwina", "lastName": "Hawthorne"}
BERLIN = ["crm-1001", "core-3001", "web-2001", "web-2002", "desk-4001"]


class Asking:
    """A plain client with a token."""

    def __init__(self, instance: TiloresInstance, http: httpx.AsyncClient) -> None:
        self.instance = instance
        self.http = http
        self.token = ""

    async def log_in(self, scope: str = "") -> httpx.Response:
        answer = await self.http.post(
            self.instance.token_url,
            auth=(self.instance.client_id, self.instance.client_secret),
            data={"grant_type": "client_credentials", **({"scope": scope} if scope else {})},
        )
        if answer.status_code == 200:
            self.token = answer.json()["access_token"]
        return answer

    async def post(self, query: str, variables: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        body = {"query": query, "variables": variables or {}}
        return await self.http.post(
            self.instance.api_url, json=body, headers={"Authorization": f"Bearer {self.token}", **more}
        )

    async def data(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.post(query, variables)
        body: dict[str, Any] = answer.json()
        assert (answer.status_code, body.get("errors")) == (200, None), body
        return dict(body["data"])

    async def entities(self, fields: str, more: str = "", **parameters: Any) -> list[dict[str, Any]]:
        search = f"search(input: {{parameters: $p {more}}}) {{ entities {{ {fields} }} }}"
        query = f"query ($p: SearchParams!) {{ {search} }}"
        found: list[dict[str, Any]] = (await self.data(query, {"p": parameters}))["search"]["entities"]
        return found

    async def insights(self, fields: str) -> dict[str, Any]:
        """Of the Edwina of Berlin."""
        [found] = await self.entities(f"recordInsights {{ {fields} }}", **EDWINA)
        return dict(found["recordInsights"])


@contextlib.asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Asking]:
    async with TiloresInstance(**options) as instance, httpx.AsyncClient(timeout=60, verify=False) as http:
        asking = Asking(instance, http)
        await asking.log_in()
        yield asking


@pytest.fixture
async def asking() -> AsyncIterator[Asking]:
    async with running() as one:
        yield one


# ---- the documented queries, with numbers worked out from people.py ----------


async def test_lookup_by_email(asking: Asking) -> None:
    [found] = (await asking.data(LOOKUP, {"params": EDWINA}))["search"]["entities"]
    assert [record["id"] for record in found["records"]] == BERLIN
    assert found["hits"] == {"crm-1001": ["S_EMAIL"], "web-2001": ["S_EMAIL"], "web-2002": ["S_EMAIL"]}
    assert found["recordInsights"] == {
        "records": 5,
        "emails": ["edwina.hawthorne@example.com", "e.hawthorne@work.example"],
        "cities": ["Berlin", "Potsdam"],
        "lastName": [{"value": "Hawthorne", "frequency": 4, "percentage": 0.8}],
        "latest": {"id": "web-2002", "source": "web", "phone": "+49 171 5550199"},
        "emailConfidence": 0.625,  # a, a, a, b
        "open": {"count": 2, "sum": 3700.75},
    }


async def test_lookup_by_name_finds_namesakes_in_the_order_of_their_ids(asking: Asking) -> None:
    found = (await asking.data(LOOKUP, {"params": NAMESAKES}))["search"]["entities"]
    assert sorted(len(one["records"]) for one in found) == [1, 2, 5]
    ids = [one["id"] for one in found]
    assert ids == sorted(ids)
    assert len((await asking.data(LOOKUP, {"params": NAMESAKES, "size": 2}))["search"]["entities"]) == 2


async def test_entity_by_id_and_by_record(asking: Asking) -> None:
    entity_id = asking.instance.entity_id("desk-4001")
    found = (await asking.data(BY_ID, {"id": entity_id}))["entity"]["entity"]
    assert found["id"] == entity_id
    assert found["duplicates"] == {"web-2001": ["web-2002"]}
    assert found["edges"] == [
        "crm-1001:core-3001:ACCOUNT",
        "crm-1001:core-3001:NAME_DOB",
        "crm-1001:web-2001:EMAIL",
        "crm-1001:desk-4001:PHONE_NAME",
    ]
    found = (await asking.data(BY_RECORD, {"id": "web-2002"}))["entityByRecord"]["entity"]
    assert (found["id"], [record["id"] for record in found["records"]]) == (entity_id, BERLIN)
    assert (await asking.data(BY_ID, {"id": "nobody"}))["entity"] == {"entity": None}
    assert (await asking.data(BY_RECORD, {"id": "nobody"}))["entityByRecord"] == {"entity": None}


async def test_a_submission_appears_later_and_the_same_id_is_a_new_version() -> None:
    async with running(submit_delay_seconds=60, edge_form="versioned") as asking:
        submissions = asking.instance.submissions
        rows = [{"id": "web-9", "email": "new@example.com"}, {"id": "web-10", "lastName": "Hawthorne"}]
        assert await asking.data(ADD, {"records": rows}) == {"submit": {"recordsAdded": 2}}
        assert await asking.entities("id", email="new@example.com") == []
        state = "{ metrics { assemblyStatus { state estimatedTimeRemaining } } }"
        waiting = (await asking.data(state))["metrics"]["assemblyStatus"]
        assert waiting == {"state": "IN_PROGRESS", "estimatedTimeRemaining": 1}
        submissions.settle()
        assert (await asking.data(state))["metrics"]["assemblyStatus"]["state"] == "READY"
        [found] = await asking.entities("records { id } edges", email="new@example.com")
        assert found == {"records": [{"id": "web-9"}, {"id": "web-10"}], "edges": ["web-9:1:web-10:1:STATIC"]}
        await asking.data(ADD, {"records": [{"id": "web-9", "email": "newer@example.com"}]})
        submissions.settle()
        assert await asking.entities("id", email="new@example.com") == []
        [found] = await asking.entities("edges", email="newer@example.com")
        assert found["edges"] == ["web-9:2:web-10:1:STATIC"]


async def test_a_submission_takes_effect_by_itself() -> None:
    async with running(submit_delay_seconds=0.05) as asking:
        await asking.data(ADD, {"records": [{"id": "web-9", "email": "new@example.com"}]})
        await eventually(lambda: asking.entities("id", email="new@example.com"))


async def test_a_record_id_with_a_colon_is_refused(asking: Asking) -> None:
    body = (await asking.post(ADD, {"records": [{"id": "a:b"}]})).json()
    assert body["data"] is None
    assert "colon" in body["errors"][0]["message"]


async def test_a_preview_stores_nothing_when_dry(asking: Asking) -> None:
    query = """mutation ($dry: Boolean, $r: [RecordInput!]!) {
        submitWithPreview(input: {records: $r, dryRun: $dry}) { entities { records { id } } } }"""
    row = {"id": "web-77", "accountNumber": "ACC-70010077"}
    seen = await asking.data(query, {"dry": True, "r": [row]})
    expected = [{"records": [{"id": "crm-1101"}, {"id": "core-3101"}, {"id": "web-77"}]}]
    assert seen["submitWithPreview"]["entities"] == expected
    assert await asking.entities("id", id="web-77") == []
    await asking.data(query, {"dry": False, "r": [row]})
    assert len(await asking.entities("id", id="web-77")) == 1


# ---- searching --------------------------------------------------------------


async def test_paging_counts_before_it_pages(asking: Asking) -> None:
    query = """query ($p: SearchParams!, $page: Int, $size: Int) {
        search(input: {parameters: $p, page: $page, pageSize: $size}) { totalCount entities { id } } }"""
    pages = [(await asking.data(query, {"p": NAMESAKES, "page": page, "size": 2}))["search"] for page in (1, 2, 3)]
    assert [page["totalCount"] for page in pages] == [3, 3, 3]
    assert [len(page["entities"]) for page in pages] == [2, 1, 0]
    for number in range(12):
        asking.instance.submit({"id": f"many-{number}", "firstName": "Ida", "lastName": "Millbrook"})
    one_person = await asking.entities("id", firstName="Ida", lastName="Millbrook")
    assert len(one_person) == 1  # equal rows are duplicates
    for number in range(12):
        asking.instance.submit(
            {"id": f"some-{number}", "firstName": "Ole", "lastName": "Ash", "email": f"o{number}@x.de"}
        )
    who = {"firstName": "Ole", "lastName": "Ash"}
    assert len(await asking.entities("id", **who)) == 12
    assert len(await asking.entities("id", ", page: 1", **who)) == 10
    assert len(await asking.entities("id", ", page: 2", **who)) == 2
    bad = (await asking.post(query, {"p": who, "page": 0})).json()
    assert bad["data"] is None
    assert "start at 1" in bad["errors"][0]["message"]


async def test_sort_by_hit_score_descends_unless_told_otherwise(asking: Asking) -> None:
    who = {**NAMESAKES, "city": "Kassel"}
    down = [one["hitScore"] for one in await asking.entities("hitScore", ', sort: {field: "hitScore"}', **who)]
    up = await asking.entities("hitScore", ', sort: {field: "hitScore", direction: ASC}', **who)
    assert down == sorted(down, reverse=True)
    assert [one["hitScore"] for one in up] == down[::-1]
    assert down[0] == 1.0
    assert down[-1] < 1.0
    ids = [one["id"] for one in await asking.entities("id", ', sort: {field: "id", direction: DESC}', **who)]
    assert ids == sorted(ids, reverse=True)
    bad = await asking.post('{ search(input: {parameters: {}, sort: {field: "score"}}) { entities { id } } }')
    assert "only id and hitScore" in bad.json()["errors"][0]["message"]


async def test_search_rules_and_what_finds_nothing(asking: Asking) -> None:
    assert await asking.entities("id", lastName="Hawthorne") == []  # no rule takes the last name alone
    assert await asking.entities("id") == []
    assert await asking.entities("id", ', searchRules: "exact"', **NAMESAKES) == []
    assert (
        len(await asking.entities("id", ', searchRules: "default"', firstName="Edwinna", lastName="Hawthorne")) == 3
    )
    bad = await asking.post('{ search(input: {parameters: {}, searchRules: "own"}) { entities { id } } }')
    assert "unknown search rules: own" in bad.json()["errors"][0]["message"]


async def test_scores_follow_their_stated_formulas(asking: Asking) -> None:
    [found] = await asking.entities("score hitScore consistency", **EDWINA, lastName="Hawthorn")
    assert found["score"] == pytest.approx((100 + 90 + 95 + 85) / 4 / 100)
    assert found["hitScore"] == 1.0
    # first name 1; last name 4:1; date of birth 1; e-mail 3:1; phone 2:2; account 1
    each = [1, (4 / 5) ** 2 + (1 / 5) ** 2, 1, (3 / 4) ** 2 + (1 / 4) ** 2, 0.5, 1]
    assert found["consistency"] == pytest.approx(sum(each) / 6, abs=1e-4)
    seen = await asking.data(
        "query ($i: ID!) { entity(input: {id: $i}) { entity { hits hitScore } } }",
        {"i": asking.instance.entity_id("crm-1001")},
    )
    assert seen["entity"]["entity"] == {"hits": {}, "hitScore": 0}


async def test_considered_records_are_hidden_before_assembly(asking: Asking) -> None:
    only_open = ', considerRecords: [{field: "accountStatus", equals: "OPEN"}]'
    [found] = await asking.entities("id records { id }", only_open, **EDWINA)
    assert found == {
        "id": asking.instance.entity_id("crm-1001"),
        "records": [{"id": "crm-1001"}, {"id": "core-3001"}],
    }
    # Without the row in the middle the rest hangs together no more.
    rest = ', considerRecords: [{field: "id", equals: "crm-1001", invert: true}]'
    parts = await asking.entities("id records { id }", rest, **EDWINA)
    own = asking.instance.entity_id("crm-1001")
    assert [part["id"] for part in parts] == [f"{own}-1", f"{own}-2", f"{own}-3"]
    assert [len(part["records"]) for part in parts] == [1, 2, 1]
    nobody = ', considerRecords: [{field: "source", equals: "fax"}]'
    assert await asking.entities("id", nobody, **EDWINA) == []
    query = """{ entityByRecord(input: {id: "desk-4001", considerRecords: [{field: "source", equals: "web"}]})
        { entity { id } } }"""
    assert (await asking.data(query))["entityByRecord"] == {"entity": None}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("short", "crm-1001:core-3001:ACCOUNT"),
        ("versioned", "crm-1001:1:core-3001:1:ACCOUNT"),
        ("scored", "crm-1001:1:core-3001:1:ACCOUNT:100"),
    ],
)
async def test_edges_in_three_forms(asking: Asking, form: str, expected: str) -> None:
    asking.instance.edge_form = form
    [found] = await asking.entities("edges", **EDWINA)
    assert found["edges"][0] == expected
    asking.instance.edge_form = "mixed"
    [found] = await asking.entities("edges", **EDWINA)
    assert sorted(edge.count(":") for edge in found["edges"]) == [2, 2, 4, 5]


async def test_hits_may_carry_versions(asking: Asking) -> None:
    asking.instance.hit_keys = "versioned"
    [found] = await asking.entities("hits", accountNumber="acc-70010001")
    assert found["hits"] == {"crm-1001:1": ["S_ACCOUNT"], "core-3001:1": ["S_ACCOUNT"]}


async def test_edge_insights(asking: Asking) -> None:
    fields = """edgeInsights { count frequencyDistribution { value frequency percentage }
        least: frequencyDistribution(top: 1, direction: ASC) { value }
        matrix(links: ["EMAIL", "duplicate"]) { a b links } }"""
    [found] = await asking.entities(fields, **EDWINA)
    edges = found["edgeInsights"]
    assert edges["count"] == 4
    assert edges["frequencyDistribution"][0] == {"value": "ACCOUNT", "frequency": 1, "percentage": 0.25}
    assert edges["least"] == [{"value": "ACCOUNT"}]
    assert edges["matrix"] == [
        {"a": "crm-1001", "b": "web-2001", "links": {"EMAIL": True, "duplicate": False}},
        {"a": "web-2001", "b": "web-2002", "links": {"EMAIL": False, "duplicate": True}},
    ]


# ---- record insights --------------------------------------------------------


async def test_numbers(asking: Asking) -> None:
    fields = " ".join(f'{name}(field: "balance")' for name in ("average", "max", "median", "min", "sum"))
    found = await asking.insights(
        fields + ' deviation: standardDeviation(field: "openTickets") none: sum(field: "nope")'
    )
    # balances 2500.5, 1200.25, 100; tickets 1, 0, 0, 2
    assert found["average"] == pytest.approx(3800.75 / 3)
    assert {name: found[name] for name in ("max", "median", "min", "sum", "none")} == {
        "max": 2500.5,
        "median": 1200.25,
        "min": 100.0,
        "sum": 3800.75,
        "none": None,
    }
    assert found["deviation"] == pytest.approx(math.sqrt(((1 - 0.75) ** 2 + 2 * 0.75**2 + (2 - 0.75) ** 2) / 4))


async def test_values_and_distributions(asking: Asking) -> None:
    found = await asking.insights("""
        values(field: "email")
        exact: valuesDistinct(field: "email", caseSensitive: true)
        tag: values(field: "tags.0")
        unknown: valuesDistinct(field: "no.such.path")
        none: frequencyDistribution(field: "phone", top: 0) { value }
        all: frequencyDistribution(field: "lastName", top: null) { value frequency percentage }
        rare: frequencyDistribution(field: "lastName", top: 1, direction: ASC) { value percentage }
        ties: frequencyDistribution(field: "phone", direction: ASC) { value }
        empty: confidence(field: "nope")
        pairs: countDistinct(fields: ["accountNumber", "accountStatus"])
        flatten(field: "tags") flattenDistinct(field: "tags")
        first { id } last { id }
    """)
    web = "Edwina.Hawthorne@example.com"
    assert found["values"] == ["edwina.hawthorne@example.com", web, web, "e.hawthorne@work.example"]
    assert len(found["exact"]) == 3
    assert found["tag"] == ["vip", "newsletter", "newsletter"]
    assert (found["unknown"], found["none"], found["empty"]) == ([], [], None)
    assert [row["frequency"] for row in found["all"]] == [4, 1]
    assert found["rare"] == [{"value": "Hawthorn", "percentage": 0.2}]
    assert [row["value"] for row in found["ties"]] == ["+49 30 5550101", "030 5550101", "+49 171 5550199"]
    assert found["pairs"] == 2
    assert found["flatten"] == ["vip", "newsletter", "newsletter", "App", "newsletter", "App"]
    assert found["flattenDistinct"] == ["vip", "newsletter", "App"]
    assert (found["first"], found["last"]) == ({"id": "crm-1001"}, {"id": "desk-4001"})


async def test_chains(asking: Asking) -> None:
    found = await asking.insights("""
        group(fields: ["source"]) { first { source } count }
        down: sort(criteria: [{field: "balance", direction: DESC}]) { values(field: "id") }
        up: sort(criteria: [{field: "balance", direction: ASC}]) { values(field: "id") }
        second: sort(criteria: [{field: "source"}, {field: "receivedDate", direction: DESC}]) {
          limit(count: 2, offset: 1) {
            values(field: "id") filter(conditions: [{field: "id", endsWith: "1001"}]) { count }
          }
        }
        oldest(field: "receivedDate") { id }
    """)
    assert [(one["first"]["source"], one["count"]) for one in found["group"]] == [
        ("crm", 1),
        ("core", 1),
        ("web", 2),
        ("desk", 1),
    ]
    assert found["down"]["values"] == ["web-2001", "web-2002", "crm-1001", "core-3001", "desk-4001"]  # nulls first
    assert found["up"]["values"] == ["desk-4001", "core-3001", "crm-1001", "web-2001", "web-2002"]  # and last
    assert found["second"]["limit"] == {"values": ["crm-1001", "desk-4001"], "filter": {"count": 1}}
    assert found["oldest"] == {"id": "core-3001"}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('equals: "2500.50", field: "balance"', ["crm-1001"]),
        ('field: "email", equals: "EDWINA.hawthorne@example.com"', ["crm-1001", "web-2001", "web-2002"]),
        ('field: "email", equals: "edwina.hawthorne@example.com", caseSensitive: true', ["crm-1001"]),
        ('field: "balance", isNull: true', ["web-2001", "web-2002"]),
        ('field: "balance", isNull: false, invert: true', ["web-2001", "web-2002"]),
        ('field: "lastName", likeRegex: "THORN$"', ["desk-4001"]),
        ('field: "phone", startsWith: "+49 1"', ["web-2001", "web-2002"]),
        ('field: "balance", greaterThan: 100, lessEquals: 1200.25', ["core-3001"]),
        ('field: "balance", greaterEquals: 100, lessThan: 1200.25', ["desk-4001"]),
        ('field: "receivedDate", after: "2025-11-20T18:40:12.123456Z"', ["web-2002"]),
        ('field: "receivedDate", since: "2025-11-20T18:41:00Z"', ["web-2002"]),
        ('field: "receivedDate", before: "2025-03-02T09:15:00Z"', ["core-3001"]),
        ('field: "receivedDate", until: "2025-03-02T10:15:00+01:00"', ["crm-1001", "core-3001"]),
    ],
)
async def test_conditions(asking: Asking, condition: str, expected: list[str]) -> None:
    found = await asking.insights(f'filter(conditions: [{{{condition}}}]) {{ values(field: "id") }}')
    assert found["filter"]["values"] == expected


async def test_an_error_in_a_nullable_function_leaves_the_rest(asking: Asking) -> None:
    query = """{ search(input: {parameters: {id: "crm-1001"}}) { entities { recordInsights {
        count average(field: "email") newest(field: "dateOfBirth") { id } } } } }"""
    body = (await asking.post(query)).json()
    [found] = body["data"]["search"]["entities"]
    assert found["recordInsights"] == {"count": 5, "average": None, "newest": None}
    assert [error["path"][-1] for error in body["errors"]] == ["average", "newest"]
    assert "no time of day" in body["errors"][1]["message"]


@pytest.mark.parametrize(
    "function",
    [
        'filter(conditions: [{field: "lastName", likeRegex: "("}]) { count }',
        'filter(conditions: [{field: "receivedDate", after: "2025-01-01"}]) { count }',
        'flatten(field: "email")',
    ],
)
async def test_an_error_in_a_non_null_function_takes_everything(asking: Asking, function: str) -> None:
    fields = f"entities {{ id recordInsights {{ {function} }} }}"
    query = f'{{ search(input: {{parameters: {{id: "crm-1001"}}}}) {{ {fields} }} }}'
    answer = await asking.post(query)
    assert (answer.status_code, answer.json()["data"]) == (200, None)
    assert answer.json()["errors"][0]["path"][:3] == ["search", "entities", 0]


def test_insight_functions_at_their_edges() -> None:
    rows = frequencies(["b", "a", "B", "A", "c"], direction="ASC")
    assert [(row["value"], row["frequency"]) for row in rows] == [("c", 1), ("b", 2), ("a", 2)]
    numbers = Insights(tuple({"n": value} for value in ("1", 2, "4.0", 9, None)))
    assert (numbers.median("n"), numbers.sum("n"), numbers.average("n")) == (3.0, 16.0, 4.0)
    equal = Insights(tuple({"id": n, "t": "2025-01-01T00:00:00Z"} for n in (1, 2)))
    assert (equal.newest("t"), equal.oldest("t")) == (equal.all[0], equal.all[0])


# ---- transport --------------------------------------------------------------


async def test_only_post_to_the_root(asking: Asking) -> None:
    for method, path in (("GET", "/"), ("POST", "/graphql"), ("POST", "/oauth2/token")):
        answer = await asking.http.request(method, asking.instance.api_url + path)
        assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


async def test_documents_that_cannot_be_executed(asking: Asking) -> None:
    cases = {
        "{ search(": "GRAPHQL_PARSE_FAILED",
        "{ searches }": "GRAPHQL_VALIDATION_FAILED",
        "query A { __typename } query B { __typename }": "GRAPHQL_VALIDATION_FAILED",
        LOOKUP: "GRAPHQL_VALIDATION_FAILED",  # without its variable
    }
    for query, code in cases.items():
        answer = await asking.post(query)
        assert (answer.status_code, answer.json()["data"]) == (422, None)
        assert answer.json()["errors"][0]["extensions"] == {"code": code}
    headers = {"Authorization": f"Bearer {asking.token}", "Content-Type": "application/json"}
    answer = await asking.http.post(asking.instance.api_url, content=b"{", headers=headers)
    assert (answer.status_code, "errors" in answer.json()) == (400, True)


async def test_introspection_is_on_and_gzip_is_given_when_asked(asking: Asking) -> None:
    answer = await asking.post(get_introspection_query(), None, **{"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    schema = build_client_schema(answer.json()["data"])
    assert isinstance(schema.get_type("Record"), GraphQLObjectType)
    plain = await asking.post("{ __typename }", None, **{"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert [(seen.accepts_gzip, seen.status) for seen in asking.instance.requests] == [(True, 200), (False, 200)]


async def test_too_large_an_answer(asking: Asking) -> None:
    asking.instance.service.limit_bytes = 2000
    plain = {"Accept-Encoding": "identity"}
    answer = await asking.post(LOOKUP, {"params": NAMESAKES}, **plain)
    assert answer.status_code == 400
    assert "Response body too large" in answer.json()["errors"][0]["message"]
    assert (await asking.post(LOOKUP, {"params": {"email": "nobody@example.com"}}, **plain)).status_code == 200
    # Compressed it fits.
    assert (await asking.post(LOOKUP, {"params": NAMESAKES}, **{"Accept-Encoding": "gzip"})).status_code == 200
    async with running(version="v0.83", limit_bytes=2000) as older:
        answer = await older.post(LOOKUP, {"params": NAMESAKES}, **{"Accept-Encoding": "gzip"})
        assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})


async def test_six_mebibytes_are_the_limit(asking: Asking) -> None:
    asking.instance.submit({"id": "big-1", "notes": "x" * (6 * 1024 * 1024)})
    query = '{ entityByRecord(input: {id: "big-1"}) { entity { records { notes } } } }'
    assert (await asking.post(query, None, **{"Accept-Encoding": "identity"})).status_code == 400
    assert (await asking.post(query, None, **{"Accept-Encoding": "gzip"})).status_code == 200


async def test_what_is_recorded(asking: Asking) -> None:
    await asyncio.gather(*(asking.post("query Q($a: Int) { __typename }", {"a": 1}) for _ in range(3)))
    await asking.http.post(asking.instance.api_url, json={})
    seen = asking.instance.requests
    assert [one.authorised for one in seen] == [True, True, True, False]
    assert (seen[0].document, seen[0].variables) == ("query Q($a: Int) { __typename }", {"a": 1})
    assert seen[3].status == 401
    assert asking.instance.in_flight == 0


# ---- tokens -----------------------------------------------------------------


async def test_tokens_by_basic_and_by_body(asking: Asking) -> None:
    instance = asking.instance
    instance.token.expires_in = 120
    answer = await asking.log_in()
    assert answer.json().keys() == {"access_token", "expires_in", "token_type"}
    assert (answer.json()["expires_in"], answer.json()["token_type"]) == (120, "Bearer")
    body = {
        "client_id": instance.client_id,
        "client_secret": instance.client_secret,
        "grant_type": "client_credentials",
    }
    assert (await asking.http.post(instance.token_url, data=body)).status_code == 200
    assert instance.token.issued == 3
    assert [one.credentials for one in instance.token.requests] == ["basic", "basic", "body"]


async def test_refused_tokens(asking: Asking) -> None:
    url = asking.instance.token_url
    good = {"grant_type": "client_credentials"}
    wrong = await asking.http.post(url, data=good, auth=("tilores-test-client", "wrong"))
    assert (wrong.status_code, wrong.json()) == (400, {"error": "invalid_client"})
    assert (await asking.http.post(url, data=good)).json() == {"error": "invalid_client"}
    other = await asking.http.post(url, data={"grant_type": "password"})
    assert other.json() == {"error": "unsupported_grant_type"}
    assert (await asking.http.post(url, json=good)).json() == {"error": "invalid_request"}
    asking.instance.token.scopes = {"tilores/query.search"}
    asked = await asking.log_in("tilores/query.search tilores/mutation.submit")
    assert (asked.status_code, asked.json()) == (400, {"error": "invalid_scope"})
    assert asking.instance.token.issued == 1


async def test_a_scope_that_is_missing_is_told_inside_graphql() -> None:
    async with running(scope_prefix="bank") as asking:
        await asking.log_in("bank/query.search")
        assert len(await asking.entities("id", **EDWINA)) == 1
        answer = await asking.post(BY_RECORD, {"id": "crm-1001"})
        assert (answer.status_code, answer.json()["data"]) == (200, None)
        assert answer.json()["errors"][0]["message"] == "access denied, required privilege: bank/query.entity"
        for query, privilege in (
            ("{ metrics { assemblyStatus { state } } }", "query.metrics"),
            ('mutation { submit(input: {records: [{id: "a"}]}) { recordsAdded } }', "mutation.submit"),
        ):
            message = (await asking.post(query)).json()["errors"][0]["message"]
            assert message == f"access denied, required privilege: bank/{privilege}"


async def test_unknown_and_expired_tokens(asking: Asking) -> None:
    asking.instance.token.valid_seconds = 0.0
    assert (await asking.log_in()).json()["expires_in"] == 3600  # what it says is not what it does
    late = await asking.post("{ __typename }")
    assert (late.status_code, late.json()) == (401, {"message": "Unauthorized"})
    asking.instance.token.valid_seconds = None
    await asking.log_in()
    assert (await asking.post("{ __typename }")).status_code == 200
    asking.instance.token.expire_all()
    assert (await asking.post("{ __typename }")).status_code == 401
    asking.token = "made-up"
    assert (await asking.post("{ __typename }")).status_code == 401


async def test_bad_days_of_the_token_endpoint(asking: Asking) -> None:
    token = asking.instance.token
    token.throttled, token.retry_after = True, 2
    answer = await asking.log_in()
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    token.throttled, token.status = False, 503
    assert (await asking.log_in()).status_code == 503
    token.status, token.down = 0, True
    with pytest.raises(httpx.TransportError):
        await asking.log_in()
    token.down, token.hanging = False, True
    with pytest.raises(httpx.ReadTimeout):
        await asking.http.post(asking.instance.token_url, data={}, timeout=0.1)
    token.hanging = False
    assert (await asking.log_in()).status_code == 200
    assert (await asking.post("{ __typename }")).status_code == 200


# ---- faults -----------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 429, 500, 502, 503, 504])
async def test_bursts(asking: Asking, status: int) -> None:
    asking.instance.faults.fail(status, times=2, retry_after=1.5)
    answers = [await asking.post("{ __typename }") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].headers["Retry-After"] == "1.5"
    assert answers[0].json().keys() == {"message"}


async def test_broken_connections(asking: Asking) -> None:
    faults = asking.instance.faults
    faults.reset(when="search")
    assert (await asking.post("{ __typename }")).status_code == 200
    with pytest.raises(httpx.TransportError):
        await asking.entities("id", **EDWINA)
    faults.cut()
    with pytest.raises(httpx.RemoteProtocolError):
        await asking.post("{ __typename }")
    faults.garbage()
    with pytest.raises(json.JSONDecodeError):
        (await asking.post("{ __typename }")).json()
    assert [seen.status for seen in asking.instance.requests] == [200, 0, 0, 200]


async def test_a_hang_ends_with_the_gateway_or_the_fault(asking: Asking) -> None:
    faults = asking.instance.faults
    faults.gateway_seconds = 0.1
    faults.hang()
    assert (await asking.post("{ __typename }")).status_code == 503
    faults.gateway_seconds = 30
    faults.hang(times=None)
    waiting = asyncio.create_task(asking.post("{ __typename }"))
    await eventually(lambda: asking.instance.in_flight != 0)
    faults.clear()
    with pytest.raises(httpx.TransportError):
        await waiting
    assert (await asking.post("{ __typename }")).status_code == 200


async def test_latency_and_cold_starts(asking: Asking) -> None:
    faults = asking.instance.faults
    faults.latency_seconds, faults.cold_start_seconds = 0.25, 0.5
    # One machine, kept warm; then two calls more at once need a machine each, until all went cold.
    assert [faults.delay(in_flight) for in_flight in (1, 1, 2, 3, 3, 1)] == [0.75, 0.25, 0.75, 0.75, 0.25, 0.25]
    faults.go_cold()
    assert faults.delay(1) == 0.75
    faults.go_cold()
    faults.latency_seconds, faults.cold_start_seconds = 0.02, 0.1
    for _ in range(2):
        await asking.post("{ __typename }")
    first, second = asking.instance.requests
    assert first.seconds >= 0.11
    assert second.seconds >= 0.019
    await asyncio.gather(*(asking.post("{ __typename }") for _ in range(3)))
    assert asking.instance.in_flight_max == 3
    faults.gateway_seconds, faults.latency_seconds = 0.05, 1
    assert (await asking.post("{ __typename }")).status_code == 503


async def test_a_broken_field(asking: Asking) -> None:
    asking.instance.faults.break_field("RecordInsights", "sum", "no sums today")
    body = (await asking.post(LOOKUP, {"params": EDWINA})).json()
    assert body["data"]["search"]["entities"][0]["recordInsights"]["open"] == {"count": 2, "sum": None}
    assert body["errors"][0]["message"] == "no sums today"
    asking.instance.faults.break_field("Entity", "duplicates")
    body = (await asking.post(BY_ID, {"id": asking.instance.entity_id("crm-1001")})).json()
    assert body["data"] == {"entity": {"entity": None}}
    asking.instance.faults.clear()
    assert (await asking.data(LOOKUP, {"params": EDWINA}))["search"]["entities"]


# ---- merges, splits, versions, layouts --------------------------------------


async def test_a_merge_keeps_the_oldest_entity_and_a_split_the_largest_part(asking: Asking) -> None:
    instance = asking.instance
    berlin, kassel = instance.entity_id("crm-1001"), instance.entity_id("crm-1101")
    assert instance.merge("crm-1101", "crm-1001") == berlin
    assert instance.entity_id("core-3101") == berlin
    assert (await asking.data(BY_ID, {"id": kassel}))["entity"] == {"entity": None}
    found = (await asking.data(BY_RECORD, {"id": "core-3101"}))["entityByRecord"]["entity"]
    assert [record["id"] for record in found["records"]] == [*BERLIN, "crm-1101", "core-3101"]
    reference = instance.split(["crm-1101", "core-3101"])
    assert instance.entity_id("crm-1001") == berlin
    left = instance.entity_id("crm-1101")
    assert left == instance.entity_id("core-3101")
    assert left not in {berlin, kassel}
    instance.split(["desk-4001", "crm-1001", "core-3001"])  # three of five: they are the larger part
    assert instance.entity_id("desk-4001") == berlin
    assert instance.entity_id("web-2001") not in {berlin, kassel, left}
    ban = """mutation ($r: ID!) { removeConnectionBan(input:
        {reference: $r, entityID: "x", others: [], meta: {user: "u", reason: "r"}}) { removed } }"""
    assert await asking.data(ban, {"r": reference}) == {"removeConnectionBan": {"removed": True}}
    assert instance.entity_id("crm-1101") == berlin
    assert await asking.data(ban, {"r": reference}) == {"removeConnectionBan": {"removed": False}}


async def test_disassemble(asking: Asking) -> None:
    query = """mutation ($i: DisassembleInput!) { disassemble(input: $i) { triggered } }"""
    edge = {"edges": [{"a": "desk-4001", "b": "crm-1001"}], "meta": {"user": "u", "reason": "r"}}
    assert await asking.data(query, {"i": edge}) == {"disassemble": {"triggered": True}}
    instance = asking.instance
    assert instance.entity_id("desk-4001") != instance.entity_id("crm-1001")
    desk = instance.world.record("desk-4001")
    assert desk is not None
    instance.submit(desk.data)  # no ban: sent again, it links again
    assert instance.entity_id("desk-4001") == instance.entity_id("crm-1001")
    whole = {"recordIDs": ["desk-4001"], "createConnectionBan": True, "meta": {"user": "u", "reason": "r"}}
    await asking.data(query, {"i": whole})
    instance.submit(desk.data)
    assert instance.entity_id("desk-4001") != instance.entity_id("crm-1001")


VERSIONED = {
    "{ search(input: {parameters: {}}) { totalCount } }": 86,
    '{ search(input: {parameters: {}, sort: {field: "id"}}) { entities { id } } }': 79,
    "{ metrics { assemblyStatus { state } } }": 74,
    '{ search(input: {parameters: {}, searchRules: "default"}) { entities { id } } }': 70,
    "{ search(input: {parameters: {}}) { entities { score hitScore } } }": 63,
    "{ search(input: {parameters: {}, considerRecords: []}) { entities { id } } }": 36,
    "{ search(input: {parameters: {}}) { entities { recordInsights { count } } } }": 26,
}


@pytest.mark.parametrize(("query", "since"), VERSIONED.items())
async def test_versions(query: str, since: int) -> None:
    for version, expected in ((since, 200), (since - 1, 422)):
        async with running(version=f"0.{version}", people=[]) as asking:
            assert (await asking.post(query)).status_code == expected, version
            assert (await asking.post(get_introspection_query())).status_code == 200


async def test_upper_case_names_a_required_parameter_and_300_fields() -> None:
    async with running(layout=UPPER) as asking:
        answer = await asking.post('{ search(input: {parameters: {E_MAIL: "a@example.com"}}) { entities { id } } }')
        assert answer.status_code == 422
        fields = """records { id LAST_NAME RECEIVED_AT
            POLICIES { __typename POLICY_NUMBER STATUS ... on MOTOR_POLICY { PLATE } }
            LAST_CLAIM { ... on WATER_CLAIM { LITRES } ... on THEFT_CLAIM { STOLEN } } GROUP_01 { VALUE_01_01 } }
            recordInsights { values(field: "POLICIES.0.STATUS") }"""
        [found] = await asking.entities(fields, LAST_NAME="Hawthorne", E_MAIL="edwina.hawthorne@example.com")
        crm = found["records"][0]
        assert crm["POLICIES"] == [
            {"__typename": "MOTOR_POLICY", "POLICY_NUMBER": "ACC-70010001", "STATUS": "OPEN", "PLATE": "TI-LO 1"}
        ]
        assert crm["LAST_CLAIM"] == {"STOLEN": "bicycle"}
        assert crm["GROUP_01"] == {"VALUE_01_01": "Prefers to be called in the afternoon."}
        assert found["records"][4]["LAST_CLAIM"] == {"LITRES": 200}
        assert found["recordInsights"]["values"] == ["OPEN", "OPEN"]
        schema = build_client_schema(await asking.data(get_introspection_query()))  # type: ignore[arg-type]
        groups = [one for name, one in schema.type_map.items() if name.startswith("ATTRIBUTES_")]
        assert sum(len(one.fields) for one in groups if isinstance(one, GraphQLObjectType)) > 300


async def test_nested_search_parameters_and_snake_case() -> None:
    async with running(layout=NESTED) as asking:
        fields = """records { person { family_name } contact { mobile_number } addresses { town } }
            recordInsights { valuesDistinct(field: "addresses.0.town") newest(field: "ingested_at") { id } }"""
        [found] = await asking.entities(fields, contact={"email_address": "edwina.hawthorne@example.com"})
        assert found["records"][2] == {
            "person": {"family_name": "Hawthorne"},
            "contact": {"mobile_number": "+49 171 5550199"},
            "addresses": [{"town": "Potsdam"}],
        }
        assert found["recordInsights"] == {"valuesDistinct": ["Berlin", "Potsdam"], "newest": {"id": "web-2002"}}
        name = {"given_name": "Edwina", "family_name": "Hawthorne"}
        assert len(await asking.entities("id", person=name)) == 3


async def test_a_crowd_is_found_by_its_numbers() -> None:
    async with running(people=crowd(300)) as asking:
        [found] = await asking.entities("recordInsights { count }", email="bulk7@example.com")
        assert found["recordInsights"]["count"] in {2, 3}
        assert len(asking.instance.world.entities()) == 300


async def test_a_process_of_its_own() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.tilores_instance", "--port", "0", "--crowd", "5"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        line = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        async with httpx.AsyncClient(timeout=60) as http:
            auth, grant = (line["client_id"], line["client_secret"]), {"grant_type": "client_credentials"}
            answer = await http.post(line["token_url"], auth=auth, data=grant)
            headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            body = {"query": BY_RECORD, "variables": {"id": "bulk-4"}}
            found = (await http.post(line["api_url"], json=body, headers=headers)).json()
            assert found["data"]["entityByRecord"]["entity"]["records"][0] == {"id": "bulk-4"}
            wanted = {"token": {"down": True}, "fail": [{"status": 503}], "merge": ["crm-1001", "bulk-4"]}
            counters = (await http.post(line["control_url"], json=wanted)).json()
            assert (counters["requests"], counters["tokens_issued"]) == (1, 1)
            with pytest.raises(httpx.TransportError):
                await http.post(line["token_url"], auth=auth, data=grant)
            assert (await http.post(line["api_url"], json=body, headers=headers)).status_code == 503
            merged = (await http.post(line["api_url"], json=body, headers=headers)).json()
            assert {"id": "crm-1001"} in merged["data"]["entityByRecord"]["entity"]["records"]
            assert (await http.post(line["control_url"], json={"tokens": {}})).status_code == 400
        assert process.stdin is not None
        process.stdin.close()  # whoever started it has gone
        assert await asyncio.wait_for(process.wait(), 60) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
