"""What the doctor builds and tries, each part apart from the others: source, cache tiers, model.

Each yields its findings and leaves what it built to the host, which closes it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tilores_core.cache.readiness import tier_answers
from tilores_core.cli.finding import Finding, problem, warning
from tilores_core.contracts import CacheEntry, CacheTier, SourceReport, SupportsPeek, SupportsReport
from tilores_core.errors import PluginError, TiloresError
from tilores_core.host.roles import CACHE, LLM, SOURCE, TRACERS, Role

if TYPE_CHECKING:
    from tilores_core.chat.models import Models
    from tilores_core.host import PluginHost

Findings = AsyncIterator[Finding]
_PROBE = "probe:doctor"
_NOBODY = "no-such-customer-of-the-doctor"
_QUESTION = "Reply with the word ready."


async def source(host: PluginHost, seconds: float) -> Findings:
    """Does it know its fields, and can it be asked? What it knows may be from an earlier start."""
    name = host.config.use.source
    if name not in host.names(SOURCE):
        return  # the finding about plugins says why
    built = host.build(SOURCE, name)
    try:
        async with asyncio.timeout(seconds):
            schema = await built.schema()
            await built.get(_NOBODY)
    except TimeoutError:
        fix = f"is what it reads from up? Its settings: tilores plugins show {_plugin(host, SOURCE, name)}"
        yield Finding(part="source", state="problem", detail=f"{name}: no answer within {seconds:g} s", fix=fix)
        return
    if not schema.fields:
        fix = f"does it hold customers? Its settings: tilores plugins show {_plugin(host, SOURCE, name)}"
        yield Finding(part="source", state="warning", detail=f"{name}: no fields, so no customers", fix=fix)
        return
    yield Finding(part="source", state="ok", detail=f"{name}: {len(schema.fields)} fields")
    if isinstance(built, SupportsReport):
        for finding in _reported(name, await built.report()):
            yield finding


def _reported(name: str, report: SourceReport) -> Iterator[Finding]:
    served = f"{name}: {report.records} rows of {report.customers} customers"
    if not report.customers:
        fix = "; ".join(report.problems) or "; ".join(report.warnings)
        yield Finding(part="source", state="problem", detail=f"{name}: no customers are served", fix=fix)
        return
    yield Finding(part="source", state="ok", detail="; ".join((served, *report.facts)))
    if report.left_out:
        detail = f"{name}: {report.left_out} rows are left out, the first: {report.problems[0]}"
        yield Finding(
            part="source", state="warning", detail=detail, fix="mend those rows: tilores customers check FILE"
        )
    for text in report.warnings:
        yield Finding(part="source", state="warning", detail=f"{name}: {text}")


async def cache(host: PluginHost, seconds: float) -> Findings:
    """Each tier by itself: is what was stored read back?"""
    for name in host.config.use.cache:
        part = f"cache tier {name}"
        reason = host.disabled_roles.get(f"cache/{name}")
        if reason is not None:
            yield warning(part, f"switched off: {reason}", f"take '{name}' out of [use] cache, or mend it")
        elif name in host.names(CACHE):
            try:
                yield await _tier(part, host.build(CACHE, name), seconds)
            except TiloresError as error:
                yield _as_it_counts(host, name, problem(part, error))
    if not host.config.use.cache:
        fix = 'name tiers: [use] cache = ["memory"]'
        yield Finding(part="cache", state="warning", detail="no tier: nothing is remembered", fix=fix)


async def _tier(part: str, tier: CacheTier, seconds: float) -> Finding:
    started = time.perf_counter()
    mend = "is it running, and is its address right (REDIS_URL, or the plugin's table)?"
    try:
        await tier_answers(tier)
        entry = CacheEntry(b"1", time.time() + 10.0)
        async with asyncio.timeout(seconds):
            await tier.set_many({_PROBE: entry})
            found = await tier.get_many([_PROBE])
            await tier.delete([_PROBE])
    except TimeoutError:
        return Finding(part=part, state="problem", detail="it does not answer", fix=mend)
    except Exception as error:  # a tier is a stranger's code, and its message may quote an address
        said = error.message if isinstance(error, TiloresError) else type(error).__name__
        fix = error.fix if isinstance(error, TiloresError) and error.fix else mend
        return Finding(part=part, state="problem", detail=said, fix=fix)
    if found.get(_PROBE) != entry:
        fix = "is it full, or does another program write there?"
        return Finding(part=part, state="problem", detail="what was stored was not read back", fix=fix)
    where = "in each process" if isinstance(tier, SupportsPeek) else "shared"
    return Finding(part=part, state="ok", detail=f"{where}, stored and read back in {_milliseconds(started)} ms")


def _as_it_counts(host: PluginHost, tier: str, finding: Finding) -> Finding:
    """Start-up goes on without a tier that cannot be built, unless it is the first or its plugin is required."""
    first = host.config.use.cache[:1] == (tier,)
    if first or host.is_required(_plugin(host, CACHE, tier)):
        return finding
    return Finding(part=finding.part, state="warning", detail=f"switched off: {finding.detail}", fix=finding.fix)


async def model(host: PluginHost, seconds: float) -> Findings:
    """Does the default model answer, and does each of its fallbacks?"""
    from tilores_core.host.use import provider_of
    from tilores_core.services import build_models

    provider = provider_of(host.config.use.model)
    if provider is not None and provider not in host.names(LLM):
        return  # the finding about plugins says why
    models = build_models(host)
    for place, name in enumerate(dict.fromkeys((models.default, *models.fallbacks))):
        finding = await _ask(models, name, seconds)
        if place and finding.state == "problem":  # a fallback is no use, but nobody waits for it yet
            finding = Finding(part=finding.part, state="warning", detail=finding.detail, fix=finding.fix)
        yield finding
    for name, fix in sorted(models.idle.items()):
        yield Finding(part=f"provider {name}", state="ok", detail=f"nobody names it; its library is not there: {fix}")


async def _ask(models: Models, name: str, seconds: float) -> Finding:
    """One tiny question, straight to the model: nothing is read from the cache or stored there."""
    started = time.perf_counter()
    fix = "is its provider reachable from here? tilores models"
    try:
        async with asyncio.timeout(seconds):
            await models.ask(name, [{"role": "user", "content": _QUESTION}])
    except TimeoutError:
        return Finding(part="model", state="problem", detail=f"{name}: no answer within {seconds:g} s", fix=fix)
    except Exception as error:
        mapped = models.provider(name).map_error(error)
        said = mapped.message if isinstance(mapped, TiloresError) else type(mapped).__name__
        own = mapped.fix if isinstance(mapped, TiloresError) else None
        return Finding(part="model", state="problem", detail=f"{name}: {said}", fix=own or fix)
    info = models.info(name)
    simulated = ", simulated" if info is not None and info.simulated else ""
    return Finding(part="model", state="ok", detail=f"{name}{simulated}: answered in {_milliseconds(started)} ms")


async def tracers(host: PluginHost, _: float) -> Findings:
    """Can each be built? Nothing is sent. One that is off is no fault: the default names one that needs a key."""
    for name in host.config.use.tracers:
        part = f"tracer {name}"
        reason = host.disabled_roles.get(f"tracers/{name}")
        if reason is None and name in host.names(TRACERS):
            try:
                host.build(TRACERS, name)
            except PluginError as error:
                if host.is_required(error.plugin):
                    yield problem(part, error)
                    continue
                reason = str(error)
        if reason is not None:
            off = warning(part, f"switched off: {reason}", f"take '{name}' out of [use] tracers, or mend it")
            yield replace(off, state="ok")
        elif name in host.names(TRACERS):
            yield Finding(part=part, state="ok", detail="ready")


def _plugin(host: PluginHost, role: Role[Any], name: str) -> str:
    return host.registration(role, name).plugin_id


def _milliseconds(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
