"""Every hook, one page.

A hook runs once per plugin, at start-up, synchronously, and returns a list of specs: small frozen
descriptions of what the plugin offers. None runs per request, and none may import an SDK: a spec names a
*factory*, and the factory is called only when `[use]` in plugins.toml selects it. A hook that raises makes its
plugin `failed`; the others go on. Since 0.1.0 unless said otherwise.

    from tilores_core import CacheBackendSpec, hookimpl

    @hookimpl
    def register_cache_backends() -> list[CacheBackendSpec]:
        return [CacheBackendSpec(name="acme", factory="acme_cache.tier:build", settings="acme_cache.tier:Settings",
                                 requires={"acme_sdk": "acme-cache[sdk]"})]
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import pluggy

from tilores_core.contracts import (
    AlertChannel,
    CacheTier,
    CustomerExtractor,
    CustomerSource,
    DeployTarget,
    LLMProvider,
    Observer,
    OptimizerStrategy,
    PluginContext,
    Tracer,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

T = TypeVar("T")

PROJECT = "tilores_core"
ENTRY_POINT_GROUP = "tilores_core.plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec(Generic[T]):
    """What every registration has.

    `name`: the name in `[use]`; lower case letters, digits, hyphens. `factory`: a callable that takes a
    `PluginContext`, or "module:attribute", imported when needed. `settings`: the pydantic model of the plugin's table
    (all specs of one plugin share it), with `extra="forbid"`; secrets in it are `SecretStr`. `requires`: import
    name -> what to install, checked before the factory runs. `environment`: settings key -> variable that
    fills it when plugins.toml does not. `aliases`: the same for variables of other programs, read when `environment`
    fills nothing, and not listed. `abilities`: the optional Protocols that the object has (`SupportsPeek`, …); an
    object with the methods of one that is not declared is refused, and so is one that lacks what is declared.
    `summary`: one line for listings.
    """

    name: str
    factory: Callable[[PluginContext], T] | str
    settings: type[BaseModel] | str | None = None
    requires: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    abilities: tuple[type, ...] = ()
    summary: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{type(self).__name__} name {self.name!r}: use lower case letters, digits, hyphens")
        if isinstance(self.factory, str) and ":" not in self.factory:
            raise ValueError(f"factory {self.factory!r}: write it as 'module:attribute'")


class CacheBackendSpec(Spec[CacheTier]):
    """A cache tier: the factory returns a `CacheTier`. Abilities: `SupportsPeek`, `SupportsLease`,
    `SupportsBroadcast`, `SupportsTagKeys`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMProviderSpec(Spec[LLMProvider]):
    """Models: the factory returns an `LLMProvider`; `name` is the part before the colon in `provider:model`.
    Abilities: `SupportsCompletion`, `SupportsUpstreams`.

    `simulated`: its models run in this process and nothing is sent anywhere; start-up, the first page and
    `tilores forget` say so.
    """

    simulated: bool = False


class AlertChannelSpec(Spec[AlertChannel]):
    """A channel for alerts: the factory returns an `AlertChannel`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerStrategySpec(Spec[OptimizerStrategy]):
    """A way to improve a prompt: the factory returns an `OptimizerStrategy`.

    `reflects`: it asks the reflection model; an attribute `reflects` of the strategy says so for its settings.
    `mock`: it knows its instructions beforehand instead of finding them; everything that shows the strategy says so.
    """

    reflects: bool = False
    mock: bool = False


class DeployTargetSpec(Spec[DeployTarget]):
    """A platform to deploy the service to: the factory returns a `DeployTarget`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerSourceSpec(Spec[CustomerSource]):
    """Customers: the factory returns a `CustomerSource`. Abilities: `SupportsListing`, `SupportsLocale`,
    `SupportsMentions`, `SupportsReport`, `SupportsTools`.

    `synthetic`: all its customers are invented; chat about them is then open to this machine without a key.
    `example`: a question about one of them, for the first page.
    """

    synthetic: bool = False
    example: str = ""


class CustomerExtractorSpec(Spec[CustomerExtractor]):
    """Finds the customer that a conversation is about: the factory returns a `CustomerExtractor`."""


class TracerSpec(Spec[Tracer]):
    """A destination of traces: the factory returns a `Tracer`. Abilities: `SupportsFeedback`."""


class ObserverSpec(Spec[Observer]):
    """The factory returns an async callable that gets the `Outcome` of each turn."""


class ExecutorSpec(Spec[Executor]):
    """The factory returns a `concurrent.futures.Executor`. Abilities: `SupportsThreads`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSpec(Spec[Any]):
    """The factory returns a FastAPI `APIRouter`, mounted under `/plugins/<plugin id>`.

    `public`: its routes answer without a key, because they authenticate requests themselves (a signature of a
    webhook, `context.services.require_key`); by default every route of the router needs a chat key where the server
    has any.
    """

    public: bool = False


class CommandSpec(Spec[Any]):
    """The factory returns a `typer.Typer`, reached as `tilores <plugin id> …`."""


HealthCheck = Callable[[], Awaitable[Mapping[str, Any]]]


class HealthCheckSpec(Spec[HealthCheck]):
    """The factory returns an async callable; its mapping (`status`: `ok`, `degraded` or `failed`, and details without
    secrets or customers' data) appears in `/health/detailed` under `name`."""


class Hooks(Protocol):
    """The hooks. Implement those you need as module-level functions marked `@hookimpl`."""

    @hookspec
    def register_cache_backends(self) -> list[CacheBackendSpec]:
        """Cache tiers that `[use] cache` may name. The factory runs in the server's start-up, in the event loop's
        thread but outside any request; the tier is closed with `aclose()` at the end."""

    @hookspec
    def register_llm_providers(self) -> list[LLMProviderSpec]:
        """Providers whose models `[use] model`, `fallbacks` and requests may name. All active providers are built;
        one without its key is built too and lists its models as unavailable."""

    @hookspec
    def register_alert_channels(self) -> list[AlertChannelSpec]:
        """Alert channels that `[use] alerts` may name. The factory runs in the process that delivers alerts, the
        worker, and in commands that send one."""

    @hookspec
    def register_optimizer_strategies(self) -> list[OptimizerStrategySpec]:
        """Optimizer strategies that `[use] optimizer` may name. The factory runs in the process that improves
        prompts."""

    @hookspec
    def register_deploy_targets(self) -> list[DeployTargetSpec]:
        """Deploy targets that `[use] deploy` may name. Built by `tilores deploy` alone, never by a server."""

    @hookspec
    def register_customer_sources(self) -> list[CustomerSourceSpec]:
        """Customer sources, one of which `[use] source` names. Only that one is built."""

    @hookspec
    def register_tracers(self) -> list[TracerSpec]:
        """Tracers that `[use] tracers` may name."""

    @hookspec
    def register_observers(self) -> list[ObserverSpec]:
        """Observers of turns. All registered ones are used. Each gets every `Outcome` from a bounded queue, after
        the answer was sent; what it raises is counted. It must not keep or send the customer's data it sees."""

    @hookspec
    def register_customer_extractors(self) -> list[CustomerExtractorSpec]:
        """Customer extractors, one of which `[use] extractor` may name instead of the built-in one. What it finds
        still passes the rule that everything said must fit the customer."""

    @hookspec
    def register_executors(self) -> list[ExecutorSpec]:
        """Batch executors, one of which `[use] executor` names."""

    @hookspec
    def register_routers(self) -> list[RouterSpec]:
        """FastAPI routers, mounted under `/plugins/<plugin id>` behind the chat key, unless the spec says
        `public=True`."""

    @hookspec
    def register_commands(self) -> list[CommandSpec]:
        """Typer applications, reached as `tilores <plugin id> …`; only that plugin is loaded then."""

    @hookspec
    def register_health_checks(self) -> list[HealthCheckSpec]:
        """Named checks for `/health/detailed`; each has one second to answer."""


HOOK_NAMES: tuple[str, ...] = tuple(name for name in vars(Hooks) if name.startswith("register_"))
