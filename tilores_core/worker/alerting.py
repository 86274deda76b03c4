"""Alerts, built from `Services`: what the worker process delivers, and the conditions that each process watches."""

from __future__ import annotations

from collections.abc import Iterable

from tilores_core.alerts.queue import MARK
from tilores_core.alerts.system import AutomatedAlertingSystem, build_channels
from tilores_core.metrics.collectors import alert_samples
from tilores_core.metrics.family import Sample
from tilores_core.services import Services


async def run_alerts(services: Services) -> None:
    """Deliver alerts until cancelled, whenever no other process does; watch the conditions of this one."""
    system = AutomatedAlertingSystem(
        services.store,
        build_channels(services.host),
        services.host.config.alerts,
        mark=services.work_mark(MARK),
        trace=services.tracing.record,
    )

    def samples() -> Iterable[Sample]:
        return alert_samples(system.figures, system.counted)

    if services.metrics is not None:
        services.metrics.watch(samples)
    services.watch.start()
    await system.run()
