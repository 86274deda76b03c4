"""The command's root: global options, the commands, and `tilores <plugin id> …`.

Printing help must not pay for a web server or a model's SDK: commands import what they need when they run.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tilores_core.cli.options import JsonOption, ModelOption, Options
from tilores_core.errors import TiloresError


class _Group(TyperGroup):
    """The commands, and those of plugins under their ids, which are loaded only when called."""

    # Typer carries its own copy of click, whose classes have no public name: hence Any.

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None or cmd_name not in _plugin_ids():
            return command
        from tilores_core.cli.plugin_commands import load_command

        return load_command(ctx.params, cmd_name)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        ids = ", ".join(_plugin_ids())
        self.epilog = f"Installed plugins: {ids}. Those with commands of their own: tilores <plugin id> --help"
        super().format_epilog(ctx, formatter)


def _plugin_ids() -> list[str]:
    """From metadata alone."""
    from tilores_core.host.scan import scan

    return sorted({found.id for found in scan()})


app = typer.Typer(
    name="tilores",
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Questions about a customer, answered.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from tilores_core import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="plugins.toml to use; default ./plugins.toml, then the packaged one")
    ] = None,
    no_plugins: Annotated[bool, typer.Option("--no-plugins", help="load built-in plugins only")] = False,
    disable_plugin: Annotated[list[str] | None, typer.Option(help="a plugin not to load; may be repeated")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="show the whole traceback of an error")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    ctx.obj = Options(config=config, no_plugins=no_plugins, disable=tuple(disable_plugin or ()), verbose=verbose)
    if config is not None:
        os.environ["TILORES_CONFIG"] = str(config)  # worker processes and the plugins commands read it there


@app.command()
def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="address to bind; default 127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="port; default 8000")] = None,
    workers: Annotated[int | None, typer.Option(help="worker processes; default 1")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning, error")] = None,
) -> None:
    """Serve the chat protocols over HTTP."""
    from tilores_core.cli.serve import serve

    serve(ctx.obj, host=host, port=port, workers=workers, log_level=log_level)


@app.command()
def ask(
    ctx: typer.Context,
    question: Annotated[str, typer.Argument(help="the question")],
    customer: Annotated[str | None, typer.Option(help="id of the customer it is about")] = None,
    model: ModelOption = None,
    json: JsonOption = False,
) -> None:
    """Ask one question."""
    from tilores_core.cli.ask import ask

    ask(ctx.obj, question, customer=customer, model=model, json=json)


@app.command()
def chat(
    ctx: typer.Context,
    customer: Annotated[str | None, typer.Option(help="id of the customer it is about")] = None,
    model: ModelOption = None,
) -> None:
    """Talk, with the conversation remembered. An empty line or Ctrl-D ends it."""
    from tilores_core.cli.ask import chat

    chat(ctx.obj, customer=customer, model=model)


@app.command()
def models(ctx: typer.Context, json: JsonOption = False) -> None:
    """List the models."""
    from tilores_core.cli.models import models

    models(ctx.obj, json=json)


@app.command()
def doctor(ctx: typer.Context, json: JsonOption = False) -> None:
    """Check settings, plugins, source, model and cache; say what to do about each problem."""
    from tilores_core.cli.doctor import doctor

    doctor(ctx.obj, json=json)


def _add_groups() -> None:
    from tilores_core.cli.plugins import app as plugins

    app.add_typer(plugins, name="plugins", help="List, show, enable, disable and check plugins.")


_add_groups()


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 wrong use."""
    try:
        app()
    except TiloresError as error:
        if "--verbose" in sys.argv:
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader has gone (`tilores models | head -1`); say nothing more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
