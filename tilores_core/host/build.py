"""Import what a plugin names, call its factories, and tell apart what can go wrong with both."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Collection
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tilores_core.contracts import PluginContext
from tilores_core.errors import ConfigError, MissingDependencyError, PluginError
from tilores_core.host.plugin import Plugin
from tilores_core.host.roles import Registration, methods_of
from tilores_core.settings.references import redact

T = TypeVar("T")


def module_exists(name: str) -> bool:
    """Whether `import name` would find something. Imports at most the parents of a dotted name."""
    parent, _, _ = name.rpartition(".")
    try:
        return (not parent or module_exists(parent)) and find_spec(name) is not None
    except (ImportError, AttributeError, ValueError):
        return False


def import_attribute(plugin: Plugin, path: str) -> Any:
    """What `module:attribute` names. Raises `PluginError`, its cause chained."""
    module_name, _, attribute = path.partition(":")
    try:
        value: Any = import_module(module_name)
    except (Exception, SystemExit) as error:
        raise import_error(plugin, module_name, error) from error
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError as error:
            raise plugin.problem(f"'{path}': module has no '{attribute}'", fix="correct the name") from error
    return value


def import_error(plugin: Plugin, target: str, error: BaseException) -> PluginError:
    """Why importing the module `target` for the plugin failed."""
    if isinstance(error, SystemExit):
        return plugin.problem("it ended the program while it was imported (SystemExit)", fix=_report(plugin))
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        cause = f"{type(error).__name__}: {error}"
        return plugin.problem(f"importing '{target}' failed: {cause}", fix=_report(plugin))
    if error.name.partition(".")[0] == plugin.target.partition(":")[0].partition(".")[0].strip():
        mend = f"pip install --force-reinstall --no-deps {plugin.distribution}"
        return plugin.problem(f"its own module '{error.name}' is missing", fix=mend)
    return _missing_module(plugin, error.name)


def missing_dependency(plugin: Plugin, module: str, install: str) -> MissingDependencyError:
    """A library is not installed; `install` is what to give to pip."""
    return plugin.missing(f"missing dependency '{module}'", fix=f"pip install '{install}'")


def _missing_module(plugin: Plugin, module: str) -> MissingDependencyError:
    top = module.partition(".")[0]
    install = _provider_of(plugin, top)
    if top == module or not module_exists(top):
        return missing_dependency(plugin, module, install or top)
    # The library is there but has no such part: installing it again would change nothing, another version might.
    return plugin.missing(
        f"the installed '{top}' has no '{module}'; another version of it is needed",
        fix=f"pip install --upgrade '{install or top}'",
    )


def _provider_of(plugin: Plugin, module: str) -> str | None:
    """What pip has to install for `module`, as far as the metadata of the plugin's distribution tells."""
    for line in plugin.requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) != canonicalize_name(module):
            continue
        extra = _extra_of(requirement)
        return f"{plugin.distribution}[{extra}]" if extra else f"{requirement.name}{requirement.specifier}"
    return None


def _extra_of(requirement: Requirement) -> str | None:
    """The extra that a requirement belongs to: its marker says `extra == "name"`."""
    _, found, rest = str(requirement.marker or "").partition("extra == ")
    return rest.split('"')[1] if found and rest.count('"') >= 2 else None


def _report(plugin: Plugin) -> str:
    return f"report it to the author of {plugin.distribution}, or: tilores plugins disable {plugin.id}"


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
