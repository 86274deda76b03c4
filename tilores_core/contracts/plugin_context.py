"""What a plugin's factories get: `PluginContext`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tilores_core.contracts.source import Identifiers


class CallEvents(Protocol):
    """Receives the beginning of phone calls. A router's requests find it as `request.app.state.calls`."""

    def begins(self, identifiers: Identifiers, *, scope: str | None = None) -> bool:
        """Prepare answers for this caller in the background; returns at once, and never raises.

        `identifiers` need not be normalised. `scope`: that of the key which will ask, by default "default".
        Returns False when they identify no caller, as a withheld number does. True does not mean that there is such a
        customer: whether there is must not be disclosed.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginContext:
    """What a factory gets: the plugin's validated settings and where it may keep files.

    `settings` is an instance of the settings model that the spec names (None without one). A factory never
    reads the environment: references in plugins.toml and `environment` in the spec are resolved before.
    """

    plugin_id: str
    settings: Any  # the plugin's own pydantic model; only the plugin knows its type
    data_dir: Path
