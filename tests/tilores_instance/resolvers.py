"""What each field of the fixed part of the schema answers. Fields of records come out of their data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import GraphQLError, GraphQLResolveInfo

from tests.tilores_instance.assembly import Edge
from tests.tilores_instance.insights import Insights, frequencies
from tests.tilores_instance.paths import FieldError, time_of
from tests.tilores_instance.submissions import Submissions
from tests.tilores_instance.world import Entity, World

PAGE_SIZE: Final = 10
EDGE_FORMS: Final = ("short", "versioned", "scored")


@dataclass(slots=True)
class Call:
    """What a resolver needs to know: the context of one execution."""

    world: World
    submissions: Submissions
    scopes: frozenset[str]
    prefix: str
    edge_form: str
    hit_keys: str

    def needs(self, privilege: str) -> None:
        if f"{self.prefix}/{privilege}" not in self.scopes:
            raise GraphQLError(f"access denied, required privilege: {self.prefix}/{privilege}")


def search(_root: Any, info: GraphQLResolveInfo[Any], input: Mapping[str, Any]) -> dict[str, Any]:
    call: Call = info.context
    call.needs("query.search")
    found = call.world.search(input["parameters"], input.get("searchRules") or "default")
    found = _ordered(found, input.get("sort"))
    shown = _page(found, input.get("page"), input.get("pageSize"))
    conditions = input.get("considerRecords")
    return {"entities": [part for one in shown for part in one.considering(conditions)], "totalCount": len(found)}


def entity(_root: Any, info: GraphQLResolveInfo[Any], input: Mapping[str, Any]) -> dict[str, Any]:
    call: Call = info.context
    call.needs("query.entity")
    found = call.world.entity(input["id"])
    parts = found.considering(input.get("considerRecords")) if found else []
    return {"entity": max(parts, key=lambda part: len(part.records), default=None)}


def entity_by_record(_root: Any, info: GraphQLResolveInfo[Any], input: Mapping[str, Any]) -> dict[str, Any]:
    call: Call = info.context
    call.needs("query.entity")
    name = call.world.entity_id(input["id"])
    found = call.world.entity(name) if name else None
    parts = found.considering(input.get("considerRecords")) if found else []
    mine = (part for part in parts if any(record.id == input["id"] for record in part.records))
    return {"entity": next(mine, None)}


def metrics(_root: Any, info: GraphQLResolveInfo[Any]) -> dict[str, Any]:
    call: Call = info.context
    call.needs("query.metrics")
    minutes = call.submissions.minutes_left()
    state = "READY" if minutes is None else "IN_PROGRESS"
    return {"assemblyStatus": {"state": state, "estimatedTimeRemaining": minutes}}


def submit(_root: Any, info: GraphQLResolveInfo[Any], input: Mapping[str, Any]) -> dict[str, Any]:
    call: Call = info.context
    call.needs("mutation.submit")
    call.submissions.submit(_sound(input["records"]))
    return {"recordsAdded": len(input["records"])}


def submit_with_preview(_root: Any, info: GraphQLResolveInfo[Any], input: Mapping[str, Any]) -> dict[str, Any]:
    call: Call = info.context
    call.needs("mutation.submit")
    records = _sound(input["records"])
    entities = call.world.preview(records)
    if not input.get("dryRun"):
        call.submissions.submit(records)
    return {"entities": entities}


def disassemble(_root: Any, info: GraphQLResolveInfo[Any], input: Mapping[str, Any]) -> dict[str, Any]:
    call: Call = info.context
    call.needs("mutation.disassemble")
    pairs = {frozenset((edge["a"], edge["b"])) for edge in input.get("edges") or ()}
    records = tuple(input.get("recordIDs") or ())
    call.submissions.disassemble(pairs, records, ban=bool(input.get("createConnectionBan")))
    return {"triggered": bool(pairs or records)}


def remove_connection_ban(_root: Any, info: GraphQLResolveInfo[Any], input: Mapping[str, Any]) -> dict[str, Any]:
    call: Call = info.context
    call.needs("mutation.removeConnectionBan")
    return {"removed": call.world.lift(input["reference"])}


def _sound(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for record in records:
        if ":" in record["id"]:
            raise FieldError(f"record id must not contain a colon: {record['id']}")
    return records


def _ordered(found: list[Entity], criterion: Mapping[str, Any] | None) -> list[Entity]:
    """By id ascending unless asked otherwise; hit scores are descending unless asked otherwise."""
    if criterion is None:
        return found
    name, direction = criterion["field"], criterion.get("direction")
    if name == "id":
        return sorted(found, key=lambda one: one.id, reverse=direction == "DESC")
    if name == "hitScore":
        sign = 1 if direction == "ASC" else -1
        return sorted(found, key=lambda one: sign * one.hit_score)
    raise FieldError(f"cannot sort by {name}: only id and hitScore are supported")


def _page(found: list[Entity], page: int | None, size: int | None) -> list[Entity]:
    if page is None:
        return found
    if page < 1 or (size is not None and size < 1):
        raise FieldError("page and pageSize start at 1")
    size = PAGE_SIZE if size is None else size
    return found[(page - 1) * size : page * size]


def _edge_texts(one: Entity, info: GraphQLResolveInfo[Any]) -> list[str]:
    form = info.context.edge_form
    forms = EDGE_FORMS if form == "mixed" else (form,)
    return [edge.text(forms[number % len(forms)]) for number, edge in enumerate(one.edges)]


def _hits(one: Entity, info: GraphQLResolveInfo[Any]) -> dict[str, list[str]]:
    if info.context.hit_keys == "plain":
        return dict(one.hits)
    versions = {record.id: record.version for record in one.records}
    return {f"{record}:{versions[record]}": rules for record, rules in one.hits.items()}


@dataclass(frozen=True, slots=True)
class EdgeInsights:
    """Over the edges and, in the matrix, the duplicates of an entity."""

    edges: list[Edge]
    copies: Mapping[str, list[str]]

    def matrix(self, links: Iterable[str] | None) -> list[dict[str, Any]]:
        """A row for every pair that one of these links ties, saying of each link whether it does."""
        ties = [(*sorted((edge.a.id, edge.b.id)), edge.rule) for edge in self.edges]
        ties += [(*sorted((one, copy)), "duplicate") for one, copies in self.copies.items() for copy in copies]
        wanted = list(dict.fromkeys(rule for *_, rule in ties)) if links is None else list(links)
        rows: dict[tuple[str, str], dict[str, bool]] = {}
        for a, b, rule in ties:
            if rule in wanted:
                rows.setdefault((a, b), dict.fromkeys(wanted, False))[rule] = True
        return [{"a": a, "b": b, "links": row} for (a, b), row in rows.items()]


def _edge_frequencies(source: EdgeInsights, _info: Any, **asked: Any) -> list[Any]:
    return frequencies([edge.rule for edge in source.edges], case_sensitive=True, **_given(asked))


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """In snake case, without nulls: they mean the default."""
    return {_snake(name): value for name, value in arguments.items() if value is not None}


def _snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def _insight(name: str) -> Callable[..., Any]:
    method = getattr(Insights, _snake(name))
    return lambda source, _info, **asked: method(source, **_given(asked))


_INSIGHTS: Final = (
    *("records", "filter", "sort", "group", "limit", "count", "countDistinct", "first", "last", "values"),
    *("valuesDistinct", "frequencyDistribution", "average", "max", "median", "min", "sum", "standardDeviation"),
    *("confidence", "newest", "oldest", "flatten", "flattenDistinct"),
)

RESOLVERS: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    ("Query", "search"): search,
    ("Query", "entity"): entity,
    ("Query", "entityByRecord"): entity_by_record,
    ("Query", "metrics"): metrics,
    ("Mutation", "submit"): submit,
    ("Mutation", "submitWithPreview"): submit_with_preview,
    ("Mutation", "disassemble"): disassemble,
    ("Mutation", "removeConnectionBan"): remove_connection_ban,
    ("Entity", "records"): lambda one, _info: [record.data for record in one.records],
    ("Entity", "edges"): _edge_texts,
    ("Entity", "hits"): _hits,
    ("Entity", "hitScore"): lambda one, _info: one.hit_score,
    ("Entity", "edgeInsights"): lambda one, _info: EdgeInsights(one.edges, one.duplicates),
    ("Entity", "recordInsights"): lambda one, _info: Insights(tuple(record.data for record in one.records)),
    ("EdgeInsights", "count"): lambda source, _info: len(source.edges),
    ("EdgeInsights", "frequencyDistribution"): _edge_frequencies,
    ("EdgeInsights", "matrix"): lambda source, _info, links=None: source.matrix(links),
    **{("RecordInsights", name): _insight(name) for name in _INSIGHTS},
}


def _time_text(value: Any) -> str:
    time_of(value)
    return str(value)


SCALARS: Final[Mapping[str, Callable[[Any], Any]]] = {"Time": _time_text}
