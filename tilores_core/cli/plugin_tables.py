"""How plugins look on a terminal: plain columns, readable in a log and by `grep`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tilores_core.cli.output import columns
from tilores_core.errors import PluginError

if TYPE_CHECKING:
    from tilores_core.host.host import PluginHost
    from tilores_core.host.plugin import Plugin

_HEADINGS = ("ID", "STATE", "VERSION", "DISTRIBUTION", "ORDER", "LOAD", "PROVIDES")


def record_table(records: Sequence[Plugin]) -> str:
    """One line per plugin. LOAD and PROVIDES are there once plugins were loaded; a reason stands in brackets."""
    return columns(_HEADINGS, [_row(record) for record in records], right=("ORDER", "LOAD"))


def plugin_details(record: Plugin, settings: Sequence[dict[str, Any]]) -> str:
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
    properties = model.model_json_schema().get("properties", {})
    return [
        {
            "key": key,
            "type": _type_name(entry),
            "default": _default(entry),
            "description": entry.get("description", "")
            + (f" (else variable {variables[key]})" if key in variables else ""),
        }
        for key, entry in properties.items()
    ]


def _row(record: Plugin) -> tuple[str, ...]:
    provides = (
        " ".join(record.provides) if record.state == "active" else f"({record.reason})" if record.reason else ""
    )
    return (
        record.id,
        record.state,
        record.version,
        record.distribution,
        str(record.order),
        _milliseconds(record) or "-",
        provides,
    )


def _milliseconds(record: Plugin) -> str:
    return "" if record.load_ms is None else f"{record.load_ms:.0f} ms"


def _type_name(entry: dict[str, Any]) -> str:
    if "anyOf" in entry:
        return " or ".join(_type_name(option) for option in entry["anyOf"])
    if "enum" in entry:
        return " | ".join(repr(value) for value in entry["enum"])
    return str(entry.get("type", "table"))


def _default(entry: dict[str, Any]) -> str:
    if "default" not in entry:
        return "(needed)"
    default = entry["default"]
    return str(default).lower() if isinstance(default, bool) else "(none)" if default is None else repr(default)
