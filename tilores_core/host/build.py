"""Call a registration's factory and check the object it returns."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Collection
from importlib import import_module
from typing import Any, TypeVar

from tilores_core.contracts import PluginContext
from tilores_core.errors import ConfigError, PluginError
from tilores_core.host.imports import import_attribute, import_error, missing_dependency, module_exists
from tilores_core.host.plugin import Plugin
from tilores_core.host.roles import Registration, methods_of
from tilores_core.settings.references import redact

T = TypeVar("T")


def build_object(
    plugin: Plugin, registration: Registration[T], context: PluginContext, secrets: Collection[str]
) -> T:
    """The object that the registration's factory makes. Raises `PluginError`, or the factory's own `ConfigError`.

    `secrets` are kept out of the message, and a cause that shows one is not chained.
    """
    for module, install in registration.spec.requires.items():
        if not module_exists(module):
            raise missing_dependency(plugin, module, install)
    factory = registration.spec.factory
    home = factory.partition(":")[0] if isinstance(factory, str) else plugin.target
    call: Any = import_attribute(plugin, factory) if isinstance(factory, str) else factory
    if not callable(call):
        raise plugin.problem(f"'{registration.title}': its factory '{factory}' cannot be called")
    try:
        built: Any = call(context)
    except (ConfigError, PluginError):
        raise
    except (Exception, SystemExit) as error:
        shown = any(secret in "".join(traceback.format_exception(error)) for secret in secrets)
        raise _factory_error(plugin, registration, home, error, secrets) from (None if shown else error)
    if inspect.iscoroutine(built):
        built.close()
        raise plugin.problem(f"'{registration.title}': its factory is async", fix="write 'def', not 'async def'")
    wrong = _mismatch(registration, built)
    if wrong:
        raise plugin.problem(
            f"'{registration.title}': its factory made a {type(built).__name__}, {wrong}",
            fix="see the role's Protocol in tilores_core and its suite in tilores_core.testing",
        )
    checked: T = built
    return checked


def _factory_error(
    plugin: Plugin, registration: Registration[Any], home: str, error: BaseException, secrets: Collection[str]
) -> PluginError:
    if isinstance(error, ModuleNotFoundError):
        return import_error(plugin, home, error)
    cause = redact(f"{type(error).__name__}: {error}", secrets)
    return plugin.problem(
        f"building '{registration.title}' failed: {cause}",
        fix=f"check [plugins.{plugin.id}]; more: tilores plugins show {plugin.id} --traceback",
    )


def _mismatch(registration: Registration[Any], built: object) -> str | None:
    """How the object differs from its role and from what its spec declares; None when it fits.

    After this check `isinstance` with an ability's Protocol says what the spec says.
    """
    role = registration.role
    missing = [name for name in role.methods if not callable(getattr(built, name, None))]
    if missing:
        return f"which lacks {', '.join(missing)}"
    if role.kind is not None:
        module, _, name = role.kind.partition(":")
        if not isinstance(built, getattr(import_module(module), name)):
            return f"not a {module}.{name}"
    for ability in role.abilities:
        methods = methods_of(ability)
        lacking = [name for name in methods if not callable(getattr(built, name, None))]
        if ability in registration.spec.abilities and lacking:
            return f"whose spec declares {ability.__name__}, but which lacks {', '.join(lacking)}"
        if ability not in registration.spec.abilities and not lacking:
            return (
                f"which has {', '.join(methods)}: write abilities=({ability.__name__},) into its spec, or rename them"
            )
    return None
