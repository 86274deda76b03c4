"""The documents that are sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from tilores_plugins.sources.tilores.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Shape:
    """How much of an entity to ask for. `records`: at most so many, None for all."""

    insights: bool = True
    records: int | None = None


@dataclass(frozen=True, slots=True)
class Documents:
    """For one catalogue. `selection`: of a record; `agreeing`: fields whose agreement is asked for; `record_id`: the
    field that names a record."""

    catalogue: Catalogue
    selection: str
    agreeing: tuple[str, ...]
    record_id: str | None

    def search(self, variants: int, shape: Shape) -> str:
        """Variables: `p0`, `p1`, …, `page`, `size`; the answers are `s0`, `s1`, …"""
        can = self.catalogue.can
        variables = [f"${name}: {self.catalogue.search_type}!" for name in _number_names("p", variants)]
        paging = "page: $page, pageSize: $size"
        order = ', sort: {field: "hitScore", direction: DESC}' if can("SearchInput.sort", "Entity.hitScore") else ""
        total = "totalCount " if can("SearchOutput.totalCount") else ""
        fields = [
            f"s{n}: search(input: {{parameters: $p{n}, {paging}{order}}}) {{ {total}entities {{ ...E }} }}"
            for n in range(variants)
        ]
        head = f"query Search({', '.join(variables)}, $page: Int!, $size: Int!)"
        return f"{head} {{ {' '.join(fields)} }} {self._entity(shape, found=True)}"

    def by_id(self, shape: Shape) -> str:
        """Variable: `id`; the answer is `entity`."""
        return f"query ById($id: ID!) {{ entity(input: {{id: $id}}) {{ entity {{ ...E }} }} }} {self._entity(shape)}"

    def by_records(self, count: int, shape: Shape) -> str:
        """Variables: `r0`, `r1`, …; the answers are of the same names."""
        names = _number_names("r", count)
        variables = ", ".join(f"${name}: ID!" for name in names)
        fields = " ".join(f"{name}: entityByRecord(input: {{id: ${name}}}) {{ entity {{ ...E }} }}" for name in names)
        return f"query ByRecord({variables}) {{ {fields} }} {self._entity(shape)}"

    def edges(self) -> str:
        """Variable: `id`; the answer is `entity`."""
        duplicates = " duplicates" if self.catalogue.can("Entity.duplicates") else ""
        records = f"records {{ {self.record_id} }} " if self.record_id else ""
        wanted = f"id {records}edges{duplicates}"
        return f"query Edges($id: ID!) {{ entity(input: {{id: $id}}) {{ entity {{ {wanted} }} }} }}"

    def _entity(self, shape: Shape, *, found: bool = False) -> str:
        can = self.catalogue.can
        parts = ["id"]
        if shape.insights and can("Entity.consistency"):
            parts.append("consistency")
        if shape.insights and found and can("Entity.hitScore"):
            parts.append("hitScore")
        if shape.records is None or not self.can_limit:
            parts.append(f"records {{ {self.selection} }}")
        insights = self._insights(shape)
        if insights:
            parts.append(f"recordInsights {{ {insights} }}")
        return f"fragment E on {self.catalogue.entity_type} {{ {' '.join(parts)} }}"

    def _insights(self, shape: Shape) -> str:
        parts = []
        if shape.records is not None and self.can_limit:
            parts.append(f"kept: limit(count: {shape.records}) {{ records {{ {self.selection} }} }}")
        if shape.insights and self.catalogue.can("RecordInsights.confidence"):
            parts += [
                f"c{n}: confidence(field: {orjson.dumps(path).decode()})" for n, path in enumerate(self.agreeing)
            ]
        return " ".join(parts)

    @property
    def can_limit(self) -> bool:
        return self.catalogue.can("RecordInsights.limit", "RecordInsights.records")


def _number_names(letter: str, count: int) -> Iterable[str]:
    return [f"{letter}{n}" for n in range(count)]
