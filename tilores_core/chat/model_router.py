"""Choosing and calling models: the one that was named, then its fallbacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache
from typing import Any

from tilores_core.chat.models import Models
from tilores_core.chat.routing.budget import Budget
from tilores_core.chat.routing.delivery import BufferedDelivery, DirectDelivery, Emit, WordDelivery
from tilores_core.chat.routing.fallback_chain import FallbackChain, ModelNotes, RequestForModel, RoutingContext
from tilores_core.chat.routing.health import Health, Holds
from tilores_core.chat.routing.limits import Limits
from tilores_core.contracts import Attempt, Turn
from tilores_core.errors import ConfigError, UnknownModelError
from tilores_core.llm.normalizer import Completion
from tilores_core.resilience import Condition
from tilores_core.settings import RoutingTable

_MODELS_KEPT = 256  # callers may name models that are in no list


class ModelRouter:
    """One per engine. `deadline_seconds`: for turns that bring no deadline of their own.

    Raises `ConfigError` where the settings name a provider or a model that is not there.
    """

    def __init__(
        self, models: Models, routing: RoutingTable, *, deadline_seconds: float, notes: ModelNotes | None = None
    ) -> None:
        self._policy = routing
        self._seconds = deadline_seconds
        self._health = Health(routing)
        _check(routing, models)
        self._chain_of = lru_cache(_MODELS_KEPT)(lambda *first: tuple(dict.fromkeys((*first, *models.fallbacks))))
        self._context = RoutingContext(
            models=models, policy=routing, health=self._health, limits=Limits(routing), notes=notes
        )

    def ask(
        self,
        turn: Turn,
        model: str,
        system: Callable[[str], str],
        emit: Emit | None,
        attempts: list[Attempt],
        *,
        began: float | None = None,
        request_for: RequestForModel | None = None,
        budget: Budget | None = None,
        asked_model: str = "",
        spectrum: str = "",
    ) -> Coroutine[Any, Any, tuple[str, Completion]]:
        """The model that answered and what it said; pieces go to `emit` when there is one.

        `system`: the system message for a model, by its full name. `attempts` gets a note of each call; `began`: the
        turn's start on `time.perf_counter()`, by default now. `request_for`: how the turn is put to a model; by
        default as it is. `budget`: the time there is, by default the turn's. `asked_model`: the one that the turn
        asks for, where an experiment puts another before it: it is the first fallback. `spectrum`: the turn's.

        Raises the first model's error when no model answered, and at once what no other model would mend:
        `ContentRefusedError`, the `RequestError` of the model that was asked for. After the first piece: what ended
        the answer, when no other model could go on with it.
        """
        asked = asked_model or model
        chain = self._chain_of(model, asked)
        delivery = self._delivery(emit, fallbacks=len(chain) > 1)
        return FallbackChain(
            context=self._context,
            turn=turn,
            system=system,
            chain=chain,
            asked=asked,
            budget=budget or self.budget(turn),
            delivery=delivery,
            began=time.perf_counter() if began is None else began,
            attempts=attempts,
            streamed=not (emit is None or type(delivery) is BufferedDelivery),
            request_for=request_for,
            spectrum=spectrum,
        ).run()

    def budget(self, turn: Turn) -> Budget:
        """The time a turn has."""
        return Budget.of(turn, default=self._seconds)

    def hold(self, models: Holds) -> None:
        """Leave these models alone for so long, while others can be asked; and only these."""
        self._health.hold(models)

    def conditions(self) -> Mapping[str, Condition]:
        """By model: whether its last call worked, since when it is so, and the last error."""
        return self._health.conditions()

    def report(self) -> Mapping[str, Mapping[str, Any]]:
        """What is known of each model that was asked, by its full name: the state of its breaker, and more."""
        return self._health.report()

    def _delivery(self, emit: Emit | None, *, fallbacks: bool) -> BufferedDelivery:
        if emit is None or self._policy.on_stream_failure == "buffer":
            return BufferedDelivery()
        if self._policy.on_stream_failure == "resume" and fallbacks:
            return WordDelivery(emit, longest=self._policy.sentence_characters)
        return DirectDelivery(emit)  # no other model could go on: nothing is held back


def _check(routing: RoutingTable, models: Models) -> None:
    for name in routing.concurrent:
        if name not in models.providers:
            raise ConfigError(
                f"there is no provider {name!r}",
                where="plugins.toml: [routing] concurrent",
                fix=f"name one of {', '.join(sorted(models.providers))}",
            )
    for name in routing.context_windows:
        try:
            models.resolve(name)
        except UnknownModelError as error:
            raise ConfigError(error.message, where="plugins.toml: [routing] context_windows", fix=error.fix) from None
