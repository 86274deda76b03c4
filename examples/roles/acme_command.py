"""A command: `tilores acme-command where`."""

import typer

from tilores_core import CommandSpec, PluginContext, hookimpl


def build(context: PluginContext) -> typer.Typer:
    app = typer.Typer(help="Acme's commands.")

    @app.callback()
    def main() -> None:
        """Acme's commands."""

    @app.command()
    def where() -> None:
        """Print the data folder."""
        typer.echo(context.data_dir)

    return app


@hookimpl
def register_commands() -> list[CommandSpec]:
    return [CommandSpec(name="acme", factory=build, summary="where the data folder is")]
