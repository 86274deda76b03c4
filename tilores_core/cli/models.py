"""`tilores models`."""

from __future__ import annotations

import asyncio
import dataclasses

import orjson
import typer

from tilores_core.cli.options import Options
from tilores_core.contracts import ModelInfo


def models(options: Options, *, json: bool) -> None:
    """One line a model, the default marked. Needs neither the customer source nor the cache."""
    default, rows = asyncio.run(_listing(options))
    if json:
        listing = [{**dataclasses.asdict(info), "id": name, "default": name == default} for name, info in rows]
        typer.echo(orjson.dumps(listing))
        return
    width = max((len(name) for name, _ in rows), default=0)
    for name, info in rows:
        typer.echo(f"{name:<{width}}  {_notes(info, is_default=name == default)}".rstrip())


async def _listing(options: Options) -> tuple[str, list[tuple[str, ModelInfo]]]:
    from tilores_core.app import build_models

    host = options.host()
    try:
        known = build_models(host)
        return known.default, [(f"{provider}:{info.id}", info) for provider, info in known.listing()]
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
