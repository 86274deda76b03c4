"""What a metric is: its name, what it says, its labels; and how values of several workers become one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric. `name` as in a query, a counter's with its `_total`; a histogram's without `_bucket`.

    `bounds`: upper ends of a histogram's buckets, without the last, which is infinite. `merge`: what several workers
    say together; `max` where all speak of one thing, as of the memory of the Redis that they share.
    """

    name: str
    kind: Kind
    help: str
    labels: Labels = ()
    bounds: tuple[float, ...] = ()
    merge: Literal["sum", "max"] = "sum"


class Sample(NamedTuple):
    """A value of a family: a number; for a histogram the counts of its buckets and, last, the sum."""

    family: Family
    labels: Labels
    value: float | list[float]


Values = dict[str, dict[Labels, "float | list[float]"]]
"""Values by a family's name and by its labels' values."""


def values_of(samples: Iterable[Sample]) -> Values:
    """Samples in order of what they are of. Those of the same labels are added up."""
    found: Values = {}
    for family, labels, value in samples:
        _add(found.setdefault(family.name, {}), family, labels, value)
    return found


def joined(families: Mapping[str, Family], parts: Iterable[Values]) -> Values:
    """What several workers say together. Families that this version does not know are left out."""
    whole: Values = {}
    for part in parts:
        for name, by_labels in part.items():
            family = families.get(name)
            if family is None:
                continue
            into = whole.setdefault(name, {})
            for labels, value in by_labels.items():
                _add(into, family, labels, value)
    return whole


def without_gauges(families: Mapping[str, Family], values: Values) -> Values:
    """What stays true of a process that has ended."""
    return {name: found for name, found in values.items() if name in families and families[name].kind != "gauge"}


def _add(into: dict[Labels, float | list[float]], family: Family, labels: Labels, value: float | list[float]) -> None:
    held = into.get(labels)
    if held is None:
        into[labels] = list(value) if isinstance(value, list) else value
    elif isinstance(held, list):
        if isinstance(value, list) and len(value) == len(held):
            into[labels] = [a + b for a, b in zip(held, value, strict=True)]
    elif not isinstance(value, list):
        into[labels] = max(held, value) if family.merge == "max" else held + value
