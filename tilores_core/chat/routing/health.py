"""What is known of each model: whether it fails, and how soon it speaks.

Per model, never per provider: one model of a provider may be down while the others answer.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tilores_core.contracts import Attempt
from tilores_core.resilience import CircuitBreaker, Condition
from tilores_core.settings import RoutingTable

_MODELS_KEPT = 256  # callers may name models that are in no list
_TIMES_KEPT = 100
_TIMES_NEEDED = 20
_LATE = 0.95
_LONGEST_REST = 30.0
_NOT_THE_MODELS = frozenset(
    {"cancelled", "invalid_request", "unsupported_parameter", "context_too_long", "unknown_model", "content_refused"}
)


class Permit:
    """Permission to make a call. Report the result with exactly one of `succeeded`, `failed` or `release`.

    Results of calls that started before the breaker opened are ignored, and failures of those that bypassed it.
    """

    __slots__ = ("_breaker", "_forced", "_model", "_probe")

    def __init__(
        self, model: ModelHealth, breaker: CircuitBreaker, *, probe: bool = False, forced: bool = False
    ) -> None:
        self._model = model
        self._breaker = breaker
        self._probe = probe
        self._forced = forced

    @property
    def probe(self) -> bool:
        """Is this the one call that tries whether the model is back?"""
        return self._probe

    def succeeded(self, first_token: float | None) -> None:
        if first_token is not None:
            self._model.note(first_token)
        if self._probe or self._forced or self._breaker.closed:
            self._breaker.success(since_opened=self._forced)

    def failed(self, *, certain: bool = False) -> None:
        """Note a failed call. `certain`: no second call is needed to know that the model cannot be used."""
        if self._probe or self._breaker.closed:
            self._breaker.failure(certain=certain)

    def release(self) -> None:
        """It says nothing about the model: the caller left, or the request was at fault."""
        if self._probe:
            self._breaker.abandon()


class Hold(NamedTuple):
    """For how many seconds a model is not asked. Its answers that were stored since `since` (seconds since the epoch)
    are not served meanwhile."""

    seconds: float
    since: float = math.inf


Holds = Mapping[tuple[str, str], Hold]
"""By a model's full name and the spectrum of turns; "": of all."""


class ModelHealth:
    """One model's breaker and its latest first-token times."""

    def __init__(self, routing: RoutingTable, clock: Callable[[], float]) -> None:
        self._breaker = CircuitBreaker(failures=routing.breaker_failures, pause=routing.breaker_seconds, clock=clock)
        self._clock = clock
        self._rest_until = 0.0
        self._times: deque[float] = deque(maxlen=_TIMES_KEPT)
        self.condition = Condition()
        self._permit = Permit(self, self._breaker)

    def admit(self) -> Permit | None:
        """Permission to call it now; None while its breaker is open or it asked for a pause."""
        if self._rest_until > self._clock():
            return None
        if self._breaker.closed:
            return self._permit
        return Permit(self, self._breaker, probe=True) if self._breaker.allow() else None

    def force_permit(self) -> Permit:
        """Permission to call a model whose breaker is open, when no other model is left to ask."""
        return Permit(self, self._breaker, forced=True)

    def pause_for(self, seconds: float) -> None:
        """Make no calls for so long, as the provider asked; at most 30 seconds."""
        self._rest_until = self._clock() + min(seconds, _LONGEST_REST)

    def note(self, first_token: float) -> None:
        self._times.append(first_token)

    def first_token_p95(self) -> float | None:
        """The 95th percentile of the latest first-token times in seconds, None while too few are known."""
        if len(self._times) < _TIMES_NEEDED:
            return None
        return sorted(self._times)[int(_LATE * (len(self._times) - 1))]

    def report(self) -> dict[str, Any]:
        late = self.first_token_p95()
        return {
            "breaker": self._breaker.state,
            "opened": self._breaker.opened,
            "resting_s": round(max(0.0, self._rest_until - self._clock()), 1),
            "first_token_p95_ms": None if late is None else round(late * 1000),
        }


class Health:
    """The health of all models that were asked."""

    def __init__(self, routing: RoutingTable, clock: Callable[[], float] = time.monotonic) -> None:
        self._routing = routing
        self._clock = clock
        self._models: OrderedDict[str, ModelHealth] = OrderedDict()  # those asked last at the end
        self._held: dict[tuple[str, str], float] = {}

    def of(self, model: str) -> ModelHealth:
        known = self._models.get(model)
        if known is None:
            known = self._models[model] = ModelHealth(self._routing, self._clock)
            if len(self._models) > _MODELS_KEPT:
                self._models.popitem(last=False)
        else:
            self._models.move_to_end(model)
        return known

    def hold(self, models: Holds) -> None:
        """Leave these models alone for so many seconds, unless no other is left to ask, and no others any more."""
        now = self._clock()
        self._held = {held: now + hold.seconds for held, hold in models.items()}

    def is_held(self, model: str, spectrum: str) -> bool:
        """Whether turns of the spectrum leave the model alone now."""
        held = self._held
        return bool(held) and max(held.get((model, one), 0.0) for one in ("", spectrum)) > self._clock()

    def note(self, attempt: Attempt) -> None:
        """A call is over. One that was cancelled, or that the request was at fault for, says nothing of the model."""
        condition = self.of(attempt.model).condition
        if attempt.error is None:
            condition.record_success(attempt.seconds)
        elif attempt.error not in _NOT_THE_MODELS:
            condition.record_failure(attempt.error)

    def conditions(self) -> Mapping[str, Condition]:
        """By model: whether its last call worked, since when it is so, and the last error."""
        return {name: known.condition for name, known in sorted(self._models.items())}

    def report(self) -> Mapping[str, Mapping[str, Any]]:
        """By model: breaker state, how often it opened, seconds that it still rests, first-token times, and by
        spectrum ("": all) the seconds for which it is left alone."""
        now = self._clock()
        held: dict[str, dict[str, float]] = {}
        for (model, spectrum), until in self._held.items():
            if until > now:
                held.setdefault(model, {})[spectrum] = round(until - now, 1)
        return {
            name: {**self.of(name).report(), "held_s": held.get(name, {})} for name in sorted({*self._models, *held})
        }
