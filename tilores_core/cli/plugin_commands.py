"""`tilores <plugin id> …`: the commands of one plugin, of which alone the module is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from tilores_core.cli.options import Options
from tilores_core.errors import PluginError
from tilores_core.host.host import PluginHost
from tilores_core.host.roles import COMMANDS
from tilores_core.logs import configure_logging
from tilores_core.settings import load_config, variables


def load_command(params: Mapping[str, Any], plugin_id: str) -> Any:
    """The plugin's Typer application as a command; None when it has none. `params`: the global options.

    Raises `PluginError` when the plugin is not active, `ConfigError`.
    """
    options = Options.of(params)
    environment = options.environment()
    configure_logging("warning", environment.log_format)
    host = PluginHost.start(
        load_config(environment.config),
        variables=variables(),
        data_dir=environment.data_dir,
        disable=options.disable,
        no_plugins=options.no_plugins,
        only=(plugin_id,),
    )
    record = next(record for record in host.plugins if record.id == plugin_id)
    if record.state != "active":
        raise PluginError(
            f"{record.state}: {record.reason}",
            plugin=plugin_id,
            distribution=record.distribution,
            version=record.version,
            fix=record.fix or f"tilores plugins show {plugin_id}",
        )
    for name in host.names(COMMANDS):
        if host.registration(COMMANDS, name).plugin_id == plugin_id:
            command = typer.main.get_command(host.build(COMMANDS, name))
            command.name = plugin_id
            return command
    return None
