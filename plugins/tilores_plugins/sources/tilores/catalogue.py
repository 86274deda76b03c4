"""What an instance offers, compactly: search parameters, fields of a record, and which operations it has."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Annotated, Literal

from pydantic import PlainSerializer, TypeAdapter

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
    abilities: Annotated[frozenset[str], PlainSerializer(sorted)]
    cut: int = 0  # leaves beyond what is kept
    version: Literal[2] = 2  # of the stored form; a catalogue of another one is fetched again

    def can(self, *abilities: str) -> bool:
        return self.abilities.issuperset(abilities)

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of everything here."""
        return hashlib.sha256(to_json(self)).hexdigest()


def shorten(text: object) -> str:
    """A description on one line."""
    return " ".join(str(text or "").split())[:_DESCRIPTION]


def to_json(catalogue: Catalogue) -> bytes:
    """The catalogue as it is stored: the same catalogue gives the same bytes."""
    return _get_adapter().dump_json(catalogue)


def from_json(data: str | bytes) -> Catalogue:
    """Raises `ValueError` for what `to_json` of this version did not make."""
    return _get_adapter().validate_json(data)


@cache
def _get_adapter() -> TypeAdapter[Catalogue]:
    return TypeAdapter(Catalogue)


def leaf_paths(leaves: Sequence[Leaf]) -> dict[str, Leaf]:
    """By dotted path; of two types that share one the first."""
    found: dict[str, Leaf] = {}
    for leaf in leaves:
        found.setdefault(leaf.path, leaf)
    return found
