"""`tilores plugins …`: what is installed, what it does, switching it on and off.

`list`, `enable` and `disable` read metadata and plugins.toml only, so they work when a plugin is broken.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilores_core.cli.options import JsonOption, get_options
from tilores_core.cli.output import emit, full_traceback
from tilores_core.errors import ConfigError

if TYPE_CHECKING:
    from tilores_core.host.host import PluginHost
    from tilores_core.host.plugin import Plugin
    from tilores_core.settings import LoadedConfig

app = typer.Typer(name="plugins", no_args_is_help=True, pretty_exceptions_enable=False)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The plugin's id, as `tilores plugins list` shows it.")]


@app.command("list")
def list_plugins(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Every installed plugin and what happens to it. Imports none."""
    from tilores_core.cli.plugin_tables import record_table

    records, warnings = _plan(ctx)
    emit([record.as_row() for record in records], record_table(records), as_json=as_json)
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


@app.command()
def show(
    ctx: typer.Context,
    plugin: IdArgument,
    traceback: Annotated[bool, typer.Option("--traceback", help="Where it failed, in full.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Load one plugin and say everything about it. Exit code 1 when it has a problem."""
    from tilores_core.cli.plugin_tables import plugin_details, settings_rows

    host = _examine(ctx, only=plugin)
    records = [record for record in host.plugins if record.id == plugin]
    settings = settings_rows(host, plugin)
    text = "\n".join(plugin_details(record, settings) for record in records)
    emit([{**record.as_row(), "settings": settings} for record in records], text, as_json=as_json)
    for record in records:
        if traceback and record.error is not None:
            typer.echo(full_traceback(record.error), err=as_json)
    _exit_on_problems(host, [record.id for record in records if record.is_problem], quiet=True)


@app.command()
def check(
    ctx: typer.Context,
    plugin: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One plugin; without it, all and [use].")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Load plugins, and validate their settings and [use]. Exit code 1 on any problem."""
    from tilores_core.cli.plugin_tables import record_table

    host = _examine(ctx, only=plugin)
    records = [record for record in host.plugins if plugin in (None, record.id)]
    found = {
        "plugins": [record.as_row() for record in records],
        "problems": [str(problem) for problem in host.problems],
        "warnings": list(host.warnings),
    }
    emit(found, record_table(records), as_json=as_json)
    _exit_on_problems(host, [record.id for record in records if record.is_problem], quiet=as_json)


@app.command()
def enable(ctx: typer.Context, plugin: IdArgument) -> None:
    """Write `enabled = true` into the plugin's table of plugins.toml. Imports no plugin."""
    _switch(ctx, plugin, on=True)


@app.command()
def disable(ctx: typer.Context, plugin: IdArgument) -> None:
    """Write `enabled = false` into the plugin's table of plugins.toml. Imports no plugin."""
    _switch(ctx, plugin, on=False)


@app.command()
def schema(ctx: typer.Context, plugin: IdArgument) -> None:
    """Print the JSON Schema of the plugin's settings."""
    from tilores_core.host.plugin_settings import settings_class

    host = _examine(ctx, only=plugin)
    loaded = host.active_plugin(plugin)
    if loaded is None:
        if any(record.state == "disabled" for record in host.plugins if record.id == plugin):
            raise ConfigError(f"plugin '{plugin}' is disabled", fix=f"tilores plugins enable {plugin}")
        _exit_on_problems(host, [plugin], quiet=False)
        return
    model = settings_class(loaded)
    properties = model.model_json_schema() if model else {"type": "object", "additionalProperties": False}
    typer.echo(json.dumps(properties, indent=2))


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the package, for example acme-cache.")],
    folder: Annotated[
        Path, typer.Option("--in", metavar="FOLDER", help="Where the package's folder is made.")
    ] = Path(),
) -> None:
    """Write a small working plugin package. It is a cache tier with settings and tests."""
    from tilores_core.cli.plugin_template import write_package

    written = write_package(name, folder)
    typer.echo(f"wrote {written}")
    typer.echo(f"next: cd {written} && pip install -e '.[testing]' && python -m pytest")


def _load_config() -> tuple[LoadedConfig, dict[str, str]]:
    from tilores_core.settings import load_config, variables

    values = variables()
    path = values.get("TILORES_CONFIG")
    return load_config(Path(path) if path else None), values


def _global_options(ctx: typer.Context) -> dict[str, Any]:
    """What stood before `plugins` on the command line: --disable-plugin and --no-plugins."""
    options = get_options(ctx)
    return {"disable": options.disable, "no_plugins": options.no_plugins}


def _plan(ctx: typer.Context) -> tuple[list[Plugin], tuple[str, ...]]:
    from tilores_core import __version__
    from tilores_core.host.plan import Switches, make_plan
    from tilores_core.host.plugin import scan

    loaded, values = _load_config()
    plan = make_plan(scan(), loaded, Switches(variables=values, **_global_options(ctx)), version=__version__)
    return list(plan.plugins), (*plan.warnings, *(str(problem) for problem in plan.problems))


def _examine(ctx: typer.Context, only: str | None) -> PluginHost:
    from tilores_core.host.host import PluginHost

    loaded, values = _load_config()
    host = PluginHost.examine(
        loaded,
        variables=values,
        data_dir=Path(values.get("TILORES_DATA_DIR", "")),  # nothing is built here, so nothing is kept there
        only=None if only is None else (only,),
        **_global_options(ctx),
    )
    if only is not None:
        _require_installed(only, {record.id for record in host.plugins})
    return host


def _require_installed(plugin: str, installed: set[str]) -> None:
    from tilores_core.settings.nearest import suggest

    if plugin not in installed:
        raise ConfigError(
            f"no plugin '{plugin}' is installed; {suggest(plugin, installed)}", fix="tilores plugins list"
        )


def _switch(ctx: typer.Context, plugin: str, *, on: bool) -> None:
    from tilores_core.cli.plugin_switch import set_enabled
    from tilores_core.host.plugin import scan
    from tilores_core.settings import find_config, variables

    _require_installed(plugin, {found.id for found in scan()})
    configured = variables().get("TILORES_CONFIG")
    path = set_enabled(find_config(Path(configured) if configured else None), plugin, on=on)
    typer.echo(f"{plugin} is {'enabled' if on else 'disabled'} in {path}")
    try:
        records, _ = _plan(ctx)
    except ConfigError as error:
        typer.echo(f"warning: {error}", err=True)
        return
    for record in records:
        if record.id == plugin and on and record.state != "enabled":
            typer.echo(f"warning: it is {record.state} all the same: {record.reason}", err=True)


def _exit_on_problems(host: PluginHost, broken: list[str], *, quiet: bool) -> None:
    if not quiet:
        for warning in host.warnings:
            typer.echo(f"warning: {warning}", err=True)
    for problem in host.problems:
        typer.echo(f"problem: {problem}", err=True)
    if host.problems or broken:
        raise typer.Exit(1)
