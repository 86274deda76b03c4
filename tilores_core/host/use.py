"""Hold `[use]` against what the plugins really offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tilores_core.errors import ConfigError, PluginError, TiloresError
from tilores_core.host.collect import Registration
from tilores_core.host.imports import missing_dependency, module_exists
from tilores_core.host.records import PluginRecord
from tilores_core.host.roles import RoleName
from tilores_core.host.scan import Discovered
from tilores_core.settings import LoadedConfig, UseTable
from tilores_core.settings.nearest import suggest


@dataclass(frozen=True, slots=True)
class Selection:
    """A name that `[use]` gives to a role. Without an `essential` one the program cannot do its work."""

    role: RoleName
    name: str
    key: str
    essential: bool = False


@dataclass(frozen=True, slots=True)
class UseReport:
    """What stops start-up, and what is done without: (role, name) -> reason."""

    problems: tuple[TiloresError, ...]
    switched_off: Mapping[tuple[RoleName, str], str]


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
    ]
    found += [Selection(role, name, f"use.{role}") for role, name in one_name if name is not None]
    found += [Selection("tracers", name, f"use.tracers[{i}]") for i, name in enumerate(use.tracers)]
    found += [Selection("alerts", name, f"use.alerts[{i}]") for i, name in enumerate(use.alerts)]
    return found


@dataclass(frozen=True, slots=True)
class UseCheck:
    """`registrations`: those of active plugins, by role and name."""

    loaded: LoadedConfig
    records: Sequence[PluginRecord]
    registrations: Mapping[tuple[str, str], Registration]
    found: Mapping[str, Discovered]

    def run(self) -> UseReport:
        problems: list[TiloresError] = [*self._malformed()]
        switched_off: dict[tuple[RoleName, str], str] = {}
        seen: set[tuple[str, str]] = set()
        for selection in selections(self.loaded.config.use):
            error, required = self._try(selection)
            if error is None:
                continue
            if isinstance(error, ConfigError) or selection.essential or required:
                if (selection.role, selection.name) not in seen:
                    problems.append(error)
            else:
                switched_off.setdefault((selection.role, selection.name), str(error))
            seen.add((selection.role, selection.name))
        return UseReport(tuple(problems), switched_off)

    def _malformed(self) -> list[ConfigError]:
        use = self.loaded.config.use
        problems = []
        for key, names in {"cache": use.cache, "tracers": use.tracers, "alerts": use.alerts}.items():
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                problems.append(self._error(f"use.{key}", f"'{twice[0]}' is there twice", "name each once"))
        for key, model in [
            ("use.model", use.model),
            *((f"use.fallbacks[{i}]", m) for i, m in enumerate(use.fallbacks)),
        ]:
            provider, colon, name = model.partition(":")
            if not provider or (colon and not name):
                problems.append(self._error(key, "this is no model name", "write it as 'provider:model'"))
        if provider_of(use.model) is None and not self._names("llm"):
            problems.append(self._error("use.model", "no active plugin provides models", "tilores plugins list"))
        return problems

    def _try(self, selection: Selection) -> tuple[TiloresError | None, bool]:
        """What is wrong with the selection, and whether its plugin is `required`."""
        registration = self.registrations.get((selection.role, selection.name))
        if registration is not None:
            record = next(item for item in self.records if item.id == registration.plugin_id)
            return self._missing_library(selection, registration), record.required
        candidates = self._candidates(selection)
        if candidates:
            return self._not_active(selection, candidates), any(record.required for record in candidates)
        if not selection.name:
            return None, False  # reported as malformed
        names = self._names(selection.role)
        return self._error(
            selection.key,
            f"there is no {selection.role} '{selection.name}'; {suggest(selection.name, names)}",
            "correct the name, or install the plugin that provides it (tilores plugins list)",
        ), False

    def _missing_library(self, selection: Selection, registration: Registration) -> PluginError | None:
        for module, install in registration.spec.requires.items():
            if not module_exists(module):
                error = missing_dependency(self.found[registration.plugin_id], module, install)
                return type(error)(
                    f"{self.loaded.path}: {selection.key} names '{selection.name}', "
                    f"which needs '{module}', and that is not installed",
                    plugin=error.plugin,
                    distribution=error.distribution,
                    version=error.version,
                    fix=error.fix,
                )
        return None

    def _candidates(self, selection: Selection) -> list[PluginRecord]:
        """Plugins that are not active and would provide the name: known once hooks ran, else guessed by id."""
        idle = [record for record in self.records if record.state != "active"]
        sure = [record for record in idle if f"{selection.role}:{selection.name}" in record.provides]
        if sure or not selection.name:
            return sure
        return [r for r in idle if r.id == selection.name or r.id.startswith(f"{selection.name}-")]

    def _not_active(self, selection: Selection, candidates: Sequence[PluginRecord]) -> PluginError:
        first = candidates[0]
        others = "".join(f"; so is {other.label}: {other.state}: {other.reason}" for other in candidates[1:])
        if first.state == "disabled":
            mend = f"tilores plugins enable {first.id}, or take '{selection.name}' out of {selection.key}"
        else:
            mend = first.fix or f"tilores plugins show {first.id} --traceback"
        error = PluginError(
            f"{self.loaded.path}: {selection.key} names '{selection.name}', "
            f"but this plugin is not active: {first.state}: {first.reason}{others}",
            plugin=first.id,
            distribution=first.distribution,
            version=first.version,
            fix=mend,
        )
        error.__cause__ = first.error
        return error

    def _names(self, role: str) -> list[str]:
        return [name for kind, name in self.registrations if kind == role]

    def _error(self, key: str, message: str, fix: str) -> ConfigError:
        return ConfigError(message, where=f"{self.loaded.path}: {key}", fix=fix)
