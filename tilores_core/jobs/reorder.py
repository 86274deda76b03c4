"""Results come in any order and leave in the order of their places; how far they may be apart is bounded."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Reorder(Generic[T]):
    """Holds what came too early. No I/O, no waiting: `has_room` says who may begin."""

    def __init__(self, *, first: int, window: int) -> None:
        self.next = first
        """The place that leaves next."""
        self._window = window
        self._early: dict[int, T] = {}

    def has_room(self, place: int) -> bool:
        """May `place` be begun? Otherwise its result might have to wait for more than `window` others."""
        return place < self.next + self._window

    def put(self, place: int, result: T) -> list[T]:
        """What leaves now, in order. Raises `ValueError` for a place that has left, waits, or has no room."""
        if place < self.next or place in self._early or not self.has_room(place):
            raise ValueError(f"place {place} is not awaited; next is {self.next}")
        self._early[place] = result
        leaving = []
        while self.next in self._early:
            leaving.append(self._early.pop(self.next))
            self.next += 1
        return leaving

    def early(self) -> dict[int, T]:
        """What waits, by place."""
        return dict(self._early)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._early)
