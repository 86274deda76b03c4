"""The root group: the commands of tilores, and those of plugins under the plugins' ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperGroup

from tilores_core.cli.output import report
from tilores_core.errors import TiloresError

GLOBAL_OPTIONS = ("--config", "--no-plugins", "--disable-plugin", "--verbose", "--version")


class RootGroup(TyperGroup):
    """Commands of a plugin are loaded only when they are called. Errors of ours end them with exit code 1."""

    # Typer carries its own copy of click, whose classes have no public name: hence Any.

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None or cmd_name not in plugin_ids():
            return command
        command = _load_command(ctx.params, cmd_name)
        if command is None:
            ctx.fail(f"The plugin '{cmd_name}' has no commands of its own. See: tilores plugins show {cmd_name}")
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TiloresError as error:
            report(error)
            raise typer.Exit(1) from None
        except Exception as error:
            name = getattr(error, "option_name", None)  # an unknown option, somewhere after the command
            if name in GLOBAL_OPTIONS and hasattr(error, "message"):
                error.message = f"{name} stands before the command: tilores {name} … {ctx.invoked_subcommand} …"
                error.possibilities = ()  # type: ignore[attr-defined]
            raise

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        ids = ", ".join(plugin_ids()) or "none"
        self.epilog = f"Installed plugins: {ids}. Those with commands of their own: tilores <plugin id> --help"
        super().format_epilog(ctx, formatter)


def plugin_ids() -> list[str]:
    """From metadata alone."""
    from tilores_core.host.plugin import scan

    return sorted({found.id for found in scan()})


def _load_command(params: Mapping[str, Any], plugin_id: str) -> Any:
    """The plugin's Typer application as a command; None when it has none. `params`: the global options.

    Raises `PluginError` when the plugin is not active, `ConfigError`.
    """
    from tilores_core.cli.options import Options
    from tilores_core.errors import PluginError
    from tilores_core.host.host import PluginHost
    from tilores_core.host.roles import COMMANDS
    from tilores_core.logs import configure_logging
    from tilores_core.settings import load_config, variables

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
