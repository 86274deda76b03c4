"""Find installed plugins by their metadata. Imports none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Final

from tilores_core.hookspecs import ENTRY_POINT_GROUP

CORE_DISTRIBUTION: Final = "tilores-core"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """An entry point: the plugin's id, the module it names, the distribution it comes with.

    `requires`: the distribution's `Requires-Dist` lines. `plugin`: the plugin itself where it is already at
    hand, which is for tests; otherwise `target` is imported when the plan says so.
    """

    id: str
    target: str
    distribution: str
    version: str
    requires: tuple[str, ...] = ()
    builtin: bool = False
    plugin: object | None = None


def scan() -> tuple[Discovered, ...]:
    """Every plugin installed in this environment, by id.

    `entry_points()` reads every distribution's metadata, so callers keep the result. It leaves out a distribution
    that another copy earlier on the path shadows, as imports do.
    """
    points = entry_points(group=ENTRY_POINT_GROUP)
    return sort_discovered([_discover(point) for point in points])


def sort_discovered(found: Sequence[Discovered]) -> tuple[Discovered, ...]:
    """In an order that does not depend on what was installed first."""
    return tuple(sorted(found, key=lambda item: (item.id, item.distribution, item.target)))


def _discover(point: EntryPoint) -> Discovered:
    name, version, requires = _identity(point.dist)
    return Discovered(
        id=point.name,
        target=point.value,
        distribution=name,
        version=version,
        requires=requires,
        builtin=name == CORE_DISTRIBUTION,
    )


def _identity(distribution: Distribution | None) -> tuple[str, str, tuple[str, ...]]:
    if distribution is None:
        return "unknown", "unknown", ()
    try:
        name, version = distribution.name or "unknown", distribution.version or "unknown"
        return name, version, tuple(distribution.requires or ())
    except Exception:  # half-removed metadata fails in many ways, and must not hide the other plugins
        return "unknown", "unknown", ()
