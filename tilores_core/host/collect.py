"""Call a plugin's hooks once and check what they hand over."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilores_core.hookspecs import Spec
from tilores_core.host.imports import plugin_error
from tilores_core.host.load import HookImplementation
from tilores_core.host.roles import ROLE_OF_HOOK, Role, RoleName
from tilores_core.host.scan import Discovered


@dataclass(frozen=True, slots=True)
class Registration:
    """A spec, and the plugin it belongs to. `name` is its name within the role."""

    role: RoleName
    name: str
    plugin_id: str
    spec: Spec

    @property
    def title(self) -> str:
        return f"{self.role}:{self.spec.name}"


def collect(found: Discovered, implementations: Sequence[HookImplementation]) -> tuple[Registration, ...]:
    """What the plugin registers. All or nothing: raises `PluginError` when any part of it is wrong."""
    registrations: dict[tuple[str, str], Registration] = {}
    for implementation in implementations:
        role = ROLE_OF_HOOK[implementation.hook]
        for spec in _call(found, implementation, role):
            _check_spec(found, implementation.hook, spec)
            registration = Registration(role.name, role.key(found.id, spec.name), found.id, spec)
            key = (registration.role, registration.name)
            if key in registrations:
                raise plugin_error(found, f"it registers '{registration.title}' twice", fix="name each differently")
            registrations[key] = registration
    settings_model(found, tuple(registrations.values()))
    return tuple(registrations.values())


def settings_model(found: Discovered, registrations: Sequence[Registration]) -> Any:
    """The settings model that the plugin's specs name, None without one. Raises `PluginError` when they disagree."""
    models = [item.spec.settings for item in registrations if item.spec.settings is not None]
    if any(model != models[0] for model in models):
        raise plugin_error(
            found, "its specs name different settings models", fix="a plugin has one table, so name one model"
        )
    return models[0] if models else None


def _call(found: Discovered, implementation: HookImplementation, role: Role) -> Sequence[Spec]:
    hook = implementation.hook
    try:
        result: Any = implementation.function()
    except (Exception, SystemExit) as error:
        text = f"'{hook}' failed: {type(error).__name__}: {error}"
        raise plugin_error(found, text, fix=f"tell the author of {found.distribution}") from error
    if inspect.iscoroutine(result):
        result.close()  # or Python warns, much later, of one never awaited
        raise plugin_error(found, f"'{hook}' is async; hooks are synchronous", fix="write 'def', not 'async def'")
    if not isinstance(result, (list, tuple)):
        raise plugin_error(
            found,
            f"'{hook}' returned {type(result).__name__}, not a list of {role.spec.__name__}",
            fix=f"return [{role.spec.__name__}(…)]",
        )
    for item in result:
        if not isinstance(item, role.spec):
            raise plugin_error(
                found,
                f"'{hook}' returned a list with {type(item).__name__} in it, not only {role.spec.__name__}",
                fix=f"return [{role.spec.__name__}(…)]",
            )
    return result


def _check_spec(found: Discovered, hook: str, spec: Spec) -> None:
    """Types of what a spec holds: dataclasses do not check them, and later is too late."""
    factory: Any = spec.factory
    settings: Any = spec.settings
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
    if wrong:
        raise plugin_error(found, f"'{hook}', spec '{spec.name}': {wrong}", fix="correct the spec")


def _is_text_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(part, str) for pair in value.items() for part in pair)
