"""The command's root: global options, the commands, and those of plugins under the plugins' ids.

Printing help must not pay for a web server or a model's SDK: commands import what they need when they run.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tilores_core.cli import (
    alerts,
    cache,
    customers,
    deploy,
    experiments,
    improve,
    plugins,
    prompts,
    questions,
    state,
)
from tilores_core.cli.batch import batch
from tilores_core.cli.chat import ask, chat
from tilores_core.cli.customers import forget
from tilores_core.cli.evaluate import evaluate
from tilores_core.cli.models import models
from tilores_core.cli.options import Commands, JsonOption, LogLevelOption, Options
from tilores_core.cli.output import report
from tilores_core.cli.prewarm import prewarm
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
        fix = record.fix or f"tilores plugins show {plugin_id}"
        raise record.problem(f"{record.state}: {record.reason}", fix=fix)
    for name in host.names(COMMANDS):
        if host.registration(COMMANDS, name).plugin_id == plugin_id:
            command = typer.main.get_command(host.build(COMMANDS, name))
            command.name = plugin_id
            return command
    return None


app = Commands(
    "tilores",
    "Questions about a customer, answered.",
    cls=RootGroup,
    add_completion=False,
    rich_markup_mode=None,
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
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="The plugins.toml to use; default TILORES_CONFIG, ./plugins.toml, then the packaged one.",
        ),
    ] = None,
    no_plugins: Annotated[bool, typer.Option("--no-plugins", help="Load built-in plugins only.")] = False,
    disable_plugin: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A plugin not to load; may be repeated.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the traceback of an error, and log more.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    ctx.obj = Options.of(ctx.params)
    if config is not None:
        os.environ["TILORES_CONFIG"] = str(config)  # worker processes and the plugins commands read it there


@app.command()
def serve(
    options: Options,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address to bind; default 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=65535, help="Port; default 8000, 0 for any free one.")
    ] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", min=1, max=64, help="Web processes; default 1.")] = None,
    log_level: LogLevelOption = None,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Start no worker process; see `tilores worker`.")
    ] = False,
) -> None:
    """Serve the chat protocols over HTTP."""
    gc.disable()  # a start makes next to no garbage; with all that it imports, looking for it takes a fifth of it
    from tilores_core.cli.serve import serve

    serve(options, no_worker=no_worker, host=host, port=port, workers=workers, log_level=log_level)


@app.command()
def worker(options: Options, log_level: LogLevelOption = None) -> None:
    """Run the background work of servers with this data folder.

    That is batches, pre-warming, schedules, alerts. `tilores serve` starts one by itself; this is for one that runs
    as a service of its own.
    """
    from tilores_core.logs import configure_logging
    from tilores_core.settings import load_config
    from tilores_core.worker.process import run_worker

    environment = options.environment(log_level=log_level)
    configure_logging(environment.log_level, environment.log_format)
    run_worker(environment, load_config(environment.config), no_plugins=options.no_plugins, disable=options.disable)


app.command()(ask)
app.command()(chat)
app.command()(batch)
app.command()(prewarm)
app.command()(forget)
app.command()(evaluate)
app.command()(models)


@app.command()
def doctor(
    options: Options,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=600.0, metavar="SECONDS", help="For one answer of a part.")
    ] = 10.0,
    json: JsonOption = False,
) -> None:
    """Look at every part and say what to do about each problem.

    Settings, data folder, plugins.toml, keys, plugins, source, cache tiers, model. Exit code 1 when there is a
    problem.
    """
    from tilores_core.cli.doctor import doctor

    doctor(options, timeout=timeout, json=json)


for group in (
    *(plugins.app, customers.app, prompts.app, cache.app, deploy.app, alerts.app, experiments.app, improve.app),
    *(improve.learning, questions.app, state.app),
):
    app.add_typer(group)


def run() -> None:
    """Run the command that `sys.argv` names. Ends by `SystemExit`, or raises `KeyboardInterrupt`."""
    try:
        app()
    except BrokenPipeError:
        _reader_gone()
    except Exception as error:
        report(error)
        sys.exit(1)
    except SystemExit:
        try:
            if sys.stdout is not None:  # None: closed by whoever started this
                sys.stdout.flush()
        except BrokenPipeError:
            _reader_gone()
        raise


def _reader_gone() -> None:
    """The reader has gone (`tilores models | head -1`): say nothing more, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)
