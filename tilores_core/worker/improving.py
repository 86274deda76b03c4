"""Improvement cycles and self-healing with what a process has open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, cast

import structlog

from tilores_core.contracts import OptimizerStrategy
from tilores_core.errors import ConfigError, InvalidRequestError
from tilores_core.hookspecs import OptimizerStrategySpec
from tilores_core.host.roles import OPTIMIZER
from tilores_core.improve.cycle import VirtuousCycleOrchestrator, failure_alert
from tilores_core.improve.decision import AutomatedImprovementDeployment, Thresholds
from tilores_core.improve.healing import Means, SelfHealing
from tilores_core.improve.journal import CycleBudget, ModelReply
from tilores_core.improve.learning import choose_strategy
from tilores_core.improve.orchestrator import ContinuousImprovementOrchestrator
from tilores_core.improve.parts import CycleParts, CycleRequest
from tilores_core.metrics import catalogue
from tilores_core.metrics.family import samples_of
from tilores_core.quality.evaluation import default_models
from tilores_core.quality.evaluation.plan import price_of
from tilores_core.services import Services
from tilores_core.settings.nearest import suggest
from tilores_core.spectrums import current_spectrums
from tilores_core.store.improvement import StoredCycle
from tilores_core.store.topics import EXPERIMENTS

log = structlog.get_logger(part="improve")

IMPROVE_WORK: Final = "improve"
AUTO: Final = "auto"
_LOOK_SECONDS: Final = 30.0


def build_cycles(
    services: Services,
    *,
    ask: Callable[[str], Awaitable[ModelReply]] | None = None,
    concurrent: int = 8,
    lease_seconds: float = 30.0,
) -> VirtuousCycleOrchestrator:
    """What runs cycles. `ask`: instead of the reflection model of `[improve]`."""
    config = services.host.config
    built: dict[str, OptimizerStrategy] = {}

    def strategy_of(name: str) -> OptimizerStrategy:
        known = services.host.names(OPTIMIZER)
        if name not in known:
            raise ConfigError(
                f"there is no optimizer strategy '{name}'",
                where="[use] optimizer",
                fix=f"name one of: {', '.join(sorted(known)) or 'none is active'}",
            )
        if name not in built:
            built[name] = services.host.build(OPTIMIZER, name)
        reflects = getattr(built[name], "reflects", _spec_of(services, name).reflects)
        if reflects and ask is None and config.improve.reflection_model is None:
            raise ConfigError(
                f"the strategy '{name}' asks a reflection model, and there is none",
                where="[improve] reflection_model",
                fix="name a model, or use another strategy",
            )
        return built[name]

    parts = CycleParts(
        engine=services.engine,
        source=services.source,
        store=services.store,
        strategy_of=strategy_of,
        deployment=AutomatedImprovementDeployment(services.prompts, services.release.tester, config.improve),
        max_tokens=config.prompts.max_tokens,
        reflection_model=config.improve.reflection_model,
        ask=ask,
        concurrent=concurrent,
        alerts=services.alerts,
    )
    return VirtuousCycleOrchestrator(parts, lease_seconds=lease_seconds)


def is_mock(services: Services, strategy: str) -> bool:
    """Whether a strategy is one for tests and the demo; what shows it says so."""
    return strategy in services.host.names(OPTIMIZER) and _spec_of(services, strategy).mock


def _spec_of(services: Services, strategy: str) -> OptimizerStrategySpec:
    return cast("OptimizerStrategySpec", services.host.registration(OPTIMIZER, strategy).spec)


async def _choose(services: Services) -> str:
    """The strategy that has found the most so far, of those that can run; a mock where there is no other."""
    names = sorted(services.host.names(OPTIMIZER))
    reflects = services.host.config.improve.reflection_model is not None
    able = [name for name in names if reflects or not _spec_of(services, name).reflects]
    able = [name for name in able if not is_mock(services, name)] or able
    if not able:
        raise ConfigError(
            "no optimizer strategy can run without a reflection model",
            where="[improve] reflection_model",
            fix="name a model",
        )
    cycles = await (await services.store.get()).improvement.recent(limit=1_000, state="done")
    return choose_strategy(cycles, able, now=datetime.now(UTC))


async def build_request(
    services: Services,
    *,
    strategy: str | None = None,
    models: tuple[str, ...] = (),
    spectrums: tuple[str, ...] = (),
    version: str = "production",
    seed: int | None = None,
    max_calls: int | None = None,
    automatic: bool | None = None,
    reason: str = "",
) -> CycleRequest:
    """A request with the values of `[improve]` where nothing else is given. `strategy` "auto": the one that has found
    the most so far. `seed`: by default another one for each cycle.

    Raises `ConfigError` without a strategy, `UnknownModelError`, `InvalidRequestError` (an unknown spectrum or
    version), `StoreError`.
    """
    table, use = services.host.config.improve, services.host.config.use
    name = await _choose(services) if strategy == AUTO else strategy or use.optimizer
    if name is None:
        raise ConfigError(
            "no optimizer strategy is named",
            where="[use] optimizer",
            fix=f"name one there or with --strategy: auto, {', '.join(sorted(services.host.names(OPTIMIZER)))}",
        )
    known = [spectrum.name for spectrum in current_spectrums().spectrums]
    for spectrum in spectrums:
        if spectrum not in known:
            raise InvalidRequestError(f"there is no spectrum '{spectrum[:64]}'", fix=suggest(spectrum, known))
    providers = services.engine.models
    named = tuple(map(providers.resolve, models or table.models))
    await providers.require(*named)
    number = await services.prompts.versions.number_of(version)
    parts = dict((await services.prompts.versions.get(number)).parts)
    asked = named or default_models(providers.listing())
    priced = all(price_of(providers.info(model), 0) is not None for model in asked)
    return CycleRequest(
        strategy=name,
        mock=is_mock(services, name),
        models=asked,
        parts=parts,
        number=number,
        spectrums=spectrums,
        seed=len(await (await services.store.get()).improvement.recent(limit=1_000)) + 1 if seed is None else seed,
        per_spectrum=table.per_spectrum,
        automatic=table.automatic if automatic is None else automatic,
        budget=CycleBudget(
            calls=max_calls or table.max_calls,
            tokens=table.max_tokens,
            # The default does not keep models without a price from being improved: their calls and time are limited.
            dollars=table.max_dollars if priced or "max_dollars" in table.model_fields_set else None,
            seconds=table.max_seconds,
        ),
        thresholds=Thresholds(gain=table.min_gain, propose=table.confidence, auto=table.auto_confidence),
        reason=reason,
    )


async def run_triggered(services: Services) -> None:
    """The worker's task: end cycles whose roll-out has ended; where `[improve] triggered` is on, look for breaches,
    and run cycles."""
    config = services.host.config
    triggered = config.improve.triggered and config.use.optimizer is not None
    cycles, mark = build_cycles(services), services.work_mark(IMPROVE_WORK)

    logged = ""

    async def run(spectrums: tuple[str, ...]) -> StoredCycle | None:
        nonlocal logged
        request = await build_request(services, spectrums=spectrums, reason=f"breaches in {', '.join(spectrums)}")
        try:
            cycle = await cycles.run(request)
        except InvalidRequestError as error:  # another process runs one, or the budget is too small for any
            if error.message != logged:  # it is tried again every half minute
                log.warning("improve.cycle_not_begun", reason=error.message)
            logged = error.message
            if error.param == "max_calls":
                services.alerts.raise_alert(failure_alert(error))
            return None
        logged = ""
        return cycle

    orchestrator = ContinuousImprovementOrchestrator(services.store, config.improve, run)
    services.store.listen(EXPERIMENTS, lambda _: mark.set())
    while True:
        mark.take()
        await cycles.conclude_rollouts()
        if triggered:
            await orchestrator.step()
        mark.clear()
        await mark.wait(_LOOK_SECONDS)


def build_healing(services: Services) -> SelfHealing:
    config, models = services.host.config, services.engine.models
    return SelfHealing(
        services.store,
        services.prompts,
        services.release.monitor,
        ContinuousImprovementOrchestrator(services.store, config.improve),
        config.healing,
        Means(
            chain=(models.default, *models.fallbacks),
            cycles=config.improve.triggered and config.use.optimizer is not None,
            roll_back=config.monitor.roll_back,
            good=config.quality.warning,
        ),
        alerts=services.alerts,
    )


async def run_healing(services: Services) -> None:
    """Diagnose, act and verify until cancelled, whenever no other process does; not with `[healing] mode = "off"`."""
    if services.host.config.healing.mode == "off":
        return
    healing = build_healing(services)
    if services.metrics is not None:
        services.metrics.watch(lambda: samples_of(catalogue.HEALING_EPISODES, healing.counted))
    await healing.run()
