"""An observer that counts turns, and a health check that shows the counts: two parts that share their state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tilores_core import HealthCheckSpec, ObserverSpec, Outcome, PluginContext, hookimpl


@dataclass
class Counts:
    turns: int = 0
    errors: int = 0


class AcmeObserver:
    def __init__(self, context: PluginContext) -> None:
        self._counts = context.state.get(Counts)  # the same object for all parts of this plugin

    async def __call__(self, outcome: Outcome) -> None:
        self._counts.turns += 1
        self._counts.errors += outcome.error is not None


class AcmeHealth:
    def __init__(self, context: PluginContext) -> None:
        self._counts = context.state.get(Counts)

    async def __call__(self) -> Mapping[str, Any]:
        failing = self._counts.errors > self._counts.turns / 2
        return {"status": "degraded" if failing else "ok", "turns": self._counts.turns, "errors": self._counts.errors}


@hookimpl
def register_observers() -> list[ObserverSpec]:
    return [ObserverSpec(name="acme", factory=AcmeObserver, summary="counts turns")]


@hookimpl
def register_health_checks() -> list[HealthCheckSpec]:
    return [HealthCheckSpec(name="acme", factory=AcmeHealth, summary="turns and errors since the start")]
