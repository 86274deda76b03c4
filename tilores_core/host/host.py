"""The plugin host: an ordinary object that knows every plugin, builds what is used and closes it again."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Final

from tilores_core import __version__
from tilores_core.contracts import PluginContext
from tilores_core.errors import ConfigError, MissingDependencyError, PluginError, TiloresError
from tilores_core.host.assemble import Loaded, assemble, failed
from tilores_core.host.build import build_object
from tilores_core.host.collect import Registration
from tilores_core.host.plan import Plan, Switches, make_plan
from tilores_core.host.records import PluginRecord
from tilores_core.host.roles import RoleName
from tilores_core.host.scan import Discovered, scan, sort_discovered
from tilores_core.host.tables import PluginSettings, load_settings, own_keys
from tilores_core.host.use import UseCheck, provider_of, selections
from tilores_core.settings import Config, LoadedConfig

CLOSE_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class PluginHost:
    """Use `start` for a program that needs its plugins, `examine` for one that wants to tell what is wrong.

    `problems` is what stops start-up, empty after `start`; `warnings` what is worth saying and goes on: `oddities`
    (ids that plugins.toml or a variable names and nobody has), plugins with problems, and what is switched off.
    """

    def __init__(
        self, loaded: LoadedConfig, plugins: Sequence[Loaded], *, variables: Mapping[str, str], data_dir: Path
    ) -> None:
        self.loaded = loaded
        self.data_dir = data_dir
        self.problems: tuple[TiloresError, ...] = ()
        self.oddities: tuple[str, ...] = ()
        self._variables = variables
        self._plugins = list(plugins)
        self._warnings: list[str] = []
        self._switched_off: dict[str, str] = {}
        self._idle_providers: dict[str, str] = {}
        self._live = {item.record.id: item for item in plugins if item.record.state == "active"}
        self._settings: dict[str, PluginSettings] = {}
        self._built: list[tuple[Registration, object]] = []

    @classmethod
    def start(
        cls,
        loaded: LoadedConfig,
        *,
        variables: Mapping[str, str],
        data_dir: Path,
        disable: Collection[str] = (),
        no_plugins: bool = False,
        only: Collection[str] | None = None,
        check_use: bool = True,
        discovered: Sequence[Discovered] | None = None,
    ) -> PluginHost:
        """Scan, plan, load, collect, check. Builds nothing yet.

        `variables`: what references see. `disable`: ids. `no_plugins`: leave out all that are not built in.
        `only`: load these ids alone, and do not look at `[use]`, nor without `check_use`. `discovered`: instead of
        scanning the environment.
        Raises the first `ConfigError` or `PluginError` of those that stop start-up.
        """
        host = cls.examine(
            loaded,
            variables=variables,
            data_dir=data_dir,
            disable=disable,
            no_plugins=no_plugins,
            only=only,
            check_use=check_use,
            discovered=discovered,
        )
        if host.problems:
            first, others = host.problems[0], len(host.problems) - 1
            if others:
                first.fix = f"{first.fix or ''} ({others} more: tilores plugins check)".strip()
            raise first
        return host

    @classmethod
    def examine(
        cls,
        loaded: LoadedConfig,
        *,
        variables: Mapping[str, str],
        data_dir: Path,
        disable: Collection[str] = (),
        no_plugins: bool = False,
        only: Collection[str] | None = None,
        check_use: bool = True,
        discovered: Sequence[Discovered] | None = None,
    ) -> PluginHost:
        """As `start`, but what would stop it is in `problems` of the host returned."""
        switches = Switches.read(variables, disable=disable, only=only, no_plugins=no_plugins)
        found = scan() if discovered is None else sort_discovered(discovered)
        plan = make_plan(found, loaded, switches, version=__version__)
        host = cls(loaded, assemble(plan), variables=variables, data_dir=data_dir)
        host._check(plan, use=check_use and only is None)
        return host

    # --- what there is -----------------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        return self.loaded.config

    @property
    def records(self) -> tuple[PluginRecord, ...]:
        """One per installed plugin, in load order; two where two distributions claim one id."""
        return tuple(item.record for item in self._plugins)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._warnings)

    @property
    def switched_off(self) -> Mapping[str, str]:
        """What `[use]` names and is done without here: `role/name` -> why."""
        return dict(self._switched_off)

    @property
    def idle_providers(self) -> Mapping[str, str]:
        """Model providers that `[use]` does not name and whose library is not installed: name -> how to get it.

        Nothing is wrong with that: few machines need them all.
        """
        return dict(self._idle_providers)

    def names(self, role: RoleName) -> tuple[str, ...]:
        """Names that active plugins registered for `role`, in load order."""
        return tuple(name for kind, name in self._index() if kind == role)

    def used(self, role: RoleName) -> tuple[str, ...]:
        """Names that fill `role` here: what `[use]` says less what is switched off.

        All registered ones for model providers, routers, commands and health checks, which `[use]` does not choose.
        """
        if role in {"llm", "routers", "commands", "health"}:
            chosen = self.names(role)
        else:
            chosen = tuple(item.name for item in selections(self.config.use) if item.role == role)
        return tuple(name for name in chosen if f"{role}/{name}" not in self._switched_off)

    def registration(self, role: RoleName, name: str) -> Registration:
        """The spec registered as `name` for `role`, with its plugin's id. Raises `ConfigError`."""
        try:
            return self._index()[role, name]
        except KeyError:
            known = ", ".join(self.names(role)) or "none"
            raise ConfigError(f"no active plugin provides {role} '{name}'", fix=f"known: {known}") from None

    def settings(self, plugin: str) -> PluginSettings:
        """The validated settings of an active plugin. Raises `ConfigError`, `PluginError`."""
        if plugin not in self._settings:
            item = self._live[plugin]
            self._settings[plugin] = load_settings(item.found, item.registrations, self.loaded, self._variables)
        return self._settings[plugin]

    def loaded_plugin(self, plugin: str) -> Loaded | None:
        """An active plugin's discovery, record and registrations; None when it is not active."""
        return self._live.get(plugin)

    # --- building and closing ----------------------------------------------------------------------------

    def build(self, role: RoleName, name: str) -> object:
        """A new object of the registration's factory, closed by `aclose`. Import and factory run now.

        Raises `PluginError` (also when the object lacks a method of the role's Protocol) or `ConfigError`.
        """
        registration = self.registration(role, name)
        plugin = registration.plugin_id
        found = self._live[plugin].found
        try:
            settings = self.settings(plugin)
            context = PluginContext(plugin_id=plugin, settings=settings.model, data_dir=self.data_dir)
            built = build_object(found, registration, context, settings.secrets)
        except PluginError as error:
            self._note(plugin, error)
            raise
        self._built.append((registration, built))
        return built

    def build_used(self, role: RoleName) -> dict[str, object]:
        """Everything `used(role)` names, by name, in order.

        What cannot be built and is not essential is switched off, with a warning, unless its plugin is `required`
        or `[host] strict` is set; otherwise its `PluginError` is raised. A `ConfigError` is always raised. See also
        `idle_providers`.
        """
        built = {}
        for name in self.used(role):
            try:
                built[name] = self.build(role, name)
            except PluginError as error:
                if role == "llm" and isinstance(error, MissingDependencyError) and not self._is_named(name):
                    self._idle_providers[name] = error.fix or error.message
                    continue
                if self._is_essential(role, name) or self.config.host.strict or self._is_required(error.plugin):
                    raise
                self.switch_off(role, name, str(error))
        return built

    def switch_off(self, role: RoleName, name: str, reason: str) -> None:
        """Do without `name` from now on, and say so in `switched_off` and `warnings`."""
        self._switched_off[f"{role}/{name}"] = reason
        self._warnings.append(f"{role} '{name}' is switched off: {reason}")

    async def aclose(self) -> None:
        """Close what was built, last first; each on its own and for at most five seconds. Never raises."""
        while self._built:
            registration, built = self._built.pop()
            try:
                await _close(built)
            except Exception as error:
                # the type alone: the text of a driver's error may quote an address with its password
                _log.warning(
                    "closing %s of plugin %s failed: %s",
                    registration.title,
                    registration.plugin_id,
                    type(error).__name__,
                )

    # --- checks at start ---------------------------------------------------------------------------------

    def _check(self, plan: Plan, *, use: bool) -> None:
        problems: list[TiloresError] = [*plan.problems, *self._check_tables(use=use)]
        self.oddities = plan.warnings
        self._warnings.extend(plan.warnings)
        switched_off: Mapping[tuple[RoleName, str], str] = {}
        if use:
            report = UseCheck(
                self.loaded,
                self.records,
                self._index(),
                {plugin: item.found for plugin, item in self._live.items()},
            ).run()
            problems.extend(report.problems)
            switched_off = report.switched_off
        blamed = {problem.plugin for problem in problems if isinstance(problem, PluginError)}
        problems.extend(
            _required_error(record)
            for record in self.records
            if record.required and record.is_problem and record.id not in blamed
        )
        self._warnings.extend(record.describe_problem() for record in self.records if record.is_problem)
        for (role, name), reason in switched_off.items():
            self.switch_off(role, name, reason)
        if self.config.host.strict:
            problems.extend(
                ConfigError(f"strict = true: {text}", where=str(self.loaded.path)) for text in self._warnings
            )
        self.problems = tuple(problems)

    def _check_tables(self, *, use: bool) -> list[ConfigError]:
        """Validate the tables that say something, and those of plugins in use, whose keys may be needed."""
        chosen = {(item.role, item.name) for item in selections(self.config.use)} if use else set()
        problems = []
        for plugin, item in list(self._live.items()):
            in_use = any((one.role, one.name) in chosen for one in item.registrations)
            if not (in_use or own_keys(self.loaded, plugin)):
                continue
            try:
                self.settings(plugin)
            except ConfigError as error:
                problems.append(error)
            except PluginError as error:
                self._note(plugin, error)
                del self._live[plugin]
        return problems

    def _note(self, plugin: str, error: PluginError) -> None:
        """Write a failure into the plugin's record. What else the plugin registered can still be built."""
        self._plugins = [
            replace(item, record=failed(item.record, error)) if item.record.id == plugin else item
            for item in self._plugins
        ]

    def _index(self) -> dict[tuple[str, str], Registration]:
        return {(one.role, one.name): one for item in self._live.values() for one in item.registrations}

    def _is_required(self, plugin: str) -> bool:
        return any(record.required for record in self.records if record.id == plugin)

    def _is_named(self, provider: str) -> bool:
        use = self.config.use
        named = {provider_of(model) for model in (use.model, *use.fallbacks)}
        return provider in named or self._is_required(self.registration("llm", provider).plugin_id)

    def _is_essential(self, role: RoleName, name: str) -> bool:
        use = self.config.use
        if role == "llm":
            return provider_of(use.model) in {name, None}
        return any(item.essential for item in selections(use) if (item.role, item.name) == (role, name))


def _required_error(record: PluginRecord) -> PluginError:
    error = PluginError(
        f"required, but {record.state}: {record.reason}",
        plugin=record.id,
        distribution=record.distribution,
        version=record.version,
        fix=record.fix or f"tilores plugins show {record.id} --traceback",
    )
    error.__cause__ = record.error
    return error


async def _close(built: object) -> None:
    """Close by `aclose()`, an executor by `shutdown`. Raises `TimeoutError` after five seconds."""
    close = getattr(built, "aclose", None)
    if close is None:
        if isinstance(built, Executor):
            built.shutdown(wait=False, cancel_futures=True)
        return
    pending = close()
    if not inspect.isawaitable(pending):
        return
    task = asyncio.ensure_future(pending)
    # not wait_for: that waits on for a task that ignores its cancellation
    done, _ = await asyncio.wait({task}, timeout=CLOSE_SECONDS)
    if not done:
        task.cancel()
        raise TimeoutError
    if not task.cancelled():
        task.result()
