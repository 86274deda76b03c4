"""The plugin host: scan, plan, load, collect, build, close."""

from tilores_core.host.collect import Registration
from tilores_core.host.host import PluginHost
from tilores_core.host.plan import Switches, make_plan
from tilores_core.host.records import PluginRecord
from tilores_core.host.roles import ROLES, RoleName
from tilores_core.host.scan import Discovered, scan
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
