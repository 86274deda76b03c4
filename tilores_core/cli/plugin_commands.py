"""`tilores <plugin id> …`: the commands of one plugin, of which alone the module is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from tilores_core.app import load_host
from tilores_core.errors import PluginError
from tilores_core.settings import load_environment


def load_command(params: Mapping[str, Any], plugin_id: str) -> Any:
    """The plugin's Typer application as a command; None when it has none. Raises `PluginError`."""
    environment = load_environment(config=params.get("config"))
    host = load_host(environment, only=(plugin_id,))
    for name in host.names("commands"):
        if host.registration("commands", name).plugin_id == plugin_id:
            built = host.build("commands", name)
            if not isinstance(built, typer.Typer):
                raise PluginError("its command factory returned no typer.Typer", plugin=plugin_id)
            return typer.main.get_command(built)
    return None
