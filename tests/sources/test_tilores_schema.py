"""The instance's schema: read, kept, renewed, and every query held against it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from graphql import (
    GraphQLSchema,
    build_client_schema,
    build_schema,
    get_introspection_query,
    graphql_sync,
    parse,
    validate,
)

from tests.sources.tilores_client import EDWINA, EDWINA_EMAIL, asked, connected, introspections, settings_for
from tests.tilores_instance import BANK, NESTED, UPPER, Layout, TiloresInstance
from tilores_core import Identifiers, SourceError, SourceUnavailableError
from tilores_core.spectrums import SPECTRUMS
from tilores_core.testing.waiting import eventually
from tilores_plugins.sources.tilores import introspection
from tilores_plugins.sources.tilores.catalogue import Catalogue, from_json, to_json
from tilores_plugins.sources.tilores.plan import make_plan
from tilores_plugins.sources.tilores.queries import Shape
from tilores_plugins.sources.tilores.schema_file import SchemaFile
from tilores_plugins.sources.tilores.settings import Settings

WHO = Identifiers(email=EDWINA_EMAIL)
VERSIONS = ("0.91", "0.84", "0.78", "0.65", "0.60", "0.20")


def catalogue_of(schema: GraphQLSchema) -> Catalogue:
    return introspection.read(graphql_sync(schema, introspection.QUERY).data)


def introspected(schema: GraphQLSchema) -> GraphQLSchema:
    """As a client knows it."""
    return build_client_schema(graphql_sync(schema, get_introspection_query()).data)  # type: ignore[arg-type]


# --- every query is valid --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "layout"),
    [
        *((version, BANK) for version in VERSIONS),
        ("0.91", NESTED),
        ("0.60", NESTED),
        ("0.91", UPPER),
        ("0.20", UPPER),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_every_query_is_valid_in_every_version(version: str, layout: Layout) -> None:
    instance = TiloresInstance(version=version, layout=layout)
    schema = introspected(instance.service.schema)
    plan = make_plan(catalogue_of(schema), settings_for(TiloresInstance()))
    documents = [introspection.QUERY]
    for shape in (Shape(), Shape(insights=False), Shape(records=8), Shape(insights=False, records=1)):
        documents += [plan.documents.search(count, shape) for count in (1, 4)]
        documents += [plan.documents.by_id(shape), plan.documents.by_records(2, shape)]
    documents.append(plan.documents.edges())
    for document in documents:
        assert validate(schema, parse(document)) == [], document


@pytest.mark.parametrize("version", ["0.91", "0.60"])
@pytest.mark.parametrize("layout", [BANK, NESTED, UPPER], ids=lambda layout: layout.name)
async def test_what_was_really_sent_is_valid_and_narrow(layout: Layout, version: str, tmp_path: Path) -> None:
    async with TiloresInstance(layout=layout, version=version) as instance:
        async with connected(instance, tmp_path) as source:
            await source.find(Identifiers(name="Edwina Hawthorne", date_of_birth="1984-03-17"))
            await source.find(Identifiers(name="Nobody Atall"))
            await source.get(instance.entity_id(EDWINA))
            await source.get(EDWINA)
            await source.edges(instance.entity_id(EDWINA))
        schema = introspected(instance.service.schema)
        seen = asked(instance)
        assert {request.operation_name or str(request.document).split("(")[0] for request in seen} == {
            "query Search",
            "query ById",
            "query ByRecord",
            "query Edges",
        }
        assert all(request.status == 200 for request in seen)
        for request in seen:
            assert validate(schema, parse(str(request.document))) == []
        for request in asked(instance, "Search"):
            assert (request.variables["page"], request.variables["size"]) == (1, 16)
            assert not any(word in str(request.document) for word in ("edges", "duplicates", "hits", "matrix"))


@pytest.mark.parametrize(
    ("version", "there", "absent"),
    [
        ("0.91", {"totalCount", "sort", "hitScore", "confidence"}, set()),
        ("0.84", {"sort", "hitScore", "confidence"}, {"totalCount"}),
        ("0.78", {"hitScore", "confidence"}, {"totalCount", "sort:"}),
        ("0.60", {"confidence"}, {"totalCount", "sort:", "hitScore"}),
        ("0.20", set(), {"totalCount", "sort:", "hitScore", "recordInsights"}),
    ],
)
async def test_what_a_version_lacks_is_not_asked_for(
    version: str, there: set[str], absent: set[str], tmp_path: Path
) -> None:
    async with TiloresInstance(version=version) as instance, connected(instance, tmp_path) as source:
        assert len(await source.find(Identifiers(name="Edwina Hawthorne"))) == 3
        document = str(asked(instance)[0].document)
    assert all(word in document for word in there)
    assert not any(word in document for word in absent)


# --- odd schemas -----------------------------------------------------------------------------------------------


ODD = """
type Query { search(input: SearchInput!): SearchOutput!  entity(input: EntityInput!): EntityOutput! }
input SearchInput { parameters: Wanted!  page: Int  pageSize: Int }
input EntityInput { id: ID! }
type EntityOutput { entity: Person }
type SearchOutput { entities: [Person!]! }
input Wanted { person: Who!  emails: [Mail!]  born: Time  tenant: String! = "one"  kind: Kind }
input Who { full_name: String  nick: Nick }
input Nick { first: String!  last: String }
input Mail { address: String!  verified: Boolean }
enum Kind { PRIVATE BUSINESS }
scalar Time
scalar Any
type Person { id: ID!  records: [Row!]! }
type Row {
  id: ID!
  "what they are\\n called"
  full_name: String
  parent: Row
  boss: Boss
  extra: Any
  secret(key: String!): String
  open(since: Time): Int
  times: [[Int]]
  thing: Thing
  kind: Kind
}
type Boss { full_name: String  deputy: Boss }
union Thing = Car | House
type Car { size: Int  name: String  wheel: Wheel }
type House { size: String!  name: String  wheel: [Wheel] }
type Wheel { size: Float }
"""


def test_an_odd_schema_is_understood() -> None:
    schema = introspected(build_schema(ODD))
    catalogue = catalogue_of(schema)
    leaves = {leaf.path: leaf for leaf in catalogue.leaves}
    assert leaves["full_name"].description == "what they are called"
    assert leaves["times"].is_list
    assert "secret" not in leaves, "it needs an argument"
    assert leaves["open"].type == "integer"
    assert leaves["kind"].choices == ("PRIVATE", "BUSINESS")
    assert "parent.full_name" in leaves
    assert "parent.parent.full_name" not in leaves, "a type inside itself ends"
    assert {"thing.size", "thing.wheel.size"} <= set(leaves)
    parameters = {parameter.name: parameter for parameter in catalogue.parameters}
    assert not parameters["tenant"].required, "it has a default"
    assert not parameters["person.full_name"].required
    assert parameters["person.nick.first"].needs == (True, False, True)
    plan = make_plan(catalogue, Settings())
    document = plan.documents.search(1, Shape())
    assert validate(schema, parse(document)) == [], document


def test_required_parameters_inside_what_is_given_are_given() -> None:
    asking = make_plan(catalogue_of(build_schema(ODD)), Settings()).asking
    assert asking.missing({"kind": "PRIVATE"}) == []
    assert asking.missing({"person.nick.last": "x"}) == ["person.nick.first"]
    assert asking.missing({"emails.verified": True}) == ["emails.address"]
    assert asking.variables({"emails.address": "a@b.example", "person.full_name": "A B"}) == {
        "emails": [{"address": "a@b.example"}],
        "person": {"full_name": "A B"},
    }
    (born,) = asking.variants(Identifiers(date_of_birth="1984-03-17"))
    assert born == {"born": "1984-03-17T00:00:00Z"}, "a plain date is refused there"


@pytest.mark.parametrize(
    "sdl",
    [
        "type Query { hello: String }",
        "type Query { search(input: I!): O! } input I { x: Int } type O { entities: [E!]! } type E { id: ID! }",
        "type Query { search(input: I!): O! } input I { parameters: P! } input P { a: Int } type O { n: Int }",
    ],
)
def test_a_schema_that_is_no_instance_s_is_said(sdl: str) -> None:
    with pytest.raises(SourceError, match="schema has no") as raised:
        catalogue_of(build_schema(sdl))
    assert "TILORES_API_URL" in str(raised.value.fix)


def test_a_huge_schema_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introspection, "_MOST_LEAVES", 500)
    wide = " ".join(f"f{number}: String" for number in range(600))
    catalogue = catalogue_of(build_schema(ODD.replace("type Boss {", f"type Boss {{ {wide} ")))
    assert len(catalogue.leaves) == 500
    assert catalogue.cut > 100
    plan = make_plan(catalogue, Settings())
    assert len(plan.schema.fields) == 400
    assert "full_name" in {info.name for info in plan.schema.fields}


# --- the hash and the fields -----------------------------------------------------------------------------------


async def test_fields_have_types_and_spectrums(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        schema = await source.schema()
    fields = {info.name: info for info in schema.fields}
    assert fields["balance"].type == "number"
    assert fields["openTickets"].type == "integer"
    assert fields["marketingConsent"].type == "boolean"
    assert fields["tags"].type == "array"
    assert fields["address.city"].spectrum in {spectrum.name for spectrum in SPECTRUMS}
    assert fields["email"].spectrum == "customer_profile"
    assert "OPEN, FROZEN, CLOSED" in fields["accountStatus"].description
    assert fields["balance"].description == "in euros"
    assert len(schema.hash) == 64


def test_the_hash_is_that_of_the_schema() -> None:
    once, again = catalogue_of(build_schema(ODD)), catalogue_of(build_schema(ODD))
    assert once.hash == again.hash
    other = catalogue_of(build_schema(ODD.replace("kind: Kind\n}", "kind: Kind more: Int\n}")))
    described = catalogue_of(build_schema(ODD.replace("what they are", "whatever they are")))
    assert len({once.hash, other.hash, described.hash}) == 3
    assert make_plan(once, Settings()).schema.hash != make_plan(once, Settings(exclude_fields=("kind",))).schema.hash


def test_a_catalogue_survives_being_written() -> None:
    catalogue = catalogue_of(build_schema(ODD))
    assert from_json(to_json(catalogue)) == catalogue


# --- kept and renewed ------------------------------------------------------------------------------------------


async def test_it_is_read_once(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        await asyncio.gather(*(source.schema() for _ in range(20)), *(source.find(WHO) for _ in range(5)))
    assert introspections(instance) == 1


async def test_a_start_while_the_instance_is_down_still_knows_it(tmp_path: Path) -> None:
    async with TiloresInstance() as instance:
        async with connected(instance, tmp_path) as source:
            schema = await source.schema()
        instance.token.down = True
        async with connected(instance, tmp_path) as source:
            assert await source.schema() == schema
            with pytest.raises(SourceUnavailableError):
                await source.find(WHO)
        instance.token.down = False
        async with connected(instance, tmp_path / "empty", timeout_seconds=0.5) as source:
            instance.faults.hang(times=None)
            with pytest.raises(SourceUnavailableError):
                await source.schema()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 0}', b"\xff" * 100])
async def test_a_kept_file_that_is_spoilt_is_read_anew(
    content: bytes, instance: TiloresInstance, tmp_path: Path
) -> None:
    async with connected(instance, tmp_path) as source:
        schema = await source.schema()
    (kept,) = (tmp_path / "tilores").iterdir()
    kept.write_bytes(content)
    async with connected(instance, tmp_path) as source:
        assert await source.schema() == schema
    assert len(kept.read_bytes()) > 100


def test_what_cannot_be_kept_is_not(tmp_path: Path) -> None:
    (tmp_path / "tilores").write_text("a file where the folder should be")
    keeping = SchemaFile(tmp_path, "https://tilores.example")
    keeping.save(catalogue_of(build_schema(ODD)))
    assert keeping.load() is None


async def test_a_changed_schema_is_noticed_behind_the_requests(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        before = (await source.schema()).hash
    async with TiloresInstance(version="0.60", port=0) as other:
        instance.service = other.service
        async with connected(instance, tmp_path) as source:
            assert (await source.schema()).hash == before, "what was kept serves at once"

            async def changed() -> bool:
                return (await source.schema()).hash != before

            await eventually(changed)
            assert await source.find(WHO)


async def test_a_query_that_became_invalid_is_made_anew(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        before = (await source.schema()).hash
        instance.service = TiloresInstance(version="0.60").service
        assert len(await source.find(WHO)) == 1
        assert (await source.schema()).hash != before
    assert [seen.status for seen in asked(instance)] == [422, 200]
    assert introspections(instance) == 2


async def test_a_query_that_stays_invalid_is_an_error_and_no_storm(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        await source.schema()
        instance.faults.fail(422, times=None, body=b'{"errors": [{"message": "no"}]}', when="query Search")
        for _ in range(5):
            with pytest.raises(SourceError, match="422"):
                await source.find(WHO)
    assert introspections(instance) == 2
