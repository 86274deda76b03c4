"""The reference of settings as Markdown tables, written from the models that validate them."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tilores_core.cli.plugins import settings_rows
from tilores_core.host.host import PluginHost
from tilores_core.settings import Config, Environment
from tilores_core.settings.loader import PACKAGED, LoadedConfig, load_config

# Where the default is a folder of this machine, or a value that the reader would not recognise.
_DEFAULTS = {
    "TILORES_DATA_DIR": "the platform's user data folder",
    "TILORES_CONFIG": "`./plugins.toml`, then packaged",
}


def environment_table() -> str:
    rows = [
        (f"`{field.alias}`", _DEFAULTS.get(str(field.alias)) or _default(field), _meaning(field.description))
        for field in Environment.model_fields.values()
    ]
    return _table(("variable", "default", "meaning"), rows)


def config_tables() -> str:
    """One table for each table of plugins.toml but the plugins' own."""
    return "\n\n".join(
        f"**`{heading}`** {_intro(model)}\n\n{_table(('key', 'type', 'default', 'meaning'), _rows(model, defaults))}"
        for heading, model, defaults in _models()
    )


def plugin_tables() -> str:
    """One table for each built-in plugin that has settings."""
    host = builtin_host()
    parts = []
    for record in sorted(host.plugins, key=lambda record: record.id):
        rows = [
            (f"`{row['key']}`", _cell(row["type"]), _shown(row["default"]), _meaning(row["description"]))
            for row in settings_rows(host, record.id)
        ]
        if rows:
            table = _table(("key", "type", "default", "meaning"), rows)
            parts.append(f"**`[plugins.{record.id}]`**\n\n{table}")
    return "\n\n".join(parts)


def builtin_host() -> PluginHost:
    """All built-in plugins and no other, under the packaged plugins.toml."""
    loaded = load_config(PACKAGED)
    return PluginHost.examine(
        LoadedConfig(config=loaded.config, path=Path("plugins.toml"), packaged=True),
        variables={},
        data_dir=Path(),
        no_plugins=True,
        check_use=False,
    )


def _models() -> Iterator[tuple[str, type[BaseModel], dict[str, Any]]]:
    """Heading, model, and defaults that differ from the model's own."""
    for name, field in Config.model_fields.items():
        model = _model_in(field.annotation)
        if model is None or name == "plugins":
            continue
        chosen = typing.get_origin(field.annotation) is dict
        yield (f"[{name}.NAME]" if chosen else f"[{name}]"), model, {}
        if chosen:
            continue
        for inner, inner_field in model.model_fields.items():
            below = _model_in(inner_field.annotation)
            if below is None:
                continue
            if typing.get_origin(inner_field.annotation) is tuple:
                yield f"[[{name}.{inner}]]", below, {}
            else:
                yield f"[{name}.{inner}]", below, inner_field.get_default(call_default_factory=True).model_dump()


def _rows(model: type[BaseModel], defaults: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    rows = []
    for name, field in model.model_fields.items():
        if _model_in(field.annotation) is not None:
            continue  # a table of its own
        default = _toml(defaults[name]) if name in defaults else _default(field)
        rows.append((f"`{field.alias or name}`", _kind(field.annotation), default, _meaning(field.description)))
    return rows


def _model_in(annotation: Any) -> type[BaseModel] | None:
    kinds = (annotation, *typing.get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _intro(model: type[BaseModel]) -> str:
    """The docstring's text behind the heading it begins with."""
    return " ".join((model.__doc__ or "").partition(":")[2].split()).rstrip(".")


def _kind(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value!r}`".replace("'", '"') for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(one) for one in arguments if one is not type(None))
    if origin is tuple:
        return f"array of {_kind(arguments[0])}"
    if origin is dict:
        return f"table of {_kind(arguments[1])}"
    names = {str: "string", int: "whole number", float: "number", bool: "boolean"}
    return names[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(needed)"
    value = field.get_default(call_default_factory=True)
    return "" if value is PydanticUndefined else _toml(value)


def _toml(value: Any) -> str:
    """A default as it would be written; nothing for nothing."""
    if value is None or value in ({}, (), ""):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float) and value.is_integer():
        return f"`{int(value)}`"
    if isinstance(value, tuple):
        return "`[{}]`".format(", ".join(f'"{item}"' for item in value))
    return f"`{value}`"


def _shown(default: str) -> str:
    return {"(none)": "", "(needed)": "(needed)", "''": "", "[]": ""}.get(default, f"`{default}`")


def _meaning(text: str | None) -> str:
    return _cell((text or "").rstrip("."))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "or").split())


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)
