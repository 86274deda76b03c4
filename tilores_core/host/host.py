"""The plugin host: knows every installed plugin, builds what is used and closes it again."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final, Required, TypeVar, Unpack, cast

import structlog

from tilores_core import __version__
from tilores_core.contracts import PluginContext, PluginServices, PluginState
from tilores_core.errors import ConfigError, MissingDependencyError, PluginError, TiloresError
from tilores_core.hookspecs import CustomerSourceSpec, LLMProviderSpec
from tilores_core.host.build import build_object
from tilores_core.host.load import load_plugins, warn_when_slow
from tilores_core.host.plan import Plan, Switches, make_plan
from tilores_core.host.plugin import Plugin, scan, sort_plugins
from tilores_core.host.plugin_settings import PluginSettings, addresses_from_file, load_settings, own_keys
from tilores_core.host.roles import LLM, SOURCE, Registration, Role, RoleName
from tilores_core.host.use import UseCheck, provider_of, selections
from tilores_core.settings import Config, LoadedConfig

CLOSE_SECONDS: Final = 5.0
_SLOW_SECONDS: Final = 6.0
_BLOCKED_SECONDS: Final = 9.0

T = TypeVar("T")

_log = structlog.get_logger(part="host")


class HostOptions(Switches, total=False):
    """Which plugins are loaded, and how.

    `data_dir`: where plugins keep files. `check_use`: False does not check `[use]`. `discovered`: the plugins,
    instead of scanning the environment. `background`: see `PluginContext`.
    """

    data_dir: Required[Path]
    check_use: bool
    discovered: Sequence[Plugin] | None
    background: bool


class PluginHost:
    """Use `start` for a program that needs its plugins, `examine` for one that reports what is wrong.

    `problems` stop start-up; they are empty after `start`. `config_warnings`: settings that look wrong and do not
    stop it, such as a table of a plugin that is not installed. `services` are given to every plugin; the process
    opens them. `disabled_roles`: what `[use]` names and cannot work here, `role/name` -> why. `idle_providers`: model
    providers that `[use]` does not name and whose library is not installed, name -> how to get it; that is not a
    fault, as few machines need them all.
    """

    def __init__(
        self,
        loaded: LoadedConfig,
        plugins: Sequence[Plugin],
        *,
        variables: Mapping[str, str],
        data_dir: Path,
        background: bool = False,
    ) -> None:
        self.loaded = loaded
        self.data_dir = data_dir
        self.background = background
        self.services = PluginServices()
        self.problems: tuple[TiloresError, ...] = ()
        self.config_warnings: tuple[str, ...] = ()
        self._variables = variables
        self._plugins = list(plugins)
        self.disabled_roles: dict[str, str] = {}
        self.idle_providers: dict[str, str] = {}
        self._active = {plugin.id: plugin for plugin in plugins if plugin.state == "active"}
        self._registrations: dict[tuple[str, str], Registration[Any]] = {
            (one.role.name, one.name): one for plugin in self._active.values() for one in plugin.registrations
        }
        self._settings: dict[str, PluginSettings] = {}
        self._states = {plugin: PluginState() for plugin in self._active}
        self._built: list[tuple[Registration[Any], object]] = []

    @classmethod
    def start(cls, loaded: LoadedConfig, **options: Unpack[HostOptions]) -> PluginHost:
        """Scan, plan, load, collect, check. Builds nothing yet.

        Raises the first `ConfigError` or `PluginError` of those that stop start-up.
        """
        host = cls.examine(loaded, **options)
        if host.problems:
            first, others = host.problems[0], len(host.problems) - 1
            if others:
                first.fix = f"{first.fix or ''} ({others} more: tilores plugins check)".strip()
            raise first
        return host

    @classmethod
    def examine(cls, loaded: LoadedConfig, **options: Unpack[HostOptions]) -> PluginHost:
        """As `start`, but what would stop it is in `problems` of the host returned."""
        given = options.get("discovered")
        plan = make_plan(scan() if given is None else sort_plugins(given), loaded, options, version=__version__)
        host = cls(
            loaded,
            load_plugins(plan.plugins),
            variables=options["variables"],
            data_dir=options["data_dir"],
            background=options.get("background", False),
        )
        host._check(plan, use=options.get("check_use", True) and options.get("only") is None)
        return host

    # --- what there is -----------------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        return self.loaded.config

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """All installed plugins, in load order; two where two distributions claim one id."""
        return tuple(self._plugins)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything worth reporting that does not stop start-up."""
        return (
            *self.config_warnings,
            *(plugin.describe_problem() for plugin in self._plugins if plugin.is_problem),
            *(f"{_quote(what)} is disabled: {why}" for what, why in self.disabled_roles.items()),
        )

    def names(self, role: Role[Any]) -> tuple[str, ...]:
        """Names that active plugins registered for `role`, in load order."""
        return tuple(name for kind, name in self._registrations if kind == role.name)

    def used_names(self, role: Role[Any]) -> tuple[str, ...]:
        """Names that fill `role` here: what `[use]` says, or all registered ones where `[use]` does not choose.

        Without those that are disabled.
        """
        chosen = self.names(role)
        if role.chosen:
            chosen = tuple(item.name for item in selections(self.config.use) if item.role == role.name)
        return tuple(name for name in chosen if f"{role.name}/{name}" not in self.disabled_roles)

    def registration(self, role: Role[T], name: str) -> Registration[T]:
        """The spec registered as `name` for `role`, with its plugin's id. Raises `ConfigError`."""
        try:
            return self._registrations[role.name, name]
        except KeyError:
            known = ", ".join(self.names(role)) or "none"
            raise ConfigError(f"no active plugin provides {role.name} '{name}'", fix=f"known: {known}") from None

    def is_simulated(self, model: str) -> bool:
        """Whether the provider of `model` (provider:model) declares that its models are simulated."""
        registration = self._registrations.get((LLM.name, provider_of(model) or ""))
        return registration is not None and cast("LLMProviderSpec", registration.spec).simulated

    @property
    def customers(self) -> CustomerSourceSpec | None:
        """The spec of the customer source that `[use]` names; None where no active plugin registered it."""
        registration = self._registrations.get((SOURCE.name, self.config.use.source))
        return cast("CustomerSourceSpec", registration.spec) if registration is not None else None

    @property
    def has_synthetic_customers(self) -> bool:
        """Whether all customers are invented, so that chat needs no key on this machine."""
        return self.customers is not None and self.customers.synthetic

    def provider_plugin(self, title: str) -> str | None:
        """The id of the plugin that registered `role/name`; None where no active one did."""
        role, _, name = title.partition("/")
        registration = self._registrations.get((role, name))
        return registration.plugin_id if registration else None

    def settings(self, plugin: str) -> PluginSettings:
        """The validated settings of an active plugin. Raises `ConfigError`, `PluginError`."""
        if plugin not in self._settings:
            self._settings[plugin] = load_settings(self._active[plugin], self.loaded, self._variables)
        return self._settings[plugin]

    def active_plugin(self, plugin: str) -> Plugin | None:
        """The plugin as it was loaded; None when it is not active."""
        return self._active.get(plugin)

    def is_required(self, plugin: str) -> bool:
        """Whether start-up must stop when the plugin fails (`required`, or `[host] strict`)."""
        return self.config.host.strict or any(one.required for one in self._plugins if one.id == plugin)

    # --- building and closing ----------------------------------------------------------------------------

    def build(self, role: Role[T], name: str) -> T:
        """A new object of the registration's factory, closed by `aclose`. Import and factory run now.

        Raises `PluginError` (also when the object does not fit its role or spec) or `ConfigError`.
        """
        registration = self.registration(role, name)
        plugin = registration.plugin_id
        try:
            settings = self.settings(plugin)
            context = PluginContext(
                plugin_id=plugin,
                settings=settings.model,
                data_dir=self.data_dir,
                state=self._states[plugin],
                services=self.services.of(plugin),
                background=self.background,
            )
            with warn_when_slow(plugin):
                built = build_object(self._active[plugin], registration, context, settings.secrets)
        except PluginError as error:
            self._mark_failed(plugin, error)
            raise
        self._built.append((registration, built))
        return built

    def build_used(self, role: Role[T]) -> dict[str, T]:
        """Everything that `used_names` says, built, by name and in order.

        What cannot be built and is not essential is disabled, with a warning, unless its plugin is `required`
        or `[host] strict` is set; otherwise its `PluginError` is raised. A `ConfigError` is always raised. See also
        `idle_providers`.
        """
        built = {}
        for name in self.used_names(role):
            try:
                built[name] = self.build(role, name)
            except PluginError as error:
                if role.name == "llm" and isinstance(error, MissingDependencyError) and not self._is_named(name):
                    self.idle_providers[name] = error.fix or error.message
                    continue
                if self._is_essential(role.name, name) or self.is_required(error.plugin):
                    raise
                self.disabled_roles[f"{role.name}/{name}"] = str(error)
        return built

    async def aclose(self) -> None:
        """Close what was built, last first; each on its own and for at most five seconds. Never raises.

        One that blocks the event loop for longer than that ends the process."""
        while self._built:
            registration, built = self._built.pop()
            try:
                with warn_when_slow(registration.plugin_id, seconds=_SLOW_SECONDS, end_after=_BLOCKED_SECONDS):
                    await _close(built)
            except Exception as error:
                # the type alone: the text of a driver's error may quote an address with its password
                _log.warning(
                    "plugin.close_failed",
                    plugin=registration.plugin_id,
                    registration=registration.title,
                    error=type(error).__name__,
                )

    # --- checks at start ---------------------------------------------------------------------------------

    def _check(self, plan: Plan, *, use: bool) -> None:
        addresses = [
            warning
            for plugin in self._active.values()
            for warning in addresses_from_file(plugin, self.loaded, self._variables)
        ]
        self.config_warnings = (*plan.warnings, *addresses)
        problems: list[TiloresError] = [*plan.problems, *self._check_tables(use=use)]
        if use:
            wrong, disabled = UseCheck(self.loaded, self._plugins, self._registrations).run()
            problems.extend(wrong)
            self.disabled_roles.update(disabled)
        blamed = {problem.plugin for problem in problems if isinstance(problem, PluginError)}
        problems.extend(
            _required_error(plugin)
            for plugin in self._plugins
            if plugin.required and plugin.is_problem and plugin.id not in blamed
        )
        if self.config.host.strict:
            where = str(self.loaded.path)
            problems.extend(ConfigError(f"strict = true: {text}", where=where) for text in self.warnings)
        self.problems = tuple(problems)

    def _check_tables(self, *, use: bool) -> list[ConfigError]:
        """Validate the tables that are not empty, and those of plugins in use, whose keys may be needed."""
        chosen = {(item.role, item.name) for item in selections(self.config.use)} if use else set()
        problems = []
        for plugin in list(self._active.values()):
            in_use = any((one.role.name, one.name) in chosen for one in plugin.registrations)
            if not (in_use or own_keys(self.loaded, plugin.id)):
                continue
            try:
                self.settings(plugin.id)
            except ConfigError as error:
                problems.append(error)
            except PluginError as error:
                self._mark_failed(plugin.id, error)
                del self._active[plugin.id]
                for one in plugin.registrations:
                    del self._registrations[one.role.name, one.name]
        return problems

    def _mark_failed(self, plugin: str, error: PluginError) -> None:
        """Note a failure in the plugin's state. What else the plugin registered can still be built."""
        self._plugins = [item.with_failure(error) if item.id == plugin else item for item in self._plugins]

    def _is_named(self, provider: str) -> bool:
        use = self.config.use
        named = {provider_of(model) for model in (use.model, *use.fallbacks)}
        plugin = self.registration(LLM, provider).plugin_id
        return provider in named or any(one.required for one in self._plugins if one.id == plugin)

    def _is_essential(self, role: RoleName, name: str) -> bool:
        use = self.config.use
        if role == "llm":
            return provider_of(use.model) in {name, None}
        return any(item.essential for item in selections(use) if (item.role, item.name) == (role, name))


def _quote(title: str) -> str:
    role, _, name = title.partition("/")
    return f"{role} '{name}'"


def _required_error(plugin: Plugin) -> PluginError:
    error = plugin.problem(
        f"required, but {plugin.state}: {plugin.reason}",
        fix=plugin.fix or f"tilores plugins show {plugin.id} --traceback",
    )
    error.__cause__ = plugin.error
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
