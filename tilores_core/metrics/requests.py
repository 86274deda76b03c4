"""Requests by route, status and cache tier; the one part that the path of a cached answer goes through."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from time import perf_counter

from tilores_core.metrics import catalogue
from tilores_core.metrics.catalogue import REQUEST_BOUNDS
from tilores_core.metrics.family import Histogram, Sample, samples_of

CLIENT_GONE = 499
OTHER = "other"

_LANGSERVE = ("invoke", "batch", "stream", "stream_log", "stream_events")
_SCHEMAS = ("input_schema", "output_schema", "config_schema")
CHAT_ROUTES = frozenset(
    {
        *(f"/chat/{name}" for name in (*_LANGSERVE, *_SCHEMAS, "feedback")),
        *(f"/v1/{name}" for name in ("chat/completions", "models", "feedback")),
    }
)
_MOST_ROUTES = 200


class RequestMeter:
    """One per process."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, str], Histogram] = {}
        self._routes: set[str] = set(CHAT_ROUTES)
        self._first: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(REQUEST_BOUNDS))
        self._cut: Counter[str] = Counter()

    def count(self, path: str, status: int, tier: str, started: float) -> None:
        """A chat request that is over. `started` on `time.perf_counter()`; status 0: the client had gone."""
        # Written out, with `Histogram.add` in it: this runs for every answer from memory.
        found = self._known.get((path, status, tier))
        if found is None:
            found = self._series(chat_route(path), status, tier)
        seconds = perf_counter() - started
        found.counts[bisect_left(REQUEST_BOUNDS, seconds)] += 1
        found.seconds += seconds

    def count_other(self, route: str | None, status: int, started: float) -> None:
        """A request outside chat. `route`: the template that it matched, None when it matched none."""
        self._series(route or OTHER, status, "").add(perf_counter() - started)

    def first_token(self, tier: str, seconds: float) -> None:
        """A streamed answer has begun."""
        self._first[tier].add(seconds)

    def cut(self, path: str) -> None:
        """A stream ended with an error."""
        self._cut[chat_route(path)] += 1

    def _series(self, route: str, status: int, tier: str) -> Histogram:
        if route not in self._routes:
            if len(self._routes) >= _MOST_ROUTES:  # plugins may bring routes of their own
                route = OTHER
            self._routes.add(route)
        return self._known.setdefault((route, status or CLIENT_GONE, tier), Histogram(REQUEST_BOUNDS))

    def samples(self) -> Iterator[Sample]:
        for (route, status, tier), found in list(self._known.items()):
            value = found.value
            yield Sample(catalogue.REQUESTS, (route, str(status), tier), sum(value[:-1]))
            yield Sample(catalogue.REQUEST_SECONDS, (route, tier), value)
        for tier, first in list(self._first.items()):
            yield Sample(catalogue.FIRST_TOKEN, (tier,), first.value)
        yield from samples_of(catalogue.STREAM_FAILURES, self._cut)


def chat_route(path: str) -> str:
    """The route of a path under /chat or /v1: one of a few, whatever callers make up."""
    if path in CHAT_ROUTES:
        return path
    if path.startswith("/chat/c/"):  # a config in the path
        plain = f"/chat/{path.rpartition('/')[2]}"
        return plain if plain in CHAT_ROUTES else OTHER
    return "/v1/models/{id}" if path.startswith("/v1/models/") else OTHER
