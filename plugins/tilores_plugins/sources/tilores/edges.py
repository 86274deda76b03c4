"""Edges of an entity: which records were joined, and by which rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST_PARTS = 6
MOST_LINKS = 40


@dataclass(frozen=True, slots=True)
class Edge:
    """Undirected. `score`: 0 to 100."""

    a: str
    b: str
    rule: str
    score: float = 100.0


def parse(text: str) -> Edge | None:
    """Of `a:b:RULE`, `a:version:b:version:RULE` and the same with a score; None for anything else."""
    parts = text.split(":", _MOST_PARTS - 1)
    if len(parts) == 3:
        return Edge(parts[0], parts[1], parts[2])
    if len(parts) in (5, 6):
        score = _score(parts[5]) if len(parts) == 6 else 100.0
        return None if score is None else Edge(parts[0], parts[2], parts[4], score)
    return None


def _score(text: str) -> float | None:
    try:
        return min(max(float(text), 0.0), 100.0)
    except ValueError:
        return None


def summary(entity: Mapping[str, Any], most: int = MOST_LINKS) -> dict[str, Any]:
    """How the records hang together: the rules with how often each joined two records, and at most `most` links."""
    given = entity.get("edges")
    texts = given if isinstance(given, list) else ()
    edges = [edge for text in texts if isinstance(text, str) and (edge := parse(text))]
    duplicates = entity.get("duplicates")
    return {
        "customer_id": entity.get("id"),
        "records": len(entity.get("records") or ()),
        "rules": dict(Counter(edge.rule for edge in edges).most_common()),
        "links": [[edge.a, edge.b, edge.rule, edge.score] for edge in edges[:most]],
        "links_left_out": max(0, len(edges) - most),
        "duplicates": sum(len(found) for found in duplicates.values() if isinstance(found, list))
        if isinstance(duplicates, Mapping)
        else 0,
    }
