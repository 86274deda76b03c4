"""Import what a plugin names, and tell apart what can go wrong with it."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tilores_core.errors import MissingDependencyError, PluginError
from tilores_core.host.plugin import Plugin


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
        value: Any = importlib.import_module(module_name)
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
    marker = str(requirement.marker or "")
    _, found, rest = marker.partition("extra == ")
    return rest.split('"')[1] if found and rest.count('"') >= 2 else None


def _report(plugin: Plugin) -> str:
    return f"report it to the author of {plugin.distribution}, or: tilores plugins disable {plugin.id}"
