"""What other parts count by themselves, as samples: asked for at a scrape, so that nothing is counted twice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from tilores_core import __version__
from tilores_core.metrics import catalogue
from tilores_core.metrics.families import Sample

_PER_NAMESPACE = {
    "hits": catalogue.CACHE_HITS,
    "misses": catalogue.CACHE_MISSES,
    "promotions": catalogue.CACHE_PROMOTIONS,
    "stores": catalogue.CACHE_STORES,
    "damaged": catalogue.CACHE_DAMAGED,
}
_PER_TIER = {
    "evictions": catalogue.CACHE_EVICTIONS,
    "expirations": catalogue.CACHE_EXPIRATIONS,
    "errors": catalogue.CACHE_ERRORS,
    "skipped": catalogue.CACHE_SKIPPED,
    "owed_invalidations": catalogue.CACHE_OWED,
}
_BREAKERS = (("breaker", "read"), ("write_breaker", "write"))


def cache_samples(stats: Mapping[str, Any]) -> Iterator[Sample]:
    """What `TieredCache.stats()` says."""
    for tier, figures in stats["tiers"].items():
        for what, family in _PER_TIER.items():
            yield Sample(family, (tier,), figures[what])
        for namespace, counted in figures["namespaces"].items():
            for what, family in _PER_NAMESPACE.items():
                yield Sample(family, (tier, namespace), counted[what])
        yield from _size(tier, figures)
        for key, operation in _BREAKERS:
            if figures[key] is not None:
                yield Sample(catalogue.CACHE_BREAKER_OPEN, (tier, operation), float(figures[key] != "closed"))
                yield Sample(catalogue.CACHE_BREAKER_OPENED, (tier, operation), figures[f"{key}_opened"])
    for namespace, counted in stats["namespaces"].items():
        for event, number in counted.items():
            yield Sample(catalogue.CACHE_EVENTS, (namespace, event), number)
    for event, number in stats["invalidations"].items():
        yield Sample(catalogue.CACHE_INVALIDATIONS, (event,), number)


def _size(tier: str, figures: Mapping[str, Any]) -> Iterator[Sample]:
    local = figures["breaker"] is None  # a tier in this process needs none
    if local and figures["entries"] is not None:
        yield Sample(catalogue.CACHE_ENTRIES, (tier,), figures["entries"])
    if figures["bytes"] is not None:
        family = catalogue.CACHE_BYTES if local else catalogue.CACHE_SHARED_BYTES
        yield Sample(family, (tier,), figures["bytes"])


def queue_samples(queue: str, *, waiting: int, dropped: int, failed: int) -> Iterator[Sample]:
    """A queue behind the requests. `queue`: a name that code or plugins.toml gives, never a caller."""
    yield Sample(catalogue.QUEUE_DEPTH, (queue,), waiting)
    yield Sample(catalogue.QUEUE_DROPPED, (queue,), dropped)
    yield Sample(catalogue.QUEUE_FAILED, (queue,), failed)


def process_samples() -> Iterator[Sample]:
    used = os.times()
    yield Sample(catalogue.WORKERS, (), 1)
    yield Sample(catalogue.BUILD, (__version__,), 1)
    yield Sample(catalogue.CPU_SECONDS, (), used.user + used.system)
    try:
        with open("/proc/self/statm", "rb") as told:
            yield Sample(catalogue.MEMORY, (), int(told.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, IndexError):  # not Linux
        return
