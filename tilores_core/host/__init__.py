"""The plugin host: scan, plan, load, build, close."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tilores_core.host.plugin import Plugin, scan

if TYPE_CHECKING:
    from tilores_core.host.host import PluginHost
    from tilores_core.host.use import provider_of

__all__ = ["Plugin", "PluginHost", "provider_of", "scan"]

_MODULES = {"PluginHost": "host", "provider_of": "use"}


def __getattr__(name: str) -> Any:
    # `tilores --help` reads the ids of plugins from metadata; settings and pluggy would cost more than all the rest.
    if name in _MODULES:
        return getattr(import_module(f"tilores_core.host.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
