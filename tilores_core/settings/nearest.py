"""The known name that a misspelt one was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name of `known` most like `name`, or None when none is alike."""
    matches = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def suggest(name: str, known: Iterable[str]) -> str:
    """What to say of an unknown name: the nearest known one, else all of them."""
    names = sorted(set(known))
    match = nearest(name, names)
    if match:
        return f"did you mean '{match}'?"
    return f"known: {', '.join(names)}" if names else "there is none"
