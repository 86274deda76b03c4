"""Calls to the customer source, with a timeout and a count of outcomes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from tilores_core.contracts import CustomerSource
from tilores_core.errors import RequestError, SourceUnavailableError, error_code
from tilores_core.resilience import Condition, TimeLimit

T = TypeVar("T")

_PROBE_AGAIN: Final = 30.0
_PROBE_ID: Final = "health-probe"


class SourceNotes(Protocol):
    """Counts look-ups. Called in the path of a turn: it must not wait."""

    def looked_up(self, outcome: str, seconds: float) -> None:
        """A look-up has ended; `outcome` is ok or an error code."""


class SourceCalls:
    """Calls the source within a time limit, and keeps whether it works.

    `name`: the source's registered name. `seconds`: the longest time for one call. `notes` gets every look-up.
    """

    def __init__(
        self, source: CustomerSource, *, name: str, seconds: float, notes: SourceNotes | None = None
    ) -> None:
        self.seconds = seconds
        self.condition = Condition()
        """Whether the last look-up worked."""
        self._source = source
        self._name = name
        self._notes = notes

    async def in_time(self, asked: Awaitable[T]) -> T:
        """What the source answers. Raises `SourceUnavailableError` when that takes too long."""
        try:
            with TimeLimit(self.seconds):
                return await asked
        except TimeoutError:
            raise SourceUnavailableError(
                f"the customer source {self._name!r} did not answer within {self.seconds:g} s",
                fix="try again; [chat] source_seconds in plugins.toml sets the limit",
            ) from None

    async def note_outcome(self, looking: Awaitable[T], *, asked: Callable[[T], bool] = lambda found: True) -> T:
        """As `in_time`, with a note of how it went. `asked`: did what was found need the source at all?"""
        started = time.perf_counter()
        try:
            found = await self.in_time(looking)
        except RequestError:  # it was not the source's fault
            raise
        except Exception as error:
            self.condition.record_failure(error_code(error))
            self._note(error_code(error), started)
            raise
        if asked(found):
            self.condition.record_success(time.perf_counter() - started)
            self._note("ok", started)
        return found

    async def probe(self, seconds: float) -> bool:
        """Check whether the source works by asking for an id that does not exist, unless a look-up has worked within
        half a minute. False when there is no answer in time."""
        if not self.condition.failing and self.condition.age < _PROBE_AGAIN:
            return True
        started = time.perf_counter()
        try:
            async with asyncio.timeout(seconds):
                await self._source.get(_PROBE_ID)
        except TimeoutError:
            return False
        except Exception as error:
            self.condition.record_failure(error_code(error))
        else:
            self.condition.record_success(time.perf_counter() - started)
        return True

    def _note(self, outcome: str, started: float) -> None:
        if self._notes is not None:
            self._notes.looked_up(outcome, time.perf_counter() - started)
