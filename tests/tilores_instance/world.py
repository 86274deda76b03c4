"""The records of an instance and what may happen to them: submitted, merged, split, searched."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise, product
from typing import Any

from tests.tilores_instance import matching
from tests.tilores_instance.assembly import Edge, Links, Stored, components, content_of, duplicates, edges, keep_ids
from tests.tilores_instance.conditions import Condition, meets
from tests.tilores_instance.layouts import Layout
from tests.tilores_instance.matching import ATTRIBUTES, FUZZY_RATIO, SEARCH_RULES, Rule
from tests.tilores_instance.paths import FieldError, value_at

_NAMESPACE = uuid.UUID("6f1c3a52-0b0e-4c1e-9d9e-7a5c2f10b7aa")
_FIRST_VERSION = 1


@dataclass(eq=False)
class Entity:
    """Records that belong together, as a query sees them; `asked` and `hits` are of the search that found it."""

    id: str
    records: tuple[Stored, ...]
    links: Links
    asked: Mapping[str, str] = field(default_factory=dict)
    hits: Mapping[str, list[str]] = field(default_factory=dict)

    @cached_property
    def edges(self) -> list[Edge]:
        return edges(self.records, self.links)

    @cached_property
    def duplicates(self) -> dict[str, list[str]]:
        return duplicates(self.records)

    @cached_property
    def hit_score(self) -> float:
        return matching.hit_score(self.asked, [record.attributes for record in self.records])

    @cached_property
    def consistency(self) -> float:
        return matching.consistency(record.attributes for record in self.records)

    @cached_property
    def score(self) -> float:
        scores = [edge.score for edge in self.edges]
        return round(sum(scores) / len(scores) / 100, 4) if scores else 1.0

    def considering(self, conditions: Sequence[Condition] | None) -> list[Entity]:
        """What is left when only records that meet the conditions count: none, one, or several with suffixed ids."""
        if not conditions:
            return [self]
        left = [record for record in self.records if meets(record.data, conditions)]
        groups = components(left, self.links)
        names = [self.id] if len(groups) == 1 else [f"{self.id}-{number}" for number in range(1, len(groups) + 1)]
        return [self._part(name, group) for name, group in zip(names, groups, strict=True)]

    def _part(self, name: str, records: tuple[Stored, ...]) -> Entity:
        known = {record.id for record in records}
        hits = {record: rules for record, rules in self.hits.items() if record in known}
        return Entity(name, records, self.links, self.asked, hits)


class World:
    """Every record once, in its newest version, and the entities that the rules make of them."""

    def __init__(self, layout: Layout, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self.layout = layout
        self.links = Links()
        self.bans: dict[str, set[frozenset[str]]] = {}
        self._records: dict[str, Stored] = {}
        self._entities: dict[str, tuple[Stored, ...]] = {}
        self._entity_of: dict[str, str] = {}
        self._born: dict[str, int] = {}
        self._indexes: dict[Rule, dict[tuple[str, ...], list[Stored]]] = {}
        self._store(records)
        self.assemble()

    def submit(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Adds records that belong together, or newer versions of them. A record sent again may link anew."""
        ids = [str(record["id"]) for record in records]
        banned = {pair for pairs in self.bans.values() for pair in pairs}
        self.links.cut = {pair for pair in self.links.cut if pair in banned or not pair & set(ids)}
        self.links.static |= {frozenset(pair) for pair in pairwise(ids) if pair[0] != pair[1]}
        self._store(records)
        self.assemble()

    def merge(self, *record_ids: str) -> str:
        """Ties the entities of these records together; the id that survives."""
        self._known(record_ids)
        self.links.static |= {frozenset(pair) for pair in pairwise(record_ids)}
        whole = [record.id for one in record_ids for record in self._entities[self._entity_of[one]]]
        self.links.cut = {pair for pair in self.links.cut if not pair <= set(whole)}
        self.assemble()
        return self._entity_of[record_ids[0]]

    def split(self, record_ids: Iterable[str], *, ban: bool = True, reference: str = "") -> str:
        """Cuts these records off from the rest of their entities; the reference of the ban (see `lift`)."""
        ids = set(record_ids)
        self._known(ids)
        mates = {record.id for one in ids for record in self._entities[self._entity_of[one]]}
        pairs = {frozenset(pair) for pair in product(ids, mates - ids)}
        return self.cut(pairs, ban=ban, reference=reference)

    def cut(self, pairs: set[frozenset[str]], *, ban: bool = True, reference: str = "") -> str:
        """Cuts the links of these pairs; without a ban they may come back when a record is submitted again."""
        self.links.cut |= pairs
        name = reference or f"ban-{len(self.bans) + 1}"
        if ban:
            self.bans[name] = pairs
        self.assemble()
        return name

    def lift(self, reference: str) -> bool:
        """Removes a ban; False when there is none of this name."""
        pairs = self.bans.pop(reference, None)
        if pairs is None:
            return False
        self.links.cut -= pairs
        self.assemble()
        return True

    def record(self, record_id: str) -> Stored | None:
        return self._records.get(record_id)

    def records(self) -> list[Stored]:
        return list(self._records.values())

    def entity_id(self, record_id: str) -> str | None:
        """The id, now, of the entity that this record belongs to."""
        return self._entity_of.get(record_id)

    def entity(self, entity_id: str) -> Entity | None:
        records = self._entities.get(entity_id)
        return None if records is None else Entity(entity_id, records, self.links)

    def entities(self) -> list[Entity]:
        """All of them by id."""
        return [Entity(one, self._entities[one], self.links) for one in sorted(self._entities)]

    def search(self, parameters: Mapping[str, Any], rule_set: str = "default") -> list[Entity]:
        """Entities with a record that meets any search rule, by id."""
        rules = SEARCH_RULES.get(rule_set)
        if rules is None:
            raise FieldError(f"unknown search rules: {rule_set}")
        asked = self._asked(parameters)
        hits: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for rule in rules:
            for record in self._meeting(rule, asked):
                hits[self._entity_of[record.id]][record.id].append(rule.name)
        return [
            Entity(
                one, self._entities[one], self.links, asked, {key: list(names) for key, names in hits[one].items()}
            )
            for one in sorted(hits)
        ]

    def preview(self, records: Sequence[Mapping[str, Any]]) -> list[Entity]:
        """The entities that would hold these records once they were submitted."""
        other = copy(self)
        other.links = Links(set(self.links.static), set(self.links.cut))
        other._records, other._entity_of = dict(self._records), dict(self._entity_of)
        other._born, other._entities, other._indexes = dict(self._born), {}, {}
        other.submit(records)
        wanted = sorted({other._entity_of[str(record["id"])] for record in records})
        return [Entity(one, other._entities[one], other.links) for one in wanted]

    def assemble(self) -> None:
        """Makes the entities anew."""
        groups = components(list(self._records.values()), self.links)
        kept = keep_ids(groups, self._entity_of, self._born)
        self._entities = {}
        for group, old in zip(groups, kept, strict=True):
            self._entities[old or self._new_id()] = group
        self._entity_of = {record.id: one for one, group in self._entities.items() for record in group}
        self._indexes = {}

    def _store(self, records: Iterable[Mapping[str, Any]]) -> None:
        for data in records:
            name = str(data["id"])
            if ":" in name:
                raise FieldError(f"record id must not contain a colon: {name}")
            old = self._records.get(name)
            version = old.version + 1 if old else _FIRST_VERSION
            order = old.order if old else len(self._records)
            attributes = {
                attribute: matching.normal(attribute, value_at(data, path))
                for attribute, path in self.layout.record.items()
            }
            content = content_of(data, {"id", self.layout.received})
            self._records[name] = Stored(name, version, order, dict(data), attributes, content)

    def _new_id(self) -> str:
        number = len(self._born)
        name = str(uuid.uuid5(_NAMESPACE, str(number)))
        self._born[name] = number
        return name

    def _known(self, record_ids: Iterable[str]) -> None:
        for one in record_ids:
            if one not in self._records:
                raise KeyError(f"no record {one}")

    def _asked(self, parameters: Mapping[str, Any]) -> dict[str, str]:
        paths = self.layout.search
        found = {
            name: matching.normal(name, value_at(parameters, paths[name])) for name in ATTRIBUTES if name in paths
        }
        return {name: value for name, value in found.items() if value}

    def _meeting(self, rule: Rule, asked: Mapping[str, str]) -> Iterable[Stored]:
        key = rule.key(asked)
        if key is None:
            return []
        found = self._index(rule).get(key, [])
        if not rule.like:
            return found
        wanted = asked[rule.like]
        return [
            record
            for record in found
            if matching.likeness(rule.like, wanted, record.attributes.get(rule.like, "")) >= FUZZY_RATIO
        ]

    def _index(self, rule: Rule) -> dict[tuple[str, ...], list[Stored]]:
        if rule not in self._indexes:
            index: dict[tuple[str, ...], list[Stored]] = defaultdict(list)
            for record in self._records.values():
                if (key := rule.key(record.attributes)) is not None:
                    index[key].append(record)
            self._indexes[rule] = index
        return self._indexes[rule]
