"""The cache tiers, opened by the command line itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer

from tilores_core.cache.readiness import tier_answers
from tilores_core.cache.tiered import TieredCache
from tilores_core.cli.options import Options
from tilores_core.contracts import CacheTier, SupportsBroadcast, SupportsPeek
from tilores_core.errors import TiloresError
from tilores_core.hookspecs import Spec
from tilores_core.host.host import PluginHost
from tilores_core.host.roles import CACHE
from tilores_core.services import build_tiers

T = TypeVar("T")


def with_cache(options: Options, work: Callable[[TieredCache, PluginHost], Awaitable[T]]) -> T:
    """Do the work with the shared tiers of `[use] cache`. Raises `TiloresError` when there is none, or when one of
    them does not answer or could not do its part."""
    return asyncio.run(_with_cache(options, work))


async def _with_cache(options: Options, work: Callable[[TieredCache, PluginHost], Awaitable[T]]) -> T:
    host = options.host()
    try:
        tiers = build_tiers(host)
        shared = [(name, tier) for name, tier in tiers if not isinstance(tier, SupportsPeek)]
        if not shared:
            names = ", ".join(host.config.use.cache)
            raise TiloresError(
                f"no shared cache tier is configured: {names or 'nothing'} lives inside each server's own process",
                fix="ask the server: tilores cache … --url http://127.0.0.1:8000",
            )
        for name, tier in shared:
            await _ready(name, tier, host.registration(CACHE, name).spec)
        cache = TieredCache(tiers, table=host.config.cache)
        try:
            before = await _failures(cache)
            result = await work(cache, host)
            failed = [name for name, count in (await _failures(cache)).items() if count > before[name]]
        finally:
            await cache.aclose()
        if failed:
            raise TiloresError(
                f"the cache tier '{failed[0]}' could not do all of it",
                fix="try again; tilores doctor looks at each tier",
            )
        if not any(isinstance(tier, SupportsBroadcast) for _, tier in shared):
            names = ", ".join(name for name, _ in shared)
            typer.echo(f"note: {names} cannot tell running servers, whose own memory keeps what it has", err=True)
        return result
    finally:
        await host.aclose()


async def _failures(cache: TieredCache) -> dict[str, int]:
    """How often each tier has failed: invalidations it still owes count too."""
    tiers = (await cache.stats())["tiers"].values()
    return {tier["name"]: tier["errors"] + tier["pending_invalidations"] for tier in tiers}


async def _ready(name: str, tier: CacheTier, spec: Spec[CacheTier]) -> None:
    try:
        await tier_answers(tier)
    except Exception as error:  # a tier is a stranger's code, and its message may quote an address
        variables = f" ({', '.join(spec.environment.values())})" if spec.environment else ""
        said = error.message if isinstance(error, TiloresError) else type(error).__name__
        raise TiloresError(
            f"the cache tier '{name}' does not answer: {said}",
            fix=f"start it or correct its settings{variables}; tilores doctor looks at each tier",
        ) from None
