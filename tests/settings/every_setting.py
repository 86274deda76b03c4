"""Every setting and hook of the product, by a name of its own.

    environment.PORT, chat.max_messages, cache.answers.ttl_seconds, plugins.memory.max_entries,
    plugins.*.enabled, hook.register_observers

Settings that provider plugins share are listed once, by the class that declares them: llm.ProviderSettings.base_url.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from tilores_core.hookspecs import HOOK_NAMES
from tilores_core.host.host import PluginHost
from tilores_core.host.plan import DISABLE_VARIABLE, HOST_KEYS, ONLY_VARIABLE
from tilores_core.host.plugin import scan
from tilores_core.host.plugin_settings import settings_class
from tilores_core.settings import Config, Environment, load_config
from tilores_core.settings.loader import PACKAGED


@dataclass(frozen=True)
class Setting:
    """`name` as above; `key`: as plugins.toml or the environment writes it; `path`: fields from `model` on."""

    name: str
    key: str
    model: type[BaseModel] | None = None
    path: tuple[str, ...] = ()

    @property
    def file(self) -> Path | None:
        return None if self.model is None else Path(inspect.getfile(self.model))


def every_setting(data_dir: Path) -> list[Setting]:
    """All settings of the environment, plugins.toml and the built-in plugins, and all hooks."""
    found = [
        Setting(f"environment.{field.alias}", str(field.alias), Environment, (name,))
        for name, field in Environment.model_fields.items()
    ]
    found += [Setting(f"environment.{name}", name) for name in (DISABLE_VARIABLE, ONLY_VARIABLE)]
    for name, field in Config.model_fields.items():
        if name != "plugins":
            found += _fields(field.alias or name, Config, (name,))
    found += [Setting(f"plugins.*.{key}", key) for key in HOST_KEYS]
    builtin = [plugin for plugin in scan() if plugin.builtin]
    host = PluginHost.examine(load_config(PACKAGED), variables={}, data_dir=data_dir, discovered=builtin)
    for plugin in host.plugins:
        model = settings_class(plugin) if plugin.state == "active" else None
        for name in model.model_fields if model else ():
            assert model is not None
            found += [_shared(setting) for setting in _fields(f"plugins.{plugin.id}.{name}", model, (name,))]
    found = list({setting.name: setting for setting in found}.values())
    found += [Setting(f"hook.{name}", name) for name in HOOK_NAMES]
    return found


def _fields(name: str, model: type[BaseModel], path: tuple[str, ...]) -> Iterator[Setting]:
    """The setting, or those of the table that it is."""
    holder: type[BaseModel] = model
    for step in path[:-1]:
        holder = _table(holder, step) or holder
    table = _table(holder, path[-1])
    if table is None:
        yield Setting(name, name.rpartition(".")[2], model, path)
        return
    for field in table.model_fields:
        yield from _fields(f"{name}.{field}", model, (*path, field))


def _shared(setting: Setting) -> Setting:
    """The setting of a plugin, by the class that declares it where that is the toolkit's."""
    assert setting.model is not None
    holder = setting.model
    for step in setting.path[:-1]:
        holder = _table(holder, step) or holder
    for kind in reversed(holder.__mro__):
        if setting.key in vars(kind).get("__annotations__", {}) and kind.__module__.startswith("tilores_core.llm"):
            return Setting(f"llm.{kind.__name__}.{setting.key}", setting.key, kind, (setting.key,))
    return setting


def _table(model: type[BaseModel], field: str) -> type[BaseModel] | None:
    annotation = model.model_fields[field].annotation
    kinds = [annotation, *get_args(annotation)]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
