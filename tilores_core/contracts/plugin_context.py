"""What a plugin's factories get: `PluginContext` with its shared state and the services of the running process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from tilores_core.contracts.source import Customer, Identifiers
from tilores_core.contracts.turn import Answer, Turn
from tilores_core.errors import TiloresError

S = TypeVar("S")


class CallEvents(Protocol):
    """Receives the beginning of phone calls: `context.services.calls`."""

    def begins(self, identifiers: Identifiers, *, scope: str | None = None) -> bool:
        """Prepare answers for this caller in the background; returns at once, and never raises.

        `identifiers` need not be normalised. `scope`: that of the key which will ask, by default "default".
        Returns False when they identify no caller, as a withheld number does. True does not mean that there is such a
        customer: whether there is must not be disclosed.
        """


class PluginCache(Protocol):
    """A plugin's own part of the shared cache (`PluginServices.cache`). A tier that fails counts as a miss."""

    async def get(self, key: str, default: Any = None) -> Any:
        """The value stored under `key`, or `default`."""

    async def set(self, key: str, value: Any, *, ttl: float | None = None, customer_id: str | None = None) -> None:
        """Store `value`, which JSON holds exactly, or which pickle can where the cache was opened with `pickle=True`.

        `ttl`: seconds, by default the cache's. `customer_id`: remove it when this customer is forgotten. Raises
        `TypeError`, `ValueError` or `CacheError` for a value that cannot be stored.
        """

    async def delete(self, key: str) -> None:
        """Remove it in all tiers and replicas."""

    async def get_or_load(
        self,
        key: str,
        load: Callable[[], Awaitable[Any]],
        *,
        ttl: float | None = None,
        customer_id: str | None = None,
    ) -> Any:
        """The value; when there is none, what `load` returns, stored. Callers at the same time share one `load`."""


class ServicesNotOpenError(TiloresError):
    """A plugin used a service that this process has not opened."""

    def __init__(self, service: str) -> None:
        super().__init__(
            f"the service '{service}' is not open in this process",
            fix="use it while a request or a job runs; `tilores plugins check` and `tilores doctor` open no services",
        )


class PluginServices:
    """What the running process offers to its plugins.

    A factory may keep this object. `cache` is open before the factories of all roles but cache tiers run,
    `require_key` before those of routers, the others once all parts are built. A service that is not open, as in
    commands that answer no questions, raises `ServicesNotOpenError`.
    """

    __slots__ = ("_opened", "_plugin_id")

    def __init__(self, plugin_id: str = "", opened: dict[str, Any] | None = None) -> None:
        self._plugin_id = plugin_id
        self._opened: dict[str, Any] = {} if opened is None else opened

    def of(self, plugin_id: str) -> PluginServices:
        """The same services, for one plugin. For the host."""
        return PluginServices(plugin_id, self._opened)

    async def ask(self, turn: Turn) -> Answer:
        """The engine's answer, from the cache or a model. Raises as the engine does (`TiloresError`)."""
        answer: Answer = await self._get("ask")(turn)
        return answer

    async def find(self, identifiers: Identifiers, *, limit: int = 10) -> Sequence[Customer]:
        """Customers of the active source that fit all the identifiers, best first. Raises `SourceError`."""
        found: Sequence[Customer] = await self._get("find")(identifiers, limit=limit)
        return found

    def cache(self, namespace: str, ttl: float | None = None, *, pickle: bool = False) -> PluginCache:
        """A part of the shared cache for this plugin's values. `ttl`: seconds that a value is kept.

        Without `ttl` it is that of `[cache.NAMESPACE]`. With `pickle` a value that JSON cannot hold is pickled and
        signed with `TILORES_SECRET_KEY`; without that variable storing it raises `CacheError`. Raises `ValueError`
        for a namespace that is not for plugins.
        """
        cache: PluginCache = self._get("cache")(namespace, ttl=ttl, pickle=pickle, owner=self._plugin_id)
        return cache

    @property
    def calls(self) -> CallEvents:
        """Where to report that a phone call begins."""
        calls: CallEvents = self._get("calls")
        return calls

    def require_key(self, kind: Literal["chat", "admin"]) -> Callable[..., Any]:
        """A FastAPI dependency for routes: the `Caller` of a chat or admin key. Other requests get 401 or 403.

        Needed in routers that are `public`, or for routes that only administrators may use.
        """
        dependency: Callable[..., Any] = self._get("require_key")(kind)
        return dependency

    def open(self, **services: Any) -> None:
        """Make services available, by name. For the process itself."""
        self._opened.update(services)

    def close(self) -> None:
        """Withdraw all services. For the process itself."""
        self._opened.clear()

    def _get(self, name: str) -> Any:
        try:
            return self._opened[name]
        except KeyError:
            raise ServicesNotOpenError(name) from None


class PluginState:
    """Objects that the parts of one plugin share, for example the health of a connection.

    `status = context.state.get(Status)` gives the source and its health check the same `Status`.
    """

    __slots__ = ("_objects",)

    def __init__(self) -> None:
        self._objects: dict[Any, Any] = {}

    def get(self, kind: Callable[[], S]) -> S:
        """The plugin's one object of `kind`, made by `kind()` when it is first asked for."""
        if kind not in self._objects:
            self._objects[kind] = kind()
        found: S = self._objects[kind]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginContext:
    """What a factory gets. All parts of one plugin get the same `settings`, `state` and `services`.

    `settings` is an instance of the settings model that the spec names (None without one). A factory never
    reads the environment: references in plugins.toml and `environment` in the spec are resolved before.
    `data_dir`: the folder for files. `state`: objects shared by the plugin's parts. `services`: what the running
    process offers. `background`: the process answers no callers and may get little processor time (the worker
    process), so limits that keep a caller from waiting are too short there.
    """

    plugin_id: str
    settings: Any  # the plugin's own pydantic model; only the plugin knows its type
    data_dir: Path
    state: PluginState = field(default_factory=PluginState)
    services: PluginServices = field(default_factory=PluginServices)
    background: bool = False
