"""The monitor of live quality, as a task of the worker process."""

from __future__ import annotations

from tilores_core.quality.live import QUALITY_WORK
from tilores_core.quality.thresholds import QualityThresholdMonitor
from tilores_core.services import Services


async def watch_quality(services: Services) -> None:
    """Watch the levels of live quality, unless `[quality]` switches scoring off."""
    table = services.host.config.quality
    if table.live_cpu_percent:
        mark = services.work_mark(QUALITY_WORK)
        await QualityThresholdMonitor(services.store, services.alerts, table, mark=mark).run()
