"""The plugin host: scan, plan, load, collect, build, close."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tilores_core.host.scan import Discovered, scan

if TYPE_CHECKING:
    from tilores_core.host.collect import Registration
    from tilores_core.host.host import PluginHost
    from tilores_core.host.plan import Switches, make_plan
    from tilores_core.host.records import PluginRecord
    from tilores_core.host.roles import ROLES, RoleName
    from tilores_core.host.use import provider_of

__all__ = [
    "ROLES",
    "Discovered",
    "PluginHost",
    "PluginRecord",
    "Registration",
    "RoleName",
    "Switches",
    "make_plan",
    "provider_of",
    "scan",
]

_HOMES = {
    "PluginHost": "host",
    "PluginRecord": "records",
    "ROLES": "roles",
    "Registration": "collect",
    "RoleName": "roles",
    "Switches": "plan",
    "make_plan": "plan",
    "provider_of": "use",
}


def __getattr__(name: str) -> Any:
    # `tilores --help` reads plugins' ids from metadata; settings and pluggy would cost it more than all the rest.
    if name in _HOMES:
        return getattr(import_module(f"tilores_core.host.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
