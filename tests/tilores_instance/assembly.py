"""Entities out of records: links, the components they make, and the ids that survive merges and splits."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any

from tests.tilores_instance.matching import LINK_RULES, Attributes

Pair = frozenset[str]
STATIC = "STATIC"


@dataclass(frozen=True, slots=True)
class Stored:
    """The newest version of a record. `order` is when its id was first seen."""

    id: str
    version: int
    order: int
    data: dict[str, Any]
    attributes: Attributes
    content: str


def content_of(record: Mapping[str, Any], changing: Set[str]) -> str:
    """What must be equal in two records for one to be the other's duplicate: all but `changing`."""
    return json.dumps({name: value for name, value in record.items() if name not in changing}, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Edge:
    a: Stored
    b: Stored
    rule: str
    score: int

    def text(self, form: str) -> str:
        """`a:b:RULE` (short), with versions (versioned), and with the score too (scored)."""
        if form == "short":
            return f"{self.a.id}:{self.b.id}:{self.rule}"
        text = f"{self.a.id}:{self.a.version}:{self.b.id}:{self.b.version}:{self.rule}"
        return f"{text}:{self.score}" if form == "scored" else text


@dataclass(slots=True)
class Links:
    """What ties records together beside the rules, and what keeps them apart."""

    static: set[Pair] = field(default_factory=set)
    cut: set[Pair] = field(default_factory=set)

    def apart(self, a: str, b: str) -> bool:
        return frozenset((a, b)) in self.cut


def components(records: Sequence[Stored], links: Links) -> list[tuple[Stored, ...]]:
    """Records that hang together, each group and the groups themselves in the order of their records."""
    parent = {record.id: record.id for record in records}

    def root(one: str) -> str:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for a, b in _ties(records, links):
        if not links.apart(a, b):
            parent[root(a)] = root(b)
    groups: dict[str, list[Stored]] = defaultdict(list)
    for record in sorted(records, key=lambda one: one.order):
        groups[root(record.id)].append(record)
    return [tuple(group) for group in groups.values()]


def _ties(records: Sequence[Stored], links: Links) -> Iterable[tuple[str, str]]:
    known = {record.id for record in records}
    keys: list[Callable[[Stored], object]] = [
        lambda one, rule=rule: rule.key(one.attributes)  # type: ignore[misc]
        for rule in LINK_RULES
    ]
    for key in [*keys, lambda one: one.content]:
        for ids in _groups(records, key):
            # A chain is enough to tie a group together unless some of its pairs were cut.
            yield from combinations(ids, 2) if links.cut else pairwise(ids)
    for pair in links.static:
        if pair <= known:
            a, b = sorted(pair)
            yield a, b


def _groups(records: Sequence[Stored], key: Callable[[Stored], object]) -> Iterable[list[str]]:
    groups: dict[object, list[str]] = defaultdict(list)
    for record in records:
        if (value := key(record)) is not None:
            groups[value].append(record.id)
    return (ids for ids in groups.values() if len(ids) > 1)


def duplicates(records: Sequence[Stored]) -> dict[str, list[str]]:
    """The first of equal records to those that came after it."""
    return {ids[0]: ids[1:] for ids in _groups(records, lambda one: one.content)}


def edges(records: Sequence[Stored], links: Links) -> list[Edge]:
    """Every rule that ties every pair, `a` the older one; duplicates are not in edges."""
    copies = {copy for ones in duplicates(records).values() for copy in ones}
    originals = [record for record in records if record.id not in copies]
    found: list[Edge] = []
    for a, b in combinations(originals, 2):
        if links.apart(a.id, b.id):
            continue
        if frozenset((a.id, b.id)) in links.static:
            found.append(Edge(a, b, STATIC, 100))
        for rule in LINK_RULES:
            key = rule.key(a.attributes)
            if key is not None and key == rule.key(b.attributes):
                found.append(Edge(a, b, rule.name, rule.score))
    return found


def keep_ids(
    groups: Sequence[tuple[Stored, ...]], entity_of: Mapping[str, str], born: Mapping[str, int]
) -> list[str | None]:
    """The id that each group keeps, None for a new one.

    Where an entity came apart its largest part claims the id (the part with the oldest record, of equal ones); where
    a group claims several ids it keeps that of the oldest entity.
    """
    parts: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for index, group in enumerate(groups):
        for old in {entity_of[record.id] for record in group if record.id in entity_of}:
            mine = [record.order for record in group if entity_of.get(record.id) == old]
            parts[old].append((-len(mine), min(mine), index))
    claims: dict[int, list[str]] = defaultdict(list)
    for old, ones in parts.items():
        claims[min(ones)[2]].append(old)
    return [min(claims[index], key=lambda old: born[old]) if claims[index] else None for index in range(len(groups))]
