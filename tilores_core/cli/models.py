"""`tilores models`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tilores_core.cli.options import Options
from tilores_core.cli.output import Output

if TYPE_CHECKING:
    from tilores_core.contracts import ModelInfo


async def models(options: Options) -> Output:
    """List the models."""
    # One line a model, the default marked; one a provider whose library is not installed, with what to do for it.
    # Needs neither the customer source nor the cache.
    from tilores_core.contracts import ModelInfo
    from tilores_core.services import build_models

    async with options.open_host() as host:
        known = build_models(host)
        default, idle = known.default, sorted(known.idle.items())
        rows = [(f"{provider}:{info.id}", info) for provider, info in known.listing()]
    nothing = dataclasses.asdict(ModelInfo(id=""))
    listing = [{**dataclasses.asdict(info), "id": name, "default": name == default} for name, info in rows]
    listing += [{**nothing, "id": f"{name}:*", "unavailable": fix, "default": False} for name, fix in idle]
    lines = [(name, _notes(info, is_default=name == default)) for name, info in rows]
    lines += [(f"{name}:*", f"unavailable: {fix}") for name, fix in idle]
    width = max((len(name) for name, _ in lines), default=0)
    return Output(listing, *(f"{name:<{width}}  {notes}".rstrip() for name, notes in lines))


def _notes(info: ModelInfo, *, is_default: bool) -> str:
    notes = (
        "default" if is_default else "",
        "simulated" if info.simulated else "",
        f"context {info.context_window}" if info.context_window else "",
        f"unavailable: {info.unavailable}" if info.unavailable else "",
    )
    return ", ".join(filter(None, notes))
