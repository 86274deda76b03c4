"""Words for errors, for observers and access lines."""

from __future__ import annotations

from tilores_core.errors import TiloresError


def error_code(error: BaseException) -> str:
    """A short stable word for an error: `SourceUnavailableError` -> `source_unavailable`."""
    name = type(error).__name__.removesuffix("Error")
    if not isinstance(error, TiloresError):
        return "cancelled" if name in ("Cancelled", "GeneratorExit") else "internal"
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
