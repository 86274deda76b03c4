"""Calls of models: how they went, what they cost, who stood in for whom."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from tilores_core.contracts import Attempt, Purpose
from tilores_core.metrics import catalogue
from tilores_core.metrics.families import Family, Sample
from tilores_core.metrics.histogram import MODEL_BOUNDS, Histogram

OTHER = "other"
_MOST_OUTCOMES = 40


class ModelLabels:
    """Labels of models: those that a provider lists, or plugins.toml names, and at most `most`; else `other`."""

    def __init__(self, is_listed: Callable[[str], bool], *, named: Iterable[str] = (), most: int = 100) -> None:
        self._is_listed = is_listed
        self._most = most
        self._known: dict[str, tuple[str, str]] = {}
        for name in named:
            self._known[name] = _parts(name)

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


class ModelMeter:
    """Told by the chat engine of every call and of every answer that a model gave."""

    def __init__(self, labels: ModelLabels) -> None:
        self._labels = labels
        self._outcomes: set[str] = {"ok"}
        self._attempts: Counter[tuple[str, ...]] = Counter()
        self._tokens: Counter[tuple[str, ...]] = Counter()
        self._cost: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self._hedges: Counter[tuple[str, ...]] = Counter()
        self._fallbacks: Counter[tuple[str, ...]] = Counter()
        self._seconds: defaultdict[tuple[str, ...], Histogram] = defaultdict(partial(Histogram, MODEL_BOUNDS))
        self._first: defaultdict[tuple[str, ...], Histogram] = defaultdict(partial(Histogram, MODEL_BOUNDS))

    def attempted(self, attempt: Attempt, purpose: Purpose) -> None:
        """A call is over."""
        model = self._labels.of(attempt.model)
        self._attempts[(*model, self._outcome(attempt.error or "ok"))] += 1
        self._seconds[model].add(attempt.seconds)
        if attempt.first_token is not None:
            self._first[model].add(attempt.first_token)
        self._tokens[(*model, "input", purpose)] += attempt.usage.input_tokens
        self._tokens[(*model, "output", purpose)] += attempt.usage.output_tokens
        if attempt.cost is not None:
            self._cost[(*model, purpose)] += attempt.cost
        if attempt.hedge:
            self._hedges[model] += 1

    def answered(self, asked: str, model: str) -> None:
        """`model` has answered where `asked` was asked for."""
        if asked != model:
            self._fallbacks[":".join(self._labels.of(asked)), ":".join(self._labels.of(model))] += 1

    def _outcome(self, code: str) -> str:
        if code not in self._outcomes:
            if len(self._outcomes) >= _MOST_OUTCOMES:  # providers may have errors of their own
                return OTHER
            self._outcomes.add(code)
        return code

    def samples(self) -> Iterator[Sample]:
        plain: tuple[tuple[Family, Mapping[tuple[str, ...], float]], ...] = (
            (catalogue.ATTEMPTS, self._attempts),
            (catalogue.TOKENS, self._tokens),
            (catalogue.COST, self._cost),
            (catalogue.HEDGES, self._hedges),
            (catalogue.FALLBACKS, self._fallbacks),
        )
        for family, found in plain:
            for labels, number in found.items():
                yield Sample(family, labels, number)
        for labels, seconds in self._seconds.items():
            yield Sample(catalogue.ATTEMPT_SECONDS, labels, seconds.value)
        for labels, first in self._first.items():
            yield Sample(catalogue.MODEL_FIRST_TOKEN, labels, first.value)

    def breakers(self, routes: Mapping[str, Mapping[str, Any]]) -> Iterator[Sample]:
        """What `ChatEngine.routes()` says."""
        for name, known in routes.items():
            labels = self._labels.of(name)
            yield Sample(catalogue.MODEL_BREAKER_OPEN, labels, float(known["breaker"] != "closed"))
            yield Sample(catalogue.MODEL_BREAKER_OPENED, labels, known["opened"])


def _parts(name: str) -> tuple[str, str]:
    provider, _, model = name.partition(":")
    return provider, model
