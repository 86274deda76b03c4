"""Decide, from metadata and configuration alone, what happens to each plugin. Imports none of them.

Precedence, lowest first: `[host] autoload`, the plugin's table, `TILORES_PLUGINS_ONLY` and
`TILORES_PLUGINS_DISABLE`, the command line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Required, TypedDict

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tilores_core.errors import ConfigError
from tilores_core.host.plugin import CORE_DISTRIBUTION, DEFAULT_ORDER, Plugin, State
from tilores_core.settings import LoadedConfig
from tilores_core.settings.nearest import suggest

DISABLE_VARIABLE: Final = "TILORES_PLUGINS_DISABLE"
ONLY_VARIABLE: Final = "TILORES_PLUGINS_ONLY"
HOST_KEYS: Final[Mapping[str, tuple[type, str]]] = {
    "enabled": (bool, "true or false"),
    "order": (int, "a whole number"),
    "required": (bool, "true or false"),
}

_ID = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All plugins in load order, settings that look wrong, and what is wrong enough to stop start-up."""

    plugins: tuple[Plugin, ...]
    warnings: tuple[str, ...]
    problems: tuple[ConfigError, ...]


class Switches(TypedDict, total=False):
    """What switches plugins on and off beside plugins.toml.

    `variables`: what references see. `disable`: ids. `no_plugins`: leave out all that are not built in. `only`: load
    these ids alone, and do not check `[use]`.
    """

    variables: Required[Mapping[str, str]]
    disable: Collection[str]
    no_plugins: bool
    only: Collection[str] | None


def _list_ids(switches: Switches, variable: str) -> frozenset[str]:
    return frozenset(filter(None, (part.strip() for part in switches["variables"].get(variable, "").split(","))))


def make_plan(found: Sequence[Plugin], loaded: LoadedConfig, switches: Switches, *, version: str) -> Plan:
    """The plan for the plugins `found` under `loaded`; `version` is that of the running tilores-core."""
    tables = loaded.config.plugins
    problems = [problem for plugin, table in tables.items() for problem in _check_host_keys(plugin, table, loaded)]
    claims = Counter(plugin.id for plugin in found)
    plugins = []
    for plugin in found:
        table = tables.get(plugin.id, {})
        on, reason = _is_enabled(plugin, table, loaded, switches)
        if not on and table.get("required") is True and switches.get("only") is None:
            problems.append(_disabled_error(plugin, reason, loaded))
        state, reason, fix = _state(plugin, on, reason, found, claims, version)
        order = table.get("order")
        plugins.append(
            replace(
                plugin,
                state=state,
                reason=reason,
                fix=fix,
                order=order if type(order) is int else DEFAULT_ORDER,
                required=table.get("required") is True,
            )
        )
    warnings, missing = _unknown_ids(loaded, switches, frozenset(claims))
    plugins.sort(key=lambda plugin: (plugin.order, plugin.id))
    return Plan(plugins=tuple(plugins), warnings=tuple(warnings), problems=(*problems, *missing))


def _is_enabled(
    found: Plugin, table: Mapping[str, Any], loaded: LoadedConfig, switches: Switches
) -> tuple[bool, str]:
    plugin = found.id
    asked_for = switches.get("only")
    if asked_for is not None and plugin not in asked_for:
        return False, "not asked for"
    if plugin in switches.get("disable", ()):
        return False, "--disable-plugin"
    if switches.get("no_plugins") and not found.builtin:
        return False, "--no-plugins"
    if plugin in _list_ids(switches, DISABLE_VARIABLE):
        return False, DISABLE_VARIABLE
    if only := _list_ids(switches, ONLY_VARIABLE):
        return plugin in only, ONLY_VARIABLE
    if isinstance(table.get("enabled"), bool):
        return table["enabled"], str(loaded.path)
    autoload = loaded.config.host.autoload
    return autoload == "all" or (autoload == "builtin" and found.builtin), f'autoload = "{autoload}"'


def _state(
    found: Plugin, on: bool, reason: str, plugins: Sequence[Plugin], claims: Counter[str], version: str
) -> tuple[State, str, str]:
    if not on:
        return "disabled", reason, ""
    if not _ID.fullmatch(found.id):
        return "failed", "its id may have lower case letters, digits and hyphens only", "tell its author"
    if claims[found.id] > 1:
        claimants = [f"{other.distribution} {other.version}" for other in plugins if other.id == found.id]
        mend = f"pip uninstall one of them, or disable the id: tilores plugins disable {found.id}"
        return "conflict", f"claimed by {' and '.join(claimants)}", mend
    wanted = _unmet_requirement(found, version)
    if wanted:
        mend = f"pip install --upgrade {found.distribution} {CORE_DISTRIBUTION}"
        return "incompatible", f"it needs {wanted}, this is {CORE_DISTRIBUTION} {version}", mend
    return "enabled", "", ""


def _unmet_requirement(found: Plugin, version: str) -> str | None:
    """The plugin's requirement of the core that the running version does not meet; environments drift."""
    if found.builtin:
        return None
    for line in found.requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # an installer refuses such a distribution anyway
        if canonicalize_name(requirement.name) != CORE_DISTRIBUTION:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            return f"{CORE_DISTRIBUTION}{requirement.specifier}"
    return None


def _check_host_keys(plugin: str, table: Mapping[str, Any], loaded: LoadedConfig) -> list[ConfigError]:
    return [
        ConfigError(
            f"this must be {wanted}",
            where=f"{loaded.path}: plugins.{plugin}.{key}",
            fix=f"correct '{key}'; enabled, order and required are the host's keys in every plugin's table",
        )
        for key, (kind, wanted) in HOST_KEYS.items()
        if key in table and type(table[key]) is not kind
    ]


def _disabled_error(found: Plugin, reason: str, loaded: LoadedConfig) -> ConfigError:
    return ConfigError(
        f"plugin '{found.id}' ({found.distribution} {found.version}) is required and disabled ({reason})",
        where=f"{loaded.path}: plugins.{found.id}.required",
        fix=f"tilores plugins enable {found.id}, or remove 'required'",
    )


def _unknown_ids(
    loaded: LoadedConfig, switches: Switches, installed: frozenset[str]
) -> tuple[list[str], list[ConfigError]]:
    warnings, problems = [], []
    for plugin, table in loaded.config.plugins.items():
        if plugin in installed:
            continue
        where = f"{loaded.path}: plugins.{plugin}"
        text = f"no plugin '{plugin}' is installed; {suggest(plugin, installed)}"
        if table.get("required") is True:
            problems.append(ConfigError(f"required, but {text}", where=where, fix="install it, or correct the id"))
        else:
            warnings.append(f"{where}: {text}")
    mentioned = {name: _list_ids(switches, name) for name in (DISABLE_VARIABLE, ONLY_VARIABLE)}
    for origin, ids in (mentioned | {"--disable-plugin": frozenset(switches.get("disable", ()))}).items():
        warnings.extend(
            f"{origin}: no plugin '{plugin}' is installed; {suggest(plugin, installed)}"
            for plugin in sorted(ids - installed)
        )
    return warnings, problems
