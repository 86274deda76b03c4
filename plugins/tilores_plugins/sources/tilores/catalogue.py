"""What an instance offers, compactly: search parameters, fields of a record, and which operations it has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

VERSION = 1
"""Version of the stored form; a catalogue of another one is fetched again."""

_DESCRIPTION = 200


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path. `on`: the type whose fragment the field is in, where not all types have it."""

    name: str
    on: str | None = None
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar field of a record. `type` is a JSON type name, `scalar` what the instance calls it."""

    steps: tuple[Step, ...]
    type: str
    scalar: str
    choices: tuple[str, ...] = ()
    description: str = ""

    @property
    def path(self) -> str:
        return ".".join(step.name for step in self.steps)

    @property
    def is_list(self) -> bool:
        return any(step.is_list for step in self.steps)


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something to search by. For each name of `path`: `lists`, whether a list is wanted there, and `needs`, whether
    it must be given where what is around it is."""

    path: tuple[str, ...]
    type: str
    scalar: str
    lists: tuple[bool, ...]
    needs: tuple[bool, ...]
    choices: tuple[str, ...] = ()
    description: str = ""

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def required(self) -> bool:
        return all(self.needs)


@dataclass(frozen=True)
class Catalogue:
    """What an instance's schema offers: search parameters, record fields and optional features.

    `search_type`, `entity_type`: their names. `abilities`: `Type.field` and `Type.field.argument` of the
    fixed part, as far as the plugin cares; which version the instance has is never asked.
    """

    parameters: tuple[Parameter, ...]
    leaves: tuple[Leaf, ...]
    search_type: str
    entity_type: str
    abilities: frozenset[str]
    cut: int = 0  # leaves beyond what is kept

    def can(self, *abilities: str) -> bool:
        return self.abilities.issuperset(abilities)

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of everything here."""
        return hashlib.sha256(orjson.dumps(to_json(self), option=orjson.OPT_SORT_KEYS)).hexdigest()


def shorten(text: object) -> str:
    """A description on one line."""
    return " ".join(str(text or "").split())[:_DESCRIPTION]


def to_json(catalogue: Catalogue) -> dict[str, Any]:
    return {
        "version": VERSION,
        "parameters": [
            [list(p.path), p.type, p.scalar, list(p.lists), list(p.needs), list(p.choices), p.description]
            for p in catalogue.parameters
        ],
        "leaves": [
            [
                [[step.name, step.on, step.is_list] for step in leaf.steps],
                leaf.type,
                leaf.scalar,
                list(leaf.choices),
                leaf.description,
            ]
            for leaf in catalogue.leaves
        ],
        "search_type": catalogue.search_type,
        "entity_type": catalogue.entity_type,
        "abilities": sorted(catalogue.abilities),
        "cut": catalogue.cut,
    }


def from_json(value: Mapping[str, Any]) -> Catalogue:
    """Raises `ValueError`, `TypeError`, `KeyError` for what `to_json` did not make."""
    if value["version"] != VERSION:
        raise ValueError("another version")
    return Catalogue(
        parameters=tuple(
            Parameter(tuple(path), kind, scalar, tuple(lists), tuple(needs), tuple(choices), description)
            for path, kind, scalar, lists, needs, choices, description in value["parameters"]
        ),
        leaves=tuple(
            Leaf(tuple(Step(*step) for step in steps), kind, scalar, tuple(choices), description)
            for steps, kind, scalar, choices, description in value["leaves"]
        ),
        search_type=_text(value["search_type"]),
        entity_type=_text(value["entity_type"]),
        abilities=frozenset(map(_text, value["abilities"])),
        cut=int(value["cut"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text was expected")
    return value


def leaf_paths(leaves: Sequence[Leaf]) -> dict[str, Leaf]:
    """By dotted path; of two types that share one the first."""
    found: dict[str, Leaf] = {}
    for leaf in leaves:
        found.setdefault(leaf.path, leaf)
    return found
