"""Which models are compared when none are named."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tilores_core.contracts import ModelInfo

MOST: Final = 7


def default_models(listing: Iterable[tuple[str, ModelInfo]]) -> tuple[tuple[str, ...], bool]:
    """The full names of seven models at most, and whether they are simulated.

    One per provider that can be used: the first that it lists. Where none can, as there are no keys, the simulated
    ones that have a weakness each, in the order in which they are listed.
    """
    real: dict[str, str] = {}
    simulated: list[str] = []
    for provider, info in listing:
        if info.unavailable is not None:
            continue
        name = f"{provider}:{info.id}"
        if info.simulated:
            simulated.append(name)
        else:
            real.setdefault(provider, name)
    if real:
        return tuple(real.values())[:MOST], False
    return tuple(simulated[-MOST:]), True
