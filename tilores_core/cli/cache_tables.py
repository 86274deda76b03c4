"""Statistics of the cache as plain columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TIER = ("entries", "bytes", "hits", "misses", "promotions", "evictions", "errors", "breaker", "p50_us", "p99_us")
_IN_TIER = ("hits", "misses", "stores", "promotions", "damaged")
_ABOVE = ("made", "coalesced", "refreshes", "served_stale", "served_on_error", "failed")


def stats_tables(figures: Mapping[str, Any]) -> str:
    """What `TieredCache.stats()` says; a figure that is not known is a dash."""
    tiers: Mapping[str, Any] = figures.get("tiers", {})
    parts = [
        _table(("TIER", "NAME", *_TIER), [(label, one["name"], *_row(one, _TIER)) for label, one in tiers.items()])
    ]
    inside = [
        (label, name, *_row(counted, _IN_TIER))
        for label, one in tiers.items()
        for name, counted in sorted(one.get("namespaces", {}).items())
    ]
    if inside:
        parts.append(_table(("TIER", "NAMESPACE", *_IN_TIER), inside))
    above = [(name, *_row(counted, _ABOVE)) for name, counted in sorted(figures.get("namespaces", {}).items())]
    if above:
        parts.append(_table(("NAMESPACE", *_ABOVE), above))
    extras = [
        f"{label} {name}: {value}" for label, one in tiers.items() for name, value in one.get("extra", {}).items()
    ]
    if extras:
        parts.append("\n".join(extras))
    return "\n\n".join(parts)


def _row(figures: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return ["-" if figures.get(name) is None else str(figures[name]) for name in names]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [[heading.upper() for heading in headings], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    texts = sum(1 for heading in headings if heading.isupper())  # names to the left, figures to the right
    return "\n".join(
        "  ".join(
            text.ljust(width) if column < texts else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
