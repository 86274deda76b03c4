"""One plugin's table in plugins.toml, validated by the plugin's settings model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from tilores_core.errors import ConfigError
from tilores_core.host.build import import_attribute
from tilores_core.host.load import settings_model
from tilores_core.host.plan import HOST_KEYS
from tilores_core.host.plugin import Plugin
from tilores_core.settings import LoadedConfig
from tilores_core.settings.loader import config_error, describe_problem, field_names, table_model
from tilores_core.settings.nearest import suggest
from tilores_core.settings.references import Resolved, redact, resolve_references

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


_ADDRESS = re.compile(r"(url|uri|host|endpoint|address)s?\b", re.IGNORECASE)
_SECRET = re.compile(r"KEY|TOKEN$|SECRET|PASSWORD", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """The validated model (None for a plugin without one) and the values that messages must not contain."""

    model: BaseModel | None
    secrets: frozenset[str] = frozenset()


def own_keys(loaded: LoadedConfig, plugin: str) -> dict[str, Any]:
    """The plugin's table without the host's keys."""
    return {key: value for key, value in loaded.config.plugins.get(plugin, {}).items() if key not in HOST_KEYS}


def load_settings(plugin: Plugin, loaded: LoadedConfig, variables: Mapping[str, str]) -> PluginSettings:
    """Resolve, fill and validate the plugin's table.

    Raises `ConfigError` for what the operator wrote, `PluginError` when the settings model itself cannot be used.
    """
    model = settings_class(plugin)
    own = own_keys(loaded, plugin.id)
    if model is None:
        if own:
            raise _no_settings(plugin, own, loaded)
        return PluginSettings(None)
    resolved = resolve_references(own, plugin=plugin.id, path=loaded.path, variables=variables)
    filled, origins = _fill(plugin, model, resolved, variables)
    try:
        return PluginSettings(model.model_validate(filled.values), filled.secrets)
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
        problems = [_problem(plugin.id, item, model, origins, filled.secrets) for item in details]
    raise config_error(str(loaded.path), problems)


def addresses_from_file(plugin: Plugin, loaded: LoadedConfig, variables: Mapping[str, str]) -> list[str]:
    """Warnings of addresses that `.env` of the working folder gives while the key for them is the environment's own.

    A folder of someone else could have the key sent to any address in this way.
    """
    from_file: frozenset[str] = getattr(variables, "from_file", frozenset())
    named = [
        (key, variable)
        for registration in plugin.registrations
        for key, variable in (*registration.spec.environment.items(), *registration.spec.aliases.items())
    ]
    named += [
        (key, str(value["env"]))
        for key, value in own_keys(loaded, plugin.id).items()
        if isinstance(value, Mapping) and "env" in value
    ]
    addresses = {name for key, name in named if name in from_file and _ADDRESS.search(f"{key} {name}")}
    own = {name for key, name in named if variables.get(name) and name not in from_file}
    keys = ", ".join(sorted(name for name in own if _SECRET.search(name)))
    return [
        f"plugin '{plugin.id}' sends {keys} of the environment to the address that {address} gives in .env of the "
        "working folder; if that is right, put both in one place"
        for address in sorted(addresses)
        if keys
    ]


def settings_class(plugin: Plugin) -> type[BaseModel] | None:
    """The settings model that the plugin's specs name, imported. Raises `PluginError`."""
    named = settings_model(plugin, plugin.registrations)
    if named is None:
        return None
    model = import_attribute(plugin, named) if isinstance(named, str) else named
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise plugin.problem(f"its settings model {named!r} is not a pydantic model", fix="correct the spec")
    if model.model_config.get("extra") != "forbid":
        raise plugin.problem(
            f"its settings model {model.__name__} takes unknown keys, so that misspelt ones would be ignored",
            fix='give it model_config = ConfigDict(extra="forbid")',
        )
    return model


def _fill(
    plugin: Plugin, model: type[BaseModel], resolved: Resolved, variables: Mapping[str, str]
) -> tuple[Resolved, dict[str, str]]:
    """Keys that the table lacks, from the variables the specs name; and which variable filled which key."""
    values, secrets, origins = dict(resolved.values), set(resolved.secrets), {}
    for registration in plugin.registrations:
        spec = registration.spec
        for key, variable in (*spec.environment.items(), *spec.aliases.items()):
            if key not in field_names(model):
                raise plugin.problem(
                    f"its spec fills '{key}' from {variable}, but {model.__name__} has no such field",
                    fix=suggest(key, field_names(model)),
                )
            value = variables.get(variable)
            if key not in values and value:
                values[key] = value
                origins[key] = variable
                if len(value) > 4:
                    secrets.add(value)
    return Resolved(values, frozenset(secrets)), origins


def _problem(
    plugin: str, item: ErrorDetails, model: type[BaseModel], origins: Mapping[str, str], secrets: frozenset[str]
) -> tuple[str, str]:
    location = item["loc"]
    table = table_model(model, location[:-1])
    known = field_names(table) if table else []
    if len(location) == 1:
        known = [*known, *HOST_KEYS]
    text = redact(describe_problem(item, known), secrets)
    key = ".".join(("plugins", plugin, *(str(part) for part in location)))
    variable = origins.get(str(location[0])) if location else None
    return key, f"{text} (the value is that of variable {variable})" if variable else text


def _no_settings(plugin: Plugin, own: Mapping[str, Any], loaded: LoadedConfig) -> ConfigError:
    problems = [
        (f"plugins.{plugin.id}.{key}", f"unknown key; the plugin has no settings; {suggest(key, HOST_KEYS)}")
        for key in own
    ]
    return config_error(str(loaded.path), problems)
