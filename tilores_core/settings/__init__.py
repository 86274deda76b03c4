"""Settings: the environment (`Environment`) and plugins.toml (`Config`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilores_core.settings.alerts import (
    AlertsTable as AlertsTable,
    MaintenanceTable as MaintenanceTable,
    RouteTable as RouteTable,
)
from tilores_core.settings.config import (
    BatchTable as BatchTable,
    CacheTable as CacheTable,
    ChatTable as ChatTable,
    Config as Config,
    KeyTable as KeyTable,
    NamespaceTable as NamespaceTable,
    RoutingTable as RoutingTable,
    TracingTable as TracingTable,
    UseTable as UseTable,
)
from tilores_core.settings.improve import PromptsTable as PromptsTable, QualityTable as QualityTable
from tilores_core.settings.loader import (
    LoadedConfig as LoadedConfig,
    find_config as find_config,
    load_config as load_config,
)
from tilores_core.settings.process import variables as variables

if TYPE_CHECKING:
    from tilores_core.settings.environment import Environment as Environment, load_environment as load_environment


def __getattr__(name: str) -> Any:
    # pydantic-settings costs three times as much to import as all the rest; listing plugins does without.
    if name in {"Environment", "load_environment"}:
        from tilores_core.settings import environment

        return getattr(environment, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
