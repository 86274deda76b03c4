"""The roles a plugin can fill: which hook registers them, with what spec, and what the built object must offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

from tilores_core import hookspecs as hooks
from tilores_core.contracts import (
    AlertChannel,
    CacheTier,
    CustomerExtractor,
    CustomerSource,
    DeployTarget,
    LLMProvider,
    OptimizerStrategy,
    SupportsBroadcast,
    SupportsCompletion,
    SupportsFeedback,
    SupportsFiles,
    SupportsLease,
    SupportsListing,
    SupportsLocale,
    SupportsMentions,
    SupportsPeek,
    SupportsReport,
    SupportsTagKeys,
    SupportsThreads,
    SupportsTools,
    SupportsUpstreams,
    Tracer,
)

if TYPE_CHECKING:
    import typer
    from fastapi import APIRouter

T = TypeVar("T")

RoleName = Literal[
    "cache",
    "source",
    "llm",
    "optimizer",
    "deploy",
    "executor",
    "tracers",
    "alerts",
    "routers",
    "commands",
    "health",
    "observers",
    "extractor",
]


def methods_of(protocol: type) -> tuple[str, ...]:
    """Names of the methods that a Protocol asks for."""
    return tuple(name for name, value in vars(protocol).items() if not name.startswith("_") and callable(value))


@dataclass(frozen=True, slots=True)
class Role(Generic[T]):
    """A role whose objects are `T`.

    `methods`: names the object must have. `kind`: "module:class" that it must be an instance of. `abilities`: the
    Protocols that a spec may declare. `chosen`: `[use]` chooses the names; otherwise all are used. `own_names`: two
    plugins may use one name.
    """

    name: RoleName
    hook: str
    spec: type[hooks.Spec[T]]
    methods: tuple[str, ...] = ()
    kind: str | None = None
    abilities: tuple[type, ...] = ()
    chosen: bool = True
    own_names: bool = False

    def key(self, plugin: str, name: str) -> str:
        """The name of a registration within the role."""
        return f"{plugin}/{name}" if self.own_names else name


@dataclass(frozen=True, slots=True)
class Registration(Generic[T]):
    """A spec and the id of its plugin. `name` is its name within the role."""

    role: Role[T]
    name: str
    plugin_id: str
    spec: hooks.Spec[T]

    @property
    def title(self) -> str:
        return f"{self.role.name}:{self.spec.name}"


CACHE: Final = Role(
    "cache",
    "register_cache_backends",
    hooks.CacheBackendSpec,
    methods_of(CacheTier),
    abilities=(SupportsPeek, SupportsLease, SupportsBroadcast, SupportsTagKeys),
)
SOURCE: Final = Role(
    "source",
    "register_customer_sources",
    hooks.CustomerSourceSpec,
    methods_of(CustomerSource),
    abilities=(SupportsListing, SupportsLocale, SupportsMentions, SupportsReport, SupportsTools),
)
LLM: Final = Role(
    "llm",
    "register_llm_providers",
    hooks.LLMProviderSpec,
    methods_of(LLMProvider),
    abilities=(SupportsCompletion, SupportsUpstreams),
    chosen=False,
)
OPTIMIZER: Final = Role(
    "optimizer", "register_optimizer_strategies", hooks.OptimizerStrategySpec, methods_of(OptimizerStrategy)
)
DEPLOY: Final = Role(
    "deploy", "register_deploy_targets", hooks.DeployTargetSpec, methods_of(DeployTarget), abilities=(SupportsFiles,)
)
EXECUTOR: Final = Role(
    "executor", "register_executors", hooks.ExecutorSpec, ("submit", "shutdown"), abilities=(SupportsThreads,)
)
TRACERS: Final = Role(
    "tracers", "register_tracers", hooks.TracerSpec, methods_of(Tracer), abilities=(SupportsFeedback,)
)
ALERTS: Final = Role("alerts", "register_alert_channels", hooks.AlertChannelSpec, methods_of(AlertChannel))
ROUTERS: Final[Role[APIRouter]] = Role(
    "routers", "register_routers", hooks.RouterSpec, kind="fastapi:APIRouter", chosen=False, own_names=True
)
COMMANDS: Final[Role[typer.Typer]] = Role(
    "commands", "register_commands", hooks.CommandSpec, kind="typer:Typer", chosen=False, own_names=True
)
HEALTH: Final = Role("health", "register_health_checks", hooks.HealthCheckSpec, ("__call__",), chosen=False)
OBSERVERS: Final = Role("observers", "register_observers", hooks.ObserverSpec, ("__call__",), chosen=False)
EXTRACTOR: Final = Role(
    "extractor", "register_customer_extractors", hooks.CustomerExtractorSpec, methods_of(CustomerExtractor)
)

ROLES: Final[tuple[Role[Any], ...]] = tuple(value for value in tuple(globals().values()) if isinstance(value, Role))
ROLE_OF_HOOK: Final[dict[str, Role[Any]]] = {role.hook: role for role in ROLES}

# The registrations of a hook without a role would be lost.
assert set(ROLE_OF_HOOK) == set(hooks.HOOK_NAMES)
