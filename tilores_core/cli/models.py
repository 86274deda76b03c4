"""`tilores models`."""

from __future__ import annotations

import asyncio
import dataclasses

import orjson
import typer

from tilores_core.cli.options import Options
from tilores_core.contracts import ModelInfo

_NOTHING = dataclasses.asdict(ModelInfo(id=""))


def models(options: Options, *, json: bool) -> None:
    """One line a model, the default marked; one a provider whose library is not installed, with what to do for it.

    Needs neither the customer source nor the cache.
    """
    default, rows, idle = asyncio.run(_listing(options))
    if json:
        listing = [{**dataclasses.asdict(info), "id": name, "default": name == default} for name, info in rows]
        listing += [{**_NOTHING, "id": f"{name}:*", "unavailable": fix, "default": False} for name, fix in idle]
        typer.echo(orjson.dumps(listing))
        return
    lines = [(name, _notes(info, is_default=name == default)) for name, info in rows]
    lines += [(f"{name}:*", f"unavailable: {fix}") for name, fix in idle]
    width = max((len(name) for name, _ in lines), default=0)
    for name, notes in lines:
        typer.echo(f"{name:<{width}}  {notes}".rstrip())


async def _listing(options: Options) -> tuple[str, list[tuple[str, ModelInfo]], list[tuple[str, str]]]:
    from tilores_core.services import build_models

    host = options.host()
    try:
        known = build_models(host)
        rows = [(f"{provider}:{info.id}", info) for provider, info in known.listing()]
        return known.default, rows, sorted(known.idle.items())
    finally:
        await host.aclose()


def _notes(info: ModelInfo, *, is_default: bool) -> str:
    notes = (
        "default" if is_default else "",
        "simulated" if info.simulated else "",
        f"context {info.context_window}" if info.context_window else "",
        f"unavailable: {info.unavailable}" if info.unavailable else "",
    )
    return ", ".join(filter(None, notes))
