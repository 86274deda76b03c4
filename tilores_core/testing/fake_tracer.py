"""A tracer that keeps what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tilores_core.contracts import Feedback, Trace


class FakeTracer:
    """`traces` and `feedbacks` hold what came, oldest first. With `error` set calls raise it; with `hangs` they wait
    until they are cancelled. `calls` counts the calls, failed ones as well."""

    def __init__(self, *, error: Exception | None = None, hangs: bool = False) -> None:
        self.error = error
        self.hangs = hangs
        self.traces: list[Trace] = []
        self.feedbacks: list[Feedback] = []
        self.calls = 0
        self.closed = False

    async def record(self, traces: Sequence[Trace]) -> None:
        await self._work()
        self.traces += traces

    async def feedback(self, feedback: Feedback) -> None:
        await self._work()
        self.feedbacks.append(feedback)

    async def aclose(self) -> None:
        self.closed = True

    async def _work(self) -> None:
        self.calls += 1
        if self.closed:
            raise RuntimeError("the tracer is closed")
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
