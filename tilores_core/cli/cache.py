"""`tilores cache …`: what is in the cache, and removing from it.

Without `--url` this opens the tiers of plugins.toml itself: the shared ones are those that the servers use, and the
servers receive through them what was removed. A tier inside a server's process cannot be reached from here; for that
one, ask the server with `--url`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilores_core.cli.options import Commands, JsonOption, Options, RemoteOptions
from tilores_core.cli.output import Output, columns
from tilores_core.errors import TiloresError

if TYPE_CHECKING:
    from tilores_core.cache.tiered import TieredCache
    from tilores_core.contracts import CacheTier
    from tilores_core.hookspecs import Spec
    from tilores_core.host.host import PluginHost

app = Commands("cache", "Statistics of the cache, and removing from it.")

_TIER = ("entries", "bytes", "hits", "misses", "promotions", "evictions", "errors", "breaker", "p50_us", "p99_us")
_IN_TIER = ("hits", "misses", "stores", "promotions", "damaged")
_ABOVE = ("made", "coalesced", "refreshes", "served_stale", "served_on_error", "failed")
NAMESPACES = ("answers", "mentions", "customers", "fingerprints", "schemas")


@app.command()
async def stats(options: Options, remote: RemoteOptions, json: JsonOption = False) -> Output:
    """Statistics of each tier and namespace."""
    if (server := remote.server(options)) is not None:
        figures = await server.get("/admin/cache", "tiers", "namespaces")
    else:
        async with open_cache(options) as (cache, _):
            figures = await cache.stats()
        figures["tiers"] = {label: tier for label, tier in figures["tiers"].items() if tier["breaker"] is not None}
    if server is None and not json:
        typer.echo("Hits and misses are counted by each server: --url asks one.", err=True)
    return Output(figures, _tables(figures))


@app.command()
async def invalidate(
    options: Options,
    remote: RemoteOptions,
    customer: Annotated[
        str | None, typer.Option(metavar="ID", help="All that is remembered about one customer.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(metavar="NS", help=f"One namespace: {', '.join(NAMESPACES)}, or a plugin's own.")
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="One entry, as namespace:digest.")] = None,
) -> Output:
    """Remove one customer, one namespace or one key."""
    given = {"customer_id": customer, "namespace": namespace, "key": key}
    what = {name: value for name, value in given.items() if value is not None}
    if len(what) != 1 or not all(what.values()):
        raise typer.BadParameter("give exactly one of them", param_hint="--customer, --namespace, --key")
    if key is not None and ":" not in key:
        raise typer.BadParameter("write it as namespace:digest", param_hint="--key")
    if namespace is not None and namespace not in NAMESPACES:
        from tilores_core.settings.nearest import nearest

        if match := nearest(namespace, NAMESPACES):  # any other may be a plugin's
            raise typer.BadParameter(f"there is no '{namespace}'; did you mean '{match}'?", param_hint="--namespace")
    if (server := remote.server(options)) is not None:
        removed = (await server.post("/admin/cache/invalidate", what, "removed"))["removed"]
    else:
        from tilores_core.cache.keys import customer_tags

        async with open_cache(options) as (cache, _):
            removed = await cache.invalidate(
                keys=(key,) if key else (), tags=customer_tags(customer, ()), namespace=namespace
            )
    return _output(removed)


@app.command()
async def clear(
    options: Options,
    remote: RemoteOptions,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> Output:
    """Remove everything. Asks first."""
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("there is no terminal to confirm on", param_hint="--yes")
        typer.confirm("Remove everything from the cache?", abort=True, err=True)
    if (server := remote.server(options)) is not None:
        found = await server.get("/admin/cache", "namespaces")
        removed = 0
        for name in sorted({*NAMESPACES, *found["namespaces"]}):  # plugins' own as well
            removed += (await server.post("/admin/cache/invalidate", {"namespace": name}, "removed"))["removed"]
    else:
        async with open_cache(options) as (cache, _):
            removed = await cache.clear()
    return _output(removed)


def _output(removed: int) -> Output:
    return Output({"removed": removed}, f"removed {removed} entries")


def _tables(figures: Mapping[str, Any]) -> str:
    """What `TieredCache.stats()` says; a figure that is not known is a dash."""
    tiers: Mapping[str, Any] = figures.get("tiers", {})
    parts = [
        _figures(
            ("TIER", "NAME", *_TIER), [(label, tier["name"], *_row(tier, _TIER)) for label, tier in tiers.items()]
        )
    ]
    inside = [
        (label, name, *_row(counted, _IN_TIER))
        for label, tier in tiers.items()
        for name, counted in sorted(tier.get("namespaces", {}).items())
    ]
    if inside:
        parts.append(_figures(("TIER", "NAMESPACE", *_IN_TIER), inside))
    above = [(name, *_row(counted, _ABOVE)) for name, counted in sorted(figures.get("namespaces", {}).items())]
    if above:
        parts.append(_figures(("NAMESPACE", *_ABOVE), above))
    extras = [
        f"{label} {name}: {value}" for label, tier in tiers.items() for name, value in tier.get("extra", {}).items()
    ]
    if extras:
        parts.append("\n".join(extras))
    return "\n\n".join(parts)


def _row(figures: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return ["-" if figures.get(name) is None else str(figures[name]) for name in names]


def _figures(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    upper = [heading.upper() for heading in headings]
    return columns(upper, rows, right=[name.upper() for name in headings if name.islower()])


# --- the tiers, opened here ------------------------------------------------------------------------------------


@asynccontextmanager
async def open_cache(options: Options, *, only_shared: bool = True) -> AsyncIterator[tuple[TieredCache, PluginHost]]:
    """The shared tiers of `[use] cache`.

    Raises `TiloresError` when there is none, unless `only_shared` is off, or when one of them does not answer or
    could not do its part.
    """
    from tilores_core.cache.tiered import TieredCache
    from tilores_core.contracts import SupportsBroadcast, SupportsPeek
    from tilores_core.host.roles import CACHE
    from tilores_core.services import build_tiers

    async with options.open_host() as host:
        tiers = build_tiers(host)
        shared = [(name, tier) for name, tier in tiers if not isinstance(tier, SupportsPeek)]
        if only_shared and not shared:
            names = ", ".join(name for name, _ in tiers)
            raise TiloresError(
                f"no shared cache tier is configured: {names or 'nothing'} lives inside each server's own process",
                fix="ask the server: tilores cache … --url http://127.0.0.1:8000",
            )
        for name, tier in shared:
            await _ready(name, tier, host.registration(CACHE, name).spec)
        async with aclosing(TieredCache(tiers, table=host.config.cache)) as cache:
            before = await _failures(cache)
            yield cache, host
            failed = [name for name, count in (await _failures(cache)).items() if count > before[name]]
        if failed:
            raise TiloresError(
                f"the cache tier '{failed[0]}' could not do all of it",
                fix="try again; tilores doctor looks at each tier",
            )
        if shared and not any(isinstance(tier, SupportsBroadcast) for _, tier in shared):
            names = ", ".join(name for name, _ in shared)
            typer.echo(f"note: {names} cannot tell running servers, whose own memory keeps what it has", err=True)


async def _failures(cache: TieredCache) -> dict[str, int]:
    """How often each tier has failed: invalidations it still owes count too."""
    tiers = (await cache.stats())["tiers"].values()
    return {tier["name"]: tier["errors"] + tier["pending_invalidations"] for tier in tiers}


async def _ready(name: str, tier: CacheTier, spec: Spec[CacheTier]) -> None:
    from tilores_core.cache.readiness import tier_answers

    try:
        await tier_answers(tier)
    except Exception as error:  # a tier is a stranger's code, and its message may quote an address
        variables = f" ({', '.join(spec.environment.values())})" if spec.environment else ""
        said = error.message if isinstance(error, TiloresError) else type(error).__name__
        raise TiloresError(
            f"the cache tier '{name}' does not answer: {said}",
            fix=f"start it or correct its settings{variables}; tilores doctor looks at each tier",
        ) from None
