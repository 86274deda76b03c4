"""The health check: what the source has noted, without a call of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tilores_core import PluginContext
from tilores_plugins.sources.tilores.settings import Settings


def build(context: PluginContext) -> HealthCheck:
    settings: Settings = context.settings
    return HealthCheck(settings)


class HealthCheck:
    def __init__(self, settings: Settings) -> None:
        self._status = settings.status

    async def __call__(self) -> Mapping[str, Any]:
        return self._status.report()
