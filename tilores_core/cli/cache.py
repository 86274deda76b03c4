"""`tilores cache …`: what is in the cache, and removing from it.

Without `--url` this opens the tiers of plugins.toml itself: the shared ones are those that the servers use, and the
servers receive through them what was removed. A tier inside a server's process cannot be reached from here; for that
one, ask the server with `--url`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilores_core.cli.options import AdminKeyOption, JsonOption, UrlOption
from tilores_core.cli.output import columns, emit

if TYPE_CHECKING:
    from tilores_core.cli.remote import Server

app = typer.Typer(name="cache", no_args_is_help=True, pretty_exceptions_enable=False)

_TIER = ("entries", "bytes", "hits", "misses", "promotions", "evictions", "errors", "breaker", "p50_us", "p99_us")
_IN_TIER = ("hits", "misses", "stores", "promotions", "damaged")
_ABOVE = ("made", "coalesced", "refreshes", "served_stale", "served_on_error", "failed")
NAMESPACES = ("answers", "mentions", "customers", "fingerprints", "schemas")


@app.command()
def stats(
    ctx: typer.Context, url: UrlOption = None, admin_key: AdminKeyOption = None, as_json: JsonOption = False
) -> None:
    """Statistics of each tier and namespace."""
    if url is not None:
        figures = _server(ctx, url, admin_key).get("/admin/cache", "tiers", "namespaces")
    else:
        from tilores_core.cli.cache_tiers import with_cache

        figures = with_cache(ctx.obj, lambda cache, _: cache.stats())
        figures["tiers"] = {label: tier for label, tier in figures["tiers"].items() if tier["breaker"] is not None}
    emit(figures, _tables(figures), as_json=as_json)
    if url is None and not as_json:
        typer.echo("Hits and misses are counted by each server: --url asks one.", err=True)


@app.command()
def invalidate(
    ctx: typer.Context,
    customer: Annotated[
        str | None, typer.Option(metavar="ID", help="All that is remembered about one customer.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(metavar="NS", help=f"One namespace: {', '.join(NAMESPACES)}, or a plugin's own.")
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="One entry, as namespace:digest.")] = None,
    url: UrlOption = None,
    admin_key: AdminKeyOption = None,
    as_json: JsonOption = False,
) -> None:
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
    if url is not None:
        removed = _server(ctx, url, admin_key).post("/admin/cache/invalidate", what, "removed")["removed"]
    else:
        from tilores_core.cache.keys import customer_tags
        from tilores_core.cli.cache_tiers import with_cache

        removed = with_cache(
            ctx.obj,
            lambda cache, _: cache.invalidate(
                keys=(key,) if key else (), tags=customer_tags(customer, ()), namespace=namespace
            ),
        )
    _say(removed, as_json=as_json)


@app.command()
def clear(
    ctx: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: UrlOption = None,
    admin_key: AdminKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove everything. Asks first."""
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("there is no terminal to confirm on", param_hint="--yes")
        typer.confirm("Remove everything from the cache?", abort=True, err=True)
    if url is not None:
        server = _server(ctx, url, admin_key)
        used = {*NAMESPACES, *server.get("/admin/cache", "namespaces")["namespaces"]}  # plugins' own as well
        replies = (server.post("/admin/cache/invalidate", {"namespace": name}, "removed") for name in sorted(used))
        removed = sum(reply["removed"] for reply in replies)
    else:
        from tilores_core.cli.cache_tiers import with_cache

        removed = with_cache(ctx.obj, lambda cache, _: cache.clear())
    _say(removed, as_json=as_json)


def _server(ctx: typer.Context, url: str, key: str | None) -> Server:
    from tilores_core.cli.remote import Server

    return Server.of(ctx.obj.environment(), url, key)


def _say(removed: int, *, as_json: bool) -> None:
    emit({"removed": removed}, f"removed {removed} entries", as_json=as_json)


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
