"""The root group: the commands of tilores, and those of plugins under the plugins' ids."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

GLOBAL_OPTIONS = ("--config", "--no-plugins", "--disable-plugin", "--verbose", "--version")


class RootGroup(TyperGroup):
    """Commands of a plugin are loaded only when they are called."""

    # Typer carries its own copy of click, whose classes have no public name: hence Any.

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None or cmd_name not in plugin_ids():
            return command
        from tilores_core.cli.plugin_commands import load_command

        command = load_command(ctx.params, cmd_name)
        if command is None:
            ctx.fail(f"The plugin '{cmd_name}' has no commands of its own. See: tilores plugins show {cmd_name}")
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
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
