"""Import one plugin and find its hooks.

Each plugin gets a plugin manager of its own: one that fails validation leaves nothing behind, its hooks are
called apart from everybody else's, and whatever goes wrong has an owner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

import pluggy

from tilores_core.errors import PluginError
from tilores_core.hookspecs import ENTRY_POINT_GROUP, HOOK_NAMES, PROJECT, Hooks
from tilores_core.host.imports import import_error, plugin_error
from tilores_core.host.scan import Discovered
from tilores_core.settings.nearest import suggest


@dataclass(frozen=True, slots=True)
class HookImplementation:
    """A plugin's function for one hook."""

    hook: str
    function: Callable[[], Any]


def load_plugin(found: Discovered) -> tuple[HookImplementation, ...]:
    """Import the plugin and return its hooks, in the order of hookspecs.py.

    Raises `PluginError` (`MissingDependencyError` when a library is missing), whatever the plugin does.
    """
    plugin = found.plugin if found.plugin is not None else _import(found)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    try:
        manager.register(plugin, name=found.id)
    except (Exception, SystemExit) as error:
        raise _registration_error(found, error) from error
    implementations = tuple(_implementations(found, manager, plugin))
    if not implementations:
        raise plugin_error(
            found,
            f"'{found.target}' implements no hook",
            fix=f"mark a function with @hookimpl; the hooks are {', '.join(HOOK_NAMES)}",
        )
    return tuple(sorted(implementations, key=lambda item: HOOK_NAMES.index(item.hook)))


def _import(found: Discovered) -> object:
    try:
        plugin: object = EntryPoint(found.id, found.target, ENTRY_POINT_GROUP).load()
    except (Exception, SystemExit) as error:
        raise import_error(found, found.target.partition(":")[0].strip(), error) from error
    return plugin


def _registration_error(found: Discovered, error: BaseException) -> PluginError:
    if isinstance(error, pluggy.PluginValidationError):
        # pluggy's text: the hook, how it was written, which arguments the specification lacks
        text = " ".join(str(error).split())
        return plugin_error(found, f"a hook is written wrongly: {text}", fix="see docs/plugins.md for its signature")
    return plugin_error(found, f"its hooks cannot be read: {type(error).__name__}: {error}")


def _implementations(found: Discovered, manager: pluggy.PluginManager, plugin: object) -> list[HookImplementation]:
    implementations = []
    for caller in manager.get_hookcallers(plugin) or ():
        for implementation in caller.get_hookimpls():
            if not caller.has_spec():
                # pluggy accepts any name until somebody asks; asked here, while it is clear who wrote it
                if implementation.optionalhook:
                    continue
                raise plugin_error(
                    found,
                    f"there is no hook '{caller.name}'",
                    fix=f"{suggest(caller.name, HOOK_NAMES)} mark it optionalhook=True if another version has it",
                )
            if implementation.wrapper or implementation.hookwrapper:
                raise plugin_error(
                    found, f"'{caller.name}' is a wrapper; hooks that register cannot be wrapped", fix="return a list"
                )
            implementations.append(HookImplementation(caller.name, implementation.function))
    return implementations
