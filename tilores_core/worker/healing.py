"""Self-healing, as a task of the worker process."""

from __future__ import annotations

from tilores_core.improve.healing import Means, SelfHealing
from tilores_core.improve.orchestrator import ContinuousImprovementOrchestrator
from tilores_core.metrics.collectors import healing_samples
from tilores_core.services import Services


def build_healing(services: Services) -> SelfHealing:
    """What heals in this process."""
    config, models = services.host.config, services.engine.models
    return SelfHealing(
        services.store,
        services.prompts,
        services.release.monitor,
        ContinuousImprovementOrchestrator(services.store, config.improve),
        config.healing,
        Means(
            chain=(models.default, *models.fallbacks),
            cycles=config.improve.triggered and config.use.optimizer is not None,
            roll_back=config.monitor.roll_back,
            good=config.quality.warning,
        ),
        alerts=services.alerts,
    )


async def run_healing(services: Services) -> None:
    """Diagnose, act and verify until cancelled, whenever no other process does; not with `[healing] mode = "off"`."""
    if services.host.config.healing.mode == "off":
        return
    healing = build_healing(services)
    if services.metrics is not None:
        services.metrics.watch(lambda: healing_samples(healing.counted))
    await healing.run()
