"""What happens in cycles and episodes, as it happens, whichever process makes it happen: read from the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

from tilores_core.improve.cycle import PHASES
from tilores_core.improve.report import cycle_row, episode_row
from tilores_core.resilience import wait_for_event
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import HEALING, IMPROVEMENT

Event = tuple[str, dict[str, Any]]

_CYCLES: Final = 5
_EPISODES: Final = 20


class ImprovementEvents:
    """One for a process: it listens once to the store's change feed, for all who follow."""

    def __init__(self, store: LazyStore) -> None:
        self._store = store
        self._followers: set[asyncio.Event] = set()
        for topic in (IMPROVEMENT, HEALING):
            store.listen(topic, lambda _: self._wake())

    async def follow(self, quiet_seconds: float) -> AsyncGenerator[list[Event]]:
        """What has changed since the list before; the first one is how things stand, and an empty one says that
        nothing has changed for so long. Raises `StoreError`.

        Names: `cycle` (a cycle's row, when it begins, ends or waits for its roll-out), `phase` (one that has ended),
        `progress` (calls so far), `decision`, `episode`.
        """
        changed = asyncio.Event()
        self._followers.add(changed)
        seen: dict[str, Any] = {}
        try:
            while True:
                changed.clear()
                yield await self._look(seen)
                while not await wait_for_event(changed, quiet_seconds):
                    yield []
        finally:
            self._followers.discard(changed)

    def _wake(self) -> None:
        for one in self._followers:
            one.set()

    async def _look(self, seen: dict[str, Any]) -> list[Event]:
        store = await self._store.get()
        events: list[Event] = []
        is_first, seen["begun"] = "begun" not in seen, True

        def add_changed(key: str, name: str, data: dict[str, Any]) -> None:
            if seen.get(key) != data:
                seen[key] = data
                events.append((name, data))

        for cycle in reversed(await store.improvement.recent(limit=_CYCLES)):
            key, about = f"cycle {cycle.id}", {"cycle": cycle.id}
            row = cycle_row(cycle)
            state = {name: row[name] for name in ("id", "state", "created", "strategy")}
            ended = cycle.state in ("done", "failed")
            if not ended:
                add_changed(key, "cycle", state)
            if not (ended and is_first):  # the phases of earlier cycles are in their reports
                for number, phase in enumerate(PHASES, start=1):
                    if phase in cycle.phases:
                        add_changed(f"{key} {phase}", "phase", {**about, "phase": phase, "number": number})
                if "validation" in cycle.phases:
                    add_changed(f"{key} decision", "decision", {**about, **cycle.phases["validation"]["decision"]})
            if cycle.state == "running":
                calls = await store.improvement.count_calls(cycle.id)
                add_changed(f"{key} calls", "progress", {**about, "calls": calls})
            if ended:
                add_changed(key, "cycle", row)
        for episode in reversed(await store.healing.recent(limit=_EPISODES)):
            add_changed(f"episode {episode.id}", "episode", episode_row(episode))
        return events
