"""Settings: the environment (`Environment`) and plugins.toml (`Config`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilores_core.settings.alerts import AlertsTable, EscalationTable, MaintenanceTable, RouteTable
from tilores_core.settings.config import (
    BatchTable,
    CacheTable,
    ChatTable,
    Config,
    HostTable,
    KeyTable,
    MetricsTable,
    NamespaceTable,
    PrewarmTable,
    RoutingTable,
    TracingTable,
    UseTable,
)
from tilores_core.settings.improve import PromptsTable, QualityTable
from tilores_core.settings.loader import LoadedConfig, find_config, load_config
from tilores_core.settings.process import variables

if TYPE_CHECKING:
    from tilores_core.settings.environment import Environment, load_environment

__all__ = [
    "AlertsTable",
    "BatchTable",
    "CacheTable",
    "ChatTable",
    "Config",
    "Environment",
    "EscalationTable",
    "HostTable",
    "KeyTable",
    "LoadedConfig",
    "MaintenanceTable",
    "MetricsTable",
    "NamespaceTable",
    "PrewarmTable",
    "PromptsTable",
    "QualityTable",
    "RouteTable",
    "RoutingTable",
    "TracingTable",
    "UseTable",
    "find_config",
    "load_config",
    "load_environment",
    "variables",
]


def __getattr__(name: str) -> Any:
    # pydantic-settings costs three times as much to import as all the rest; listing plugins does without.
    if name in {"Environment", "load_environment"}:
        from tilores_core.settings import environment

        return getattr(environment, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
