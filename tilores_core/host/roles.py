"""The roles a plugin can fill: which hook registers them, with what spec, and what the built object must offer."""

from __future__ import annotations

from concurrent.futures import Executor
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
    Observer,
    OptimizerStrategy,
    SupportsBroadcast,
    SupportsCompletion,
    SupportsFeedback,
    SupportsFiles,
    SupportsLease,
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


def protocol_methods(protocol: type) -> tuple[str, ...]:
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


CACHE: Final[Role[CacheTier]] = Role(
    "cache",
    "register_cache_backends",
    hooks.CacheBackendSpec,
    protocol_methods(CacheTier),
    abilities=(SupportsPeek, SupportsLease, SupportsBroadcast, SupportsTagKeys),
)
SOURCE: Final[Role[CustomerSource]] = Role(
    "source",
    "register_customer_sources",
    hooks.CustomerSourceSpec,
    protocol_methods(CustomerSource),
    abilities=(SupportsLocale, SupportsMentions, SupportsReport, SupportsTools),
)
LLM: Final[Role[LLMProvider]] = Role(
    "llm",
    "register_llm_providers",
    hooks.LLMProviderSpec,
    protocol_methods(LLMProvider),
    abilities=(SupportsCompletion, SupportsUpstreams),
    chosen=False,
)
OPTIMIZER: Final[Role[OptimizerStrategy]] = Role(
    "optimizer",
    "register_optimizer_strategies",
    hooks.OptimizerStrategySpec,
    protocol_methods(OptimizerStrategy),
)
DEPLOY: Final[Role[DeployTarget]] = Role(
    "deploy",
    "register_deploy_targets",
    hooks.DeployTargetSpec,
    protocol_methods(DeployTarget),
    abilities=(SupportsFiles,),
)
EXECUTOR: Final[Role[Executor]] = Role(
    "executor",
    "register_executors",
    hooks.ExecutorSpec,
    methods=("submit", "shutdown"),
    abilities=(SupportsThreads,),
)
TRACERS: Final[Role[Tracer]] = Role(
    "tracers", "register_tracers", hooks.TracerSpec, protocol_methods(Tracer), abilities=(SupportsFeedback,)
)
ALERTS: Final[Role[AlertChannel]] = Role(
    "alerts", "register_alert_channels", hooks.AlertChannelSpec, protocol_methods(AlertChannel)
)
ROUTERS: Final[Role[APIRouter]] = Role(
    "routers", "register_routers", hooks.RouterSpec, kind="fastapi:APIRouter", chosen=False, own_names=True
)
COMMANDS: Final[Role[typer.Typer]] = Role(
    "commands", "register_commands", hooks.CommandSpec, kind="typer:Typer", chosen=False, own_names=True
)
HEALTH: Final[Role[hooks.HealthCheck]] = Role(
    "health", "register_health_checks", hooks.HealthCheckSpec, methods=("__call__",), chosen=False
)
OBSERVERS: Final[Role[Observer]] = Role(
    "observers", "register_observers", hooks.ObserverSpec, methods=("__call__",), chosen=False
)
EXTRACTOR: Final[Role[CustomerExtractor]] = Role(
    "extractor",
    "register_customer_extractors",
    hooks.CustomerExtractorSpec,
    protocol_methods(CustomerExtractor),
)

ROLES: Final[tuple[Role[Any], ...]] = tuple(value for value in tuple(globals().values()) if isinstance(value, Role))
ROLE_OF_HOOK: Final[dict[str, Role[Any]]] = {role.hook: role for role in ROLES}

# The registrations of a hook without a role would be lost.
assert set(ROLE_OF_HOOK) == set(hooks.HOOK_NAMES)
