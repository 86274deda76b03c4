"""`tilores models`."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

import orjson
import typer

from tilores_core.cli.options import Options

if TYPE_CHECKING:
    from tilores_core.app import Services


def models(options: Options, *, json: bool) -> None:
    """One line a model, the default marked."""

    async def work(services: Services) -> tuple[str, list[tuple[str, dict[str, object]]]]:
        known = services.engine.models
        return known.default, [(f"{p}:{info.id}", dataclasses.asdict(info)) for p, info in known.listing()]

    default, rows = options.run(work)
    if json:
        listing = [{**info, "id": name, "default": name == default} for name, info in rows]
        sys.stdout.buffer.write(orjson.dumps(listing) + b"\n")
        return
    width = max((len(name) for name, _ in rows), default=0)
    for name, info in rows:
        notes = [
            "default" if name == default else "",
            "simulated" if info["simulated"] else "",
            f"context {info['context_window']}" if info["context_window"] else "",
            f"unavailable: {info['unavailable']}" if info["unavailable"] else "",
        ]
        typer.echo(f"{name:<{width}}  {', '.join(filter(None, notes))}".rstrip())
