"""Which fields of a record are asked for, as the text of a selection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tilores_plugins.sources.tilores.catalogue import Catalogue, Leaf
from tilores_plugins.sources.tilores.roles import Roles
from tilores_plugins.sources.tilores.settings import Settings

MARK = "__"
"""Between type and field in the names of what comes from a fragment."""


def choose(catalogue: Catalogue, settings: Settings, roles: Roles) -> tuple[Leaf, ...]:
    """The leaves to read: what identifies a customer, then the others, outer ones first."""
    weighty = {path: place for place, path in enumerate(roles.paths())}
    wanted = [leaf for leaf in catalogue.leaves if _is_wanted(leaf, settings, weighty, roles.record_id)]
    wanted.sort(key=lambda leaf: weighty.get(leaf.path, len(weighty)))
    return tuple(wanted[: settings.max_fields])


def _is_wanted(leaf: Leaf, settings: Settings, weighty: Iterable[str], record_id: str | None) -> bool:
    path = leaf.path
    if path == record_id:
        return True  # the one stable name of a record
    if any(_fits(path, pattern) for pattern in settings.exclude_fields):
        return False
    if path in weighty:
        return True
    if len(leaf.steps) > settings.max_depth:
        return False
    return not settings.include_fields or any(_fits(path, pattern) for pattern in settings.include_fields)


def _fits(path: str, pattern: str) -> bool:
    """Say whether a path fits a pattern. `address` stands for all that is inside it."""
    return fnmatchcase(path, pattern) or path.startswith(f"{pattern}.")


@dataclass(slots=True)
class _Node:
    fields: dict[str, _Node] = field(default_factory=dict)
    fragments: dict[str, _Node] = field(default_factory=dict)

    def text(self) -> str:
        parts = [f"{name} {{ {inner.text()} }}" if inner else name for name, inner in self.fields.items()]
        # Two types may have fields of one name and different types, which may not share a key in the answer.
        for on, node in self.fragments.items():
            inside = (
                f"{on}{MARK}{name}: {name}" + (f" {{ {inner.text()} }}" if inner else "")
                for name, inner in node.fields.items()
            )
            parts.append(f"... on {on} {{ {' '.join(inside)} }}")
        return " ".join(parts)

    def __bool__(self) -> bool:
        return bool(self.fields or self.fragments)


def render(leaves: Sequence[Leaf]) -> str:
    """The selection without its outer braces."""
    root = _Node()
    for leaf in leaves:
        node = root
        for step in leaf.steps:
            if step.on is not None:
                node = node.fragments.setdefault(step.on, _Node())
            node = node.fields.setdefault(step.name, _Node())
    return root.text()
