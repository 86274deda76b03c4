"""Pre-warming, built from `Services`."""

from __future__ import annotations

from pathlib import Path

from tilores_core.identity import Locale
from tilores_core.jobs.prewarm.entries import WarmedEntries
from tilores_core.jobs.prewarm.plan import RequestDecoders, WarmPlan, load_plan
from tilores_core.jobs.prewarm.publish import PublishedEntries
from tilores_core.jobs.prewarm.schedule import choose_leases
from tilores_core.jobs.prewarm.service import Prewarming
from tilores_core.services import Services
from tilores_core.settings import Config
from tilores_core.web.openai.decode import decode_messages, decode_parameters


def request_decoders(locale: Locale) -> RequestDecoders:
    """Questions of a plan are decoded as OpenAI's protocol decodes them, so that a request finds what they made."""
    return RequestDecoders(messages=decode_messages, parameters=decode_parameters, locale=locale)


def load_prewarm_plan(config: Config, locale: Locale) -> WarmPlan:
    """The plan that `[prewarm]` names; one that holds nothing where it names none. Raises `ConfigError`."""
    return load_plan(Path(config.prewarm.file), request_decoders(locale)) if config.prewarm.file else WarmPlan()


def build_prewarming(
    services: Services,
    plan: WarmPlan,
    *,
    entries: WarmedEntries | PublishedEntries | None = None,
    follows: bool = True,
) -> Prewarming:
    """Pre-warming by this plan; close it before the services. Raises `ConfigError` for an unknown model.

    `entries`: where warmed entries are noted; None for the memory of this process. `follows`: whether `start` follows
    the plan's schedule.
    """
    return Prewarming(
        engine=services.engine,
        cache=services.cache,
        source=services.source,
        config=services.host.config,
        decoders=request_decoders(services.locale),
        plan=plan,
        leases=choose_leases(services.environment.database_url, services.cache, services.store) if follows else None,
        entries=entries,
    )
