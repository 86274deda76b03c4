"""Check `[use]` against what the plugins offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilores_core.errors import ConfigError, PluginError, TiloresError
from tilores_core.host.build import missing_dependency, module_exists
from tilores_core.host.plugin import Plugin
from tilores_core.host.roles import Registration, RoleName
from tilores_core.settings import LoadedConfig, UseTable
from tilores_core.settings.nearest import suggest

_ONE_OF = {"cache": "cache tier", "llm": "model provider", "tracers": "tracer", "alerts": "alert channel"}


@dataclass(frozen=True, slots=True)
class Selection:
    """A name that `[use]` gives to a role. Without an `essential` one the program cannot do its work."""

    role: RoleName
    name: str
    key: str
    essential: bool = False


def provider_of(model: str) -> str | None:
    """The provider in `provider:model`, split at the first colon; None for a bare model name."""
    provider, colon, _ = model.partition(":")
    return provider if colon else None


def selections(use: UseTable) -> list[Selection]:
    """Everything `[use]` names, but bare model names: those need a provider's list."""
    found = [Selection("cache", name, f"use.cache[{i}]", essential=i == 0) for i, name in enumerate(use.cache)]
    found.append(Selection("source", use.source, "use.source", essential=True))
    models = [("use.model", use.model, True)]
    models += [(f"use.fallbacks[{i}]", name, False) for i, name in enumerate(use.fallbacks)]
    found += [
        Selection("llm", provider, key, essential)
        for key, model, essential in models
        if (provider := provider_of(model)) is not None
    ]
    one_name: list[tuple[RoleName, str | None]] = [
        ("optimizer", use.optimizer),
        ("deploy", use.deploy),
        ("executor", use.executor),
        ("extractor", use.extractor),
    ]
    found += [Selection(role, name, f"use.{role}") for role, name in one_name if name is not None]
    found += [Selection("tracers", name, f"use.tracers[{i}]") for i, name in enumerate(use.tracers)]
    found += [Selection("alerts", name, f"use.alerts[{i}]") for i, name in enumerate(use.alerts)]
    return found


@dataclass(frozen=True, slots=True)
class UseCheck:
    """Checks the names in `[use]` against what active plugins register.

    `registrations`: those of active plugins, by role and name.
    """

    loaded: LoadedConfig
    plugins: Sequence[Plugin]
    registrations: Mapping[tuple[str, str], Registration[Any]]

    def run(self) -> tuple[list[TiloresError], dict[str, str]]:
        """What stops start-up, and what is disabled: role/name -> reason."""
        problems: list[TiloresError] = [*self._find_malformed()]
        disabled: dict[str, str] = {}
        seen: set[str] = set()
        for selection in selections(self.loaded.config.use):
            error, required = self._try(selection)
            if error is None:
                continue
            title = f"{selection.role}/{selection.name}"
            if isinstance(error, ConfigError) or selection.essential or required:
                if title not in seen:
                    problems.append(error)
            else:
                disabled.setdefault(title, str(error))
            seen.add(title)
        return problems, disabled

    def _find_malformed(self) -> list[ConfigError]:
        use = self.loaded.config.use
        problems = []
        for key, names in {"cache": use.cache, "tracers": use.tracers, "alerts": use.alerts}.items():
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                problems.append(self._error(f"use.{key}", f"'{twice[0]}' is listed twice", "name each once"))
        for key, model in [
            ("use.model", use.model),
            *((f"use.fallbacks[{i}]", m) for i, m in enumerate(use.fallbacks)),
        ]:
            provider, colon, name = model.partition(":")
            if not provider or (colon and not name):
                problems.append(self._error(key, "this is not a model name", "write it as 'provider:model'"))
        if provider_of(use.model) is None and not self._names("llm"):
            problems.append(self._error("use.model", "no active plugin provides models", "tilores plugins list"))
        return problems

    def _try(self, selection: Selection) -> tuple[TiloresError | None, bool]:
        """What is wrong with the selection, and whether its plugin is `required`."""
        registration = self.registrations.get((selection.role, selection.name))
        if registration is not None:
            plugin = next(item for item in self.plugins if item.id == registration.plugin_id)
            return self._missing_library(selection, plugin, registration), plugin.required
        candidates = self._candidates(selection)
        if candidates:
            return self._not_active(selection, candidates), any(plugin.required for plugin in candidates)
        if not selection.name:
            return None, False  # reported as malformed
        kind = _ONE_OF.get(selection.role, selection.role)
        return self._error(
            selection.key,
            f"there is no {kind} '{selection.name}'; {suggest(selection.name, self._names(selection.role))}",
            "correct the name, or install the plugin that provides it (tilores plugins list)",
        ), False

    def _missing_library(
        self, selection: Selection, plugin: Plugin, registration: Registration[Any]
    ) -> PluginError | None:
        for module, install in registration.spec.requires.items():
            if not module_exists(module):
                return plugin.missing(
                    f"{self.loaded.path}: {selection.key} names '{selection.name}', "
                    f"which needs '{module}', and that is not installed",
                    fix=missing_dependency(plugin, module, install).fix or "",
                )
        return None

    def _candidates(self, selection: Selection) -> list[Plugin]:
        """Plugins that are not active and would provide the name: known once hooks ran, else guessed by id."""
        idle = [plugin for plugin in self.plugins if plugin.state != "active"]
        sure = [plugin for plugin in idle if f"{selection.role}:{selection.name}" in plugin.provides]
        if sure or not selection.name:
            return sure
        return [r for r in idle if r.id == selection.name or r.id.startswith(f"{selection.name}-")]

    def _not_active(self, selection: Selection, candidates: Sequence[Plugin]) -> PluginError:
        first = candidates[0]
        others = "".join(f"; so is {other.label}: {other.state}: {other.reason}" for other in candidates[1:])
        if first.state == "disabled":
            mend = f"tilores plugins enable {first.id}, or remove '{selection.name}' from {selection.key}"
        else:
            mend = first.fix or f"tilores plugins show {first.id} --traceback"
        error = first.problem(
            f"{self.loaded.path}: {selection.key} names '{selection.name}', "
            f"but this plugin is not active: {first.state}: {first.reason}{others}",
            fix=mend,
        )
        error.__cause__ = first.error
        return error

    def _names(self, role: str) -> list[str]:
        return [name for kind, name in self.registrations if kind == role]

    def _error(self, key: str, message: str, fix: str) -> ConfigError:
        return ConfigError(message, where=f"{self.loaded.path}: {key}", fix=fix)
