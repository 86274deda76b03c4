"""The roles a plugin can fill: which hook registers them, with what, and what the built object must offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tilores_core.contracts import CacheTier, CustomerSource, LLMProvider, Tracer
from tilores_core.hookspecs import (
    HOOK_NAMES,
    AlertChannelSpec,
    CacheBackendSpec,
    CommandSpec,
    CustomerSourceSpec,
    DeployTargetSpec,
    ExecutorSpec,
    HealthCheckSpec,
    LLMProviderSpec,
    OptimizerStrategySpec,
    RouterSpec,
    Spec,
    TracerSpec,
)

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
]


def _methods(protocol: type) -> tuple[str, ...]:
    return tuple(name for name, value in vars(protocol).items() if not name.startswith("_") and callable(value))


@dataclass(frozen=True, slots=True)
class Role:
    """`methods`: names the object must have. `own_names`: two plugins may use one name."""

    name: RoleName
    hook: str
    spec: type[Spec]
    methods: tuple[str, ...] = ()
    own_names: bool = False

    def key(self, plugin: str, name: str) -> str:
        """The name of a registration within the role."""
        return f"{plugin}/{name}" if self.own_names else name


ROLES: Final[tuple[Role, ...]] = (
    Role("cache", "register_cache_backends", CacheBackendSpec, _methods(CacheTier)),
    Role("source", "register_customer_sources", CustomerSourceSpec, _methods(CustomerSource)),
    Role("llm", "register_llm_providers", LLMProviderSpec, _methods(LLMProvider)),
    Role("optimizer", "register_optimizer_strategies", OptimizerStrategySpec),
    Role("deploy", "register_deploy_targets", DeployTargetSpec),
    Role("executor", "register_executors", ExecutorSpec, ("submit", "shutdown")),
    Role("tracers", "register_tracers", TracerSpec, _methods(Tracer)),
    Role("alerts", "register_alert_channels", AlertChannelSpec),
    Role("routers", "register_routers", RouterSpec, own_names=True),
    Role("commands", "register_commands", CommandSpec, ("__call__",), own_names=True),
    Role("health", "register_health_checks", HealthCheckSpec, ("__call__",)),
)

ROLE: Final = {role.name: role for role in ROLES}
ROLE_OF_HOOK: Final = {role.hook: role for role in ROLES}

# A hook without a role would be collected by nobody.
assert set(ROLE_OF_HOOK) == set(HOOK_NAMES)
