"""Import plugins, call each hook once, and check what the hooks return.

Each plugin gets a pluggy manager of its own: one that fails validation leaves nothing behind, its hooks are
called apart from those of the others, and every failure can be attributed.
"""

from __future__ import annotations

import inspect
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import EntryPoint
from threading import Event, Timer
from typing import Any

import pluggy
import structlog

from tilores_core.errors import PluginError
from tilores_core.hookspecs import ENTRY_POINT_GROUP, HOOK_NAMES, PROJECT, Hooks, Spec
from tilores_core.host.build import import_error
from tilores_core.host.plugin import Plugin
from tilores_core.host.roles import ROLE_OF_HOOK, Registration, Role
from tilores_core.settings.nearest import suggest

log = structlog.get_logger(part="host")

_SLOW_SECONDS = 10.0

Implementations = dict[str, Callable[[], Any]]
"""A plugin's functions by hook, in the order of hookspecs.py."""


def load_plugins(plugins: Sequence[Plugin]) -> tuple[Plugin, ...]:
    """Load those that are `enabled`, in order. Never raises for what a plugin does: that is in its state."""
    loaded: list[Plugin] = []
    with warn_when_slow(*(plugin.id for plugin in plugins[:1])) as at_work:
        for plugin in plugins:
            at_work[:] = [plugin.id]
            loaded.append(_load(plugin) if plugin.state == "enabled" else plugin)
    return _reject_shared_names(loaded)


@contextmanager
def warn_when_slow(*plugin: str, seconds: float | None = None, end_after: float | None = None) -> Iterator[list[str]]:
    """Log after `seconds`, ten by default, which plugin is at work, the one in the list: a start that hangs says why.

    `end_after`: end the process, with exit code 1, so many seconds later; for what blocks the thread that closes it.
    """
    at_work = list(plugin)
    done = Event()

    def warn() -> None:
        log.warning("plugin.slow", plugin=at_work[0], fix=f"if it hangs: --disable-plugin {at_work[0]}")
        if end_after is not None and not done.wait(end_after):
            log.error("plugin.close_blocked", plugin=at_work[0], fix="tell its author; the process ends without it")
            sys.stdout.flush()
            os._exit(1)

    timer = Timer(_SLOW_SECONDS if seconds is None else seconds, warn)
    timer.daemon = True
    timer.start()
    try:
        yield at_work
    finally:
        done.set()
        timer.cancel()


def settings_model(plugin: Plugin, registrations: Sequence[Registration[Any]]) -> Any:
    """The settings model that the plugin's specs name, None without one. Raises `PluginError` when they disagree."""
    models = [item.spec.settings for item in registrations if item.spec.settings is not None]
    if any(model != models[0] for model in models):
        raise plugin.problem(
            "its specs name different settings models", fix="a plugin has one table, so name one model"
        )
    return models[0] if models else None


def _load(plugin: Plugin) -> Plugin:
    started = time.perf_counter()
    try:
        registrations = _collect(plugin, _implementations(plugin))
    except PluginError as error:
        loaded = plugin.with_failure(error)
    else:
        loaded = replace(plugin, state="active", registrations=registrations)
    return replace(loaded, load_ms=(time.perf_counter() - started) * 1000)


def _implementations(plugin: Plugin) -> Implementations:
    """Import the plugin and find its hooks. Raises `PluginError`, whatever the plugin does."""
    module = plugin.module if plugin.module is not None else _import(plugin)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    try:
        manager.register(module, name=plugin.id)
    except (Exception, SystemExit) as error:
        raise _registration_error(plugin, error) from error
    found = dict(_hooks(plugin, manager, module))
    if not found:
        raise plugin.problem(
            f"'{plugin.target}' implements no hook",
            fix=f"mark a function with @hookimpl; the hooks are {', '.join(HOOK_NAMES)}",
        )
    return {name: found[name] for name in HOOK_NAMES if name in found}


def _import(plugin: Plugin) -> object:
    try:
        module: object = EntryPoint(plugin.id, plugin.target, ENTRY_POINT_GROUP).load()
    except (Exception, SystemExit) as error:
        raise import_error(plugin, plugin.target.partition(":")[0].strip(), error) from error
    return module


def _registration_error(plugin: Plugin, error: BaseException) -> PluginError:
    if isinstance(error, pluggy.PluginValidationError):
        # pluggy's text: the hook, how it was written, which arguments the specification lacks
        text = " ".join(str(error).split())
        return plugin.problem(f"a hook is written wrongly: {text}", fix="see docs/plugins.md for its signature")
    return plugin.problem(f"its hooks cannot be read: {type(error).__name__}: {error}")


def _hooks(plugin: Plugin, manager: pluggy.PluginManager, module: object) -> list[tuple[str, Callable[[], Any]]]:
    found = []
    for caller in manager.get_hookcallers(module) or ():
        for implementation in caller.get_hookimpls():
            if not caller.has_spec():
                # pluggy accepts any name until it is called; checked here, where the plugin is known
                if implementation.optionalhook:
                    continue
                raise plugin.problem(
                    f"there is no hook '{caller.name}'",
                    fix=f"{suggest(caller.name, HOOK_NAMES)} mark it optionalhook=True if another version has it",
                )
            if implementation.wrapper or implementation.hookwrapper:
                raise plugin.problem(
                    f"'{caller.name}' is a wrapper; hooks that register cannot be wrapped", fix="return a list"
                )
            found.append((caller.name, implementation.function))
    return found


def _collect(plugin: Plugin, implementations: Implementations) -> tuple[Registration[Any], ...]:
    """What the plugin registers. All or nothing: raises `PluginError` when any part of it is wrong."""
    registrations: dict[tuple[str, str], Registration[Any]] = {}
    for hook, function in implementations.items():
        role = ROLE_OF_HOOK[hook]
        for spec in _call(plugin, hook, function, role):
            _check_spec(plugin, role, spec)
            registration = Registration(role, role.key(plugin.id, spec.name), plugin.id, spec)
            key = (role.name, registration.name)
            if key in registrations:
                raise plugin.problem(f"it registers '{registration.title}' twice", fix="name each differently")
            registrations[key] = registration
    settings_model(plugin, tuple(registrations.values()))
    return tuple(registrations.values())


def _call(plugin: Plugin, hook: str, function: Callable[[], Any], role: Role[Any]) -> Sequence[Spec[Any]]:
    try:
        result: Any = function()
    except (Exception, SystemExit) as error:
        text = f"'{hook}' failed: {type(error).__name__}: {error}"
        raise plugin.problem(text, fix=f"tell the author of {plugin.distribution}") from error
    if inspect.iscoroutine(result):
        result.close()  # otherwise Python warns, much later, that it was never awaited
        raise plugin.problem(f"'{hook}' is async; hooks are synchronous", fix="write 'def', not 'async def'")
    wanted = role.spec.__name__
    if not isinstance(result, (list, tuple)):
        raise plugin.problem(
            f"'{hook}' returned {type(result).__name__}, not a list of {wanted}", fix=f"return [{wanted}(…)]"
        )
    for item in result:
        if not isinstance(item, role.spec):
            raise plugin.problem(
                f"'{hook}' returned a list with {type(item).__name__} in it, not only {wanted}",
                fix=f"return [{wanted}(…)]",
            )
    return result


def _check_spec(plugin: Plugin, role: Role[Any], spec: Spec[Any]) -> None:
    """Check the types in a spec: dataclasses do not, and later is too late."""
    factory: Any = spec.factory
    settings: Any = spec.settings
    abilities: Any = spec.abilities
    wrong = None
    if not (isinstance(factory, str) or callable(factory)):
        wrong = "factory must be a callable or 'module:attribute'"
    elif not (settings is None or isinstance(settings, type) or (isinstance(settings, str) and ":" in settings)):
        wrong = "settings must be a pydantic model or 'module:attribute'"
    elif not _is_text_mapping(spec.requires):
        wrong = "requires must map import names to what to install"
    elif not _is_text_mapping(spec.environment):
        wrong = "environment must map settings keys to names of variables"
    elif not _is_text_mapping(spec.aliases):
        wrong = "aliases must map settings keys to names of variables"
    elif not (isinstance(abilities, tuple) and all(ability in role.abilities for ability in abilities)):
        known = ", ".join(ability.__name__ for ability in role.abilities) or "none"
        wrong = f"abilities must be a tuple of the role's Protocols ({known})"
    if wrong:
        raise plugin.problem(f"'{role.hook}', spec '{spec.name}': {wrong}", fix="correct the spec")


def _is_text_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(part, str) for pair in value.items() for part in pair)


def _reject_shared_names(plugins: Sequence[Plugin]) -> tuple[Plugin, ...]:
    """Mark all plugins that claim a name another one claims too: choosing one would be a guess."""
    claims: dict[str, list[Plugin]] = defaultdict(list)
    for plugin in plugins:
        for registration in plugin.registrations if plugin.state == "active" else ():
            claims[f"{registration.role.name}:{registration.name}"].append(plugin)
    rejected: dict[str, Plugin] = {}
    for title, claimants in claims.items():
        if len(claimants) > 1:
            message = f"'{title}' is claimed by {' and '.join(plugin.label for plugin in claimants)}"
            for plugin in claimants:
                fix = f"disable one of them, for example: tilores plugins disable {plugin.id}"
                rejected.setdefault(plugin.id, plugin.with_failure(plugin.problem(message, fix=fix), "conflict"))
    return tuple(
        rejected[plugin.id] if plugin.id in rejected and plugin.state == "active" else plugin for plugin in plugins
    )
