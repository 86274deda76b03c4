"""Writes that take effect later, as in the real service: accepted now, assembled after a delay."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.tilores_instance.world import World


@dataclass(frozen=True, slots=True)
class _Waiting:
    timer: asyncio.TimerHandle
    act: Callable[[], None]


class Submissions:
    """`delay_seconds` is how long a write waits from now on; 0 is at once. Writes keep their order, and `settle()`
    ends the waiting."""

    def __init__(self, world: World, delay_seconds: float = 0.0) -> None:
        self._world = world
        self.delay_seconds = delay_seconds
        self._waiting: dict[int, _Waiting] = {}
        self._count = 0

    def submit(self, records: Sequence[dict[str, Any]]) -> None:
        self._later(lambda: self._world.submit(records))

    def disassemble(self, pairs: set[frozenset[str]], records: Sequence[str], *, ban: bool) -> None:
        """Cuts these edges, and each of these records off from everybody."""

        def act() -> None:
            if pairs:
                self._world.cut(pairs, ban=ban)
            for one in records:
                if self._world.record(one) is not None:
                    self._world.split([one], ban=ban)

        self._later(act)

    def minutes_left(self) -> int | None:
        """Until everything is assembled, rounded up; None when nothing waits."""
        if not self._waiting:
            return None
        last = max(one.timer.when() for one in self._waiting.values())
        return max(1, math.ceil((last - asyncio.get_running_loop().time()) / 60))

    def close(self) -> None:
        """Forgets what waits."""
        for one in self._waiting.values():
            one.timer.cancel()
        self._waiting.clear()

    def settle(self) -> None:
        """Whatever waits takes effect now."""
        for number in list(self._waiting):
            self._due(number)

    def _later(self, act: Callable[[], None]) -> None:
        if self.delay_seconds <= 0 and not self._waiting:
            act()
            return
        loop = asyncio.get_running_loop()
        earliest = max((one.timer.when() for one in self._waiting.values()), default=0.0)
        self._count += 1
        timer = loop.call_at(max(loop.time() + self.delay_seconds, earliest), self._due, self._count)
        self._waiting[self._count] = _Waiting(timer, act)

    def _due(self, number: int) -> None:
        waiting = self._waiting.pop(number)
        waiting.timer.cancel()
        waiting.act()
