"""`tilores plugins …`: what is installed, what it does, switching it on and off.

`list`, `enable` and `disable` read metadata and plugins.toml only, so they work when a plugin is broken.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilores_core.cli.options import Commands, JsonOption, Options
from tilores_core.cli.output import Output, columns, full_traceback
from tilores_core.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from tilores_core.host.host import PluginHost
    from tilores_core.host.plugin import Plugin
    from tilores_core.settings import LoadedConfig

app = Commands("plugins", "List, show, enable, disable and check plugins.")

_HEADINGS = ("ID", "STATE", "VERSION", "DISTRIBUTION", "ORDER", "LOAD", "PROVIDES")
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The plugin's id, as `tilores plugins list` shows it.")]


@app.command("list")
def list_plugins(options: Options) -> Output:
    """Every installed plugin and what happens to it. Imports none."""
    records, warnings = _plan(options)
    _say("warning", warnings)
    return Output([record.as_row() for record in records], _table(records))


@app.command()
def show(
    options: Options,
    plugin: IdArgument,
    traceback: Annotated[bool, typer.Option("--traceback", help="Where it failed, in full.")] = False,
    json: JsonOption = False,
) -> Output:
    """Load one plugin and say everything about it. Exit code 1 when it has a problem."""
    host = _examine(options, only=plugin)
    records = [record for record in host.plugins if record.id == plugin]
    settings = settings_rows(host, plugin)
    lines = [_details(record, settings) for record in records]
    for record in records:
        if traceback and record.error is not None:
            if json:
                typer.echo(full_traceback(record.error), err=True)
            else:
                lines.append(full_traceback(record.error))
    _say("problem", host.problems)
    rows = [{**record.as_row(), "settings": settings} for record in records]
    return Output(rows, *lines, failed=_is_broken(host, records))


@app.command()
def check(
    options: Options,
    plugin: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One plugin; without it, all and [use].")
    ] = None,
    json: JsonOption = False,
) -> Output:
    """Load plugins, and validate their settings and [use]. Exit code 1 on any problem."""
    host = _examine(options, only=plugin)
    records = [record for record in host.plugins if plugin in (None, record.id)]
    found = {
        "plugins": [record.as_row() for record in records],
        "problems": [str(problem) for problem in host.problems],
        "warnings": list(host.warnings),
    }
    if not json:
        _say("warning", host.warnings)
    _say("problem", host.problems)
    return Output(found, _table(records), failed=_is_broken(host, records))


@app.command()
def enable(options: Options, plugin: IdArgument) -> None:
    """Write `enabled = true` into the plugin's table of plugins.toml. Imports no plugin."""
    _switch(options, plugin, on=True)


@app.command()
def disable(options: Options, plugin: IdArgument) -> None:
    """Write `enabled = false` into the plugin's table of plugins.toml. Imports no plugin."""
    _switch(options, plugin, on=False)


@app.command()
def schema(options: Options, plugin: IdArgument) -> None:
    """Print the JSON Schema of the plugin's settings."""
    from tilores_core.host.plugin_settings import settings_class

    host = _examine(options, only=plugin)
    loaded = host.active_plugin(plugin)
    if loaded is None:
        if any(record.state == "disabled" for record in host.plugins if record.id == plugin):
            raise ConfigError(f"plugin '{plugin}' is disabled", fix=f"tilores plugins enable {plugin}")
        _say("warning", host.warnings)
        _say("problem", host.problems)
        raise typer.Exit(1)
    model = settings_class(loaded)
    properties = model.model_json_schema() if model else {"type": "object", "additionalProperties": False}
    typer.echo(json_module.dumps(properties, indent=2))


@app.command()
def new(
    options: Options,
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


def _plan(options: Options) -> tuple[list[Plugin], tuple[str, ...]]:
    from tilores_core import __version__
    from tilores_core.host.plan import Switches, make_plan
    from tilores_core.host.plugin import scan

    loaded, values = _load_config()
    switches = Switches(variables=values, disable=options.disable, no_plugins=options.no_plugins)
    plan = make_plan(scan(), loaded, switches, version=__version__)
    return list(plan.plugins), (*plan.warnings, *(str(problem) for problem in plan.problems))


def _examine(options: Options, only: str | None) -> PluginHost:
    from tilores_core.host.host import PluginHost

    loaded, values = _load_config()
    host = PluginHost.examine(
        loaded,
        variables=values,
        data_dir=Path(values.get("TILORES_DATA_DIR", "")),  # nothing is built here, so nothing is kept there
        only=None if only is None else (only,),
        disable=options.disable,
        no_plugins=options.no_plugins,
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


def _switch(options: Options, plugin: str, *, on: bool) -> None:
    from tilores_core.cli.plugin_switch import set_enabled
    from tilores_core.host.plugin import scan
    from tilores_core.settings import find_config, variables

    _require_installed(plugin, {found.id for found in scan()})
    configured = variables().get("TILORES_CONFIG")
    path = set_enabled(find_config(Path(configured) if configured else None), plugin, on=on)
    typer.echo(f"{plugin} is {'enabled' if on else 'disabled'} in {path}")
    try:
        records, _ = _plan(options)
    except ConfigError as error:
        typer.echo(f"warning: {error}", err=True)
        return
    for record in records:
        if record.id == plugin and on and record.state != "enabled":
            typer.echo(f"warning: it is {record.state} all the same: {record.reason}", err=True)


def _say(kind: str, texts: Iterable[object]) -> None:
    for text in texts:
        typer.echo(f"{kind}: {text}", err=True)


def _is_broken(host: PluginHost, records: Sequence[Plugin]) -> bool:
    return bool(host.problems) or any(record.is_problem for record in records)


# --- what is printed -------------------------------------------------------------------------------------------


def _table(records: Sequence[Plugin]) -> str:
    """One line per plugin. LOAD and PROVIDES are there once plugins were loaded; a reason stands in brackets."""
    return columns(_HEADINGS, [_row(record) for record in records], right=("ORDER", "LOAD"))


def _details(record: Plugin, settings: Sequence[dict[str, Any]]) -> str:
    """Everything about one plugin, one thing a line."""
    lines = {
        "id": record.id,
        "state": record.state,
        "reason": record.reason,
        "fix": record.fix,
        "distribution": f"{record.distribution} {record.version}",
        "module": record.target,
        "order": str(record.order),
        "required": "yes" if record.required else "",
        "load": _milliseconds(record),
        "provides": ", ".join(record.provides),
    }
    text = "\n".join(f"{name:<13} {value}" for name, value in lines.items() if value)
    if not settings:
        return text
    rows = [
        f"  {row['key']} = {row['default']}  # {row['type']}. {row['description']}".rstrip(". ") for row in settings
    ]
    return "\n".join((text, f"settings, [plugins.{record.id}]:", *rows))


def settings_rows(host: PluginHost, plugin: str) -> list[dict[str, Any]]:
    """The keys of the plugin's table with type, default and meaning; nothing of what is configured."""
    from tilores_core.host.plugin_settings import settings_class

    loaded = host.active_plugin(plugin)
    try:
        model = settings_class(loaded) if loaded else None
    except PluginError:
        return []  # the record says so
    if loaded is None or model is None:
        return []
    variables = {key: name for item in loaded.registrations for key, name in item.spec.environment.items()}
    schema = model.model_json_schema()
    return [
        {
            "key": key,
            "type": _type_name(entry),
            "default": "(needed)" if key in schema.get("required", ()) else _default(entry),
            "description": entry.get("description", "")
            + (f" (else variable {variables[key]})" if key in variables else ""),
        }
        for key, entry in schema.get("properties", {}).items()
    ]


def _row(record: Plugin) -> tuple[str, ...]:
    reason = f"({record.reason})" if record.reason else ""
    provides = " ".join(record.provides) if record.state == "active" else reason
    order, load = str(record.order), _milliseconds(record) or "-"
    return record.id, record.state, record.version, record.distribution, order, load, provides


def _milliseconds(record: Plugin) -> str:
    return "" if record.load_ms is None else f"{record.load_ms:.0f} ms"


def _type_name(entry: dict[str, Any]) -> str:
    if "anyOf" in entry:
        return " or ".join(_type_name(option) for option in entry["anyOf"] if option.get("type") != "null")
    if "enum" in entry:
        return " | ".join(repr(value) for value in entry["enum"])
    kind = str(entry.get("type", "object"))
    return {"object": "table", "integer": "whole number"}.get(kind, kind)


def _default(entry: dict[str, Any]) -> str:
    default = entry.get("default")
    return str(default).lower() if isinstance(default, bool) else "(none)" if default is None else repr(default)
