"""What counts requests, calls of models, look-ups in the source, batches, and how late the event loop is."""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from tilores_core import __version__
from tilores_core.contracts import Attempt, Purpose
from tilores_core.metrics import catalogue
from tilores_core.metrics.catalogue import LAG_BOUNDS, MODEL_BOUNDS, REQUEST_BOUNDS, SOURCE_BOUNDS
from tilores_core.metrics.family import Histogram, Sample, samples_of

OTHER = "other"
_MOST_OUTCOMES = 40
_LAG_INTERVAL = 0.25
_BATCH_OUTCOMES = ("failed", "cached", "repeated", "unidentified")


class ModelLabels:
    """Labels of models: those that a provider lists or plugins.toml names, at most `most`; all others are `other`."""

    def __init__(self, is_listed: Callable[[str], bool], *, named: Iterable[str] = (), most: int = 100) -> None:
        self._is_listed = is_listed
        self._most = most
        self._known = {name: _parts(name) for name in named}

    def of(self, name: str) -> tuple[str, str]:
        """Provider and model of a full name, `provider:model`, which must be one of a provider that there is."""
        found = self._known.get(name)
        if found is None:
            found = _parts(name)
            if len(self._known) < self._most and self._is_listed(name):
                self._known[name] = found
            else:
                found = (found[0], OTHER)
        return found


class _ModelCalls:
    """The calls of one model; tokens and US dollars by purpose."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.input: Counter[str] = Counter()
        self.output: Counter[str] = Counter()
        self.cost: defaultdict[str, float] = defaultdict(float)
        self.seconds = Histogram(MODEL_BOUNDS)
        self.first = Histogram(MODEL_BOUNDS)
        self.hedges = 0


class ModelMeter:
    """Counts calls of models and which model answered; the chat engine calls it."""

    def __init__(self, labels: ModelLabels) -> None:
        self._labels = labels
        self._outcomes = {"ok"}
        self._calls: defaultdict[tuple[str, str], _ModelCalls] = defaultdict(_ModelCalls)
        self._fallbacks: Counter[tuple[str, ...]] = Counter()

    def attempted(self, attempt: Attempt, purpose: Purpose) -> None:
        """A call is over."""
        calls, usage = self._calls[self._labels.of(attempt.model)], attempt.usage
        calls.outcomes[_bound(attempt.error or "ok", self._outcomes)] += 1
        calls.seconds.add(attempt.seconds)
        if attempt.first_token is not None:
            calls.first.add(attempt.first_token)
        calls.input[purpose] += usage.input_tokens
        calls.output[purpose] += usage.output_tokens
        if attempt.cost is not None:
            calls.cost[purpose] += attempt.cost
        calls.hedges += attempt.hedge

    def answered(self, asked: str, model: str) -> None:
        """Count that `model` answered a request for `asked`."""
        if asked != model:
            self._fallbacks[":".join(self._labels.of(asked)), ":".join(self._labels.of(model))] += 1

    def samples(self) -> Iterator[Sample]:
        yield from samples_of(catalogue.FALLBACKS, self._fallbacks)
        for model, calls in self._calls.items():
            yield from (Sample(catalogue.ATTEMPTS, (*model, how), number) for how, number in calls.outcomes.items())
            for kind, tokens in (("input", calls.input), ("output", calls.output)):
                yield from (Sample(catalogue.TOKENS, (*model, kind, why), number) for why, number in tokens.items())
            yield from (Sample(catalogue.COST, (*model, why), dollars) for why, dollars in calls.cost.items())
            yield Sample(catalogue.ATTEMPT_SECONDS, model, calls.seconds.value)
            if any(calls.first.counts):
                yield Sample(catalogue.MODEL_FIRST_TOKEN, model, calls.first.value)
            if calls.hedges:
                yield Sample(catalogue.HEDGES, model, calls.hedges)

    def breakers(self, routes: Mapping[str, Mapping[str, Any]]) -> Iterator[Sample]:
        """Samples of `ChatEngine.routes()`."""
        for name, known in routes.items():
            labels = self._labels.of(name)
            yield Sample(catalogue.MODEL_BREAKER_OPEN, labels, float(known["breaker"] != "closed"))
            yield Sample(catalogue.MODEL_BREAKER_OPENED, labels, known["opened"])


def _parts(name: str) -> tuple[str, str]:
    provider, _, model = name.partition(":")
    return provider, model


def _bound(outcome: str, known: set[str]) -> str:
    """The outcome, or `other` once many are known: providers and sources may have errors of their own."""
    if outcome not in known:
        if len(known) >= _MOST_OUTCOMES:
            return OTHER
        known.add(outcome)
    return outcome


class SourceMeter:
    """Counts look-ups in the customer source."""

    def __init__(self) -> None:
        self._known = {"ok"}
        self._outcomes: Counter[str] = Counter()
        self._seconds = Histogram(SOURCE_BOUNDS)

    def looked_up(self, outcome: str, seconds: float) -> None:
        """Count a look-up. `outcome`: ok or an error code."""
        self._outcomes[_bound(outcome, self._known)] += 1
        self._seconds.add(seconds)

    def samples(self) -> Iterator[Sample]:
        yield from samples_of(catalogue.SOURCE_LOOKUPS, self._outcomes)
        yield Sample(catalogue.SOURCE_SECONDS, (), self._seconds.value)


Totals = Callable[[], Mapping[str, float]]
"""`jobs.batch_rows.Totals.plain`; the numbers only grow."""


class BatchMeter:
    """Sums over the batches of this process: running ones are read at a scrape, ended ones are kept as a sum."""

    def __init__(self) -> None:
        self._at_work: set[Totals] = set()
        self._ended: Counter[str] = Counter()

    @contextmanager
    def running(self, totals: Totals) -> Iterator[None]:
        """A batch runs during the block."""
        self._at_work.add(totals)
        try:
            yield
        finally:
            self._at_work.remove(totals)
            self._ended.update(totals())

    def samples(self) -> Iterator[Sample]:
        sums = Counter(self._ended)
        for totals in self._at_work:
            sums.update(totals())
        yield Sample(catalogue.BATCHES_RUNNING, (), len(self._at_work))
        if sums:
            for outcome in _BATCH_OUTCOMES:
                yield Sample(catalogue.BATCH_LINES, (outcome,), sums[outcome])
            yield Sample(catalogue.BATCH_LINES, ("all",), sums["lines"])


class LoopLag:
    """Event loop lag: how late a timer fires that is due four times a second, from `start` to `stop`."""

    def __init__(self) -> None:
        self._lags = Histogram(LAG_BOUNDS)
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._handle = loop.call_later(_LAG_INTERVAL, self._on_timer, loop, loop.time() + _LAG_INTERVAL)

    def _on_timer(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self._lags.add(max(0.0, now - due))
        self._handle = loop.call_later(_LAG_INTERVAL, self._on_timer, loop, now + _LAG_INTERVAL)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def samples(self) -> Iterator[Sample]:
        yield Sample(catalogue.LOOP_LAG, (), self._lags.value)


def process_samples() -> Iterator[Sample]:
    """Processor time and memory of this process."""
    used = os.times()
    yield Sample(catalogue.WORKERS, (), 1)
    yield Sample(catalogue.BUILD, (__version__,), 1)
    yield Sample(catalogue.CPU_SECONDS, (), used.user + used.system)
    try:
        with open("/proc/self/statm", "rb") as told:
            yield Sample(catalogue.MEMORY, (), int(told.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, IndexError):  # not Linux
        return


# --- requests --------------------------------------------------------------------------------------------

CLIENT_GONE = 499

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
    """Requests by route, status and cache tier; one per process. A cached answer goes through `count` alone."""

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
