"""What every process does for healing: count what live turns show, and leave alone the models that are held.

Counted: what providers say they used, the hash of the source's schema, and which fields records have. Values of
customers stay where they are.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import structlog

from tilores_core.chat.routing.health import Hold, Holds
from tilores_core.contracts import Outcome
from tilores_core.errors import StoreError, is_perhaps_done
from tilores_core.quality.live import ScoreObserver
from tilores_core.resilience import cancel_tasks
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import HEALING

if TYPE_CHECKING:
    from tilores_core.store.healing import SignalKind

log = structlog.get_logger(part="improve")

_MOST_SEEN: Final = 2_000
_AGAIN_SECONDS: Final = 5.0
_NOTICED_SECONDS: Final = 20.0
"""At most, from the first answer of a changed model until the store has a signal of it."""


class HealthSignals:
    """A `ScoreObserver` of a web process; `behind` gets every turn as well. `shown`: the name under which a
    model is kept, since callers choose those of unlisted models freely. `source`: the customer source's name."""

    def __init__(
        self,
        store: LazyStore,
        behind: ScoreObserver,
        *,
        shown: Callable[[str], str],
        source: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._behind = behind
        self._shown = shown
        self._source = source
        self._clock = clock
        self._seen: Counter[tuple[SignalKind, str, str]] = Counter()
        self._fields: Counter[str] = Counter()
        """Customers by the name of a field that they have; "" counts all."""

    def record(self, outcome: Outcome, score: float | None) -> None:
        """Count what a turn shows. Never waits."""
        self._behind.record(outcome, score)
        if len(self._seen) > _MOST_SEEN:
            return
        for attempt in outcome.attempts:
            if attempt.served_by is not None:
                self._seen["served_by", self._shown(attempt.model), attempt.served_by] += 1
        if outcome.answer is not None and outcome.answer.schema_hash:
            self._seen["schema", self._source, outcome.answer.schema_hash] += 1
        if outcome.customer is not None and len(self._fields) < _MOST_SEEN:
            self._fields.update({""}.union(*(record.fields for record in outcome.customer.records)))

    def record_unreliable(self, outcome: Outcome) -> None:
        self._behind.record_unreliable(outcome)

    async def flush(self) -> None:
        """Add what was seen to the store. Raises `StoreError`; it is kept then."""
        seen, self._seen = self._seen, Counter()
        fields, self._fields = self._fields, Counter()
        if not seen and not fields:
            return
        try:
            store = await self._store.get()
            counts: dict[tuple[SignalKind, str, str], int] = {**seen}
            counts |= {("field", self._source, name): number for name, number in fields.items()}
            await store.healing.add_signals(counts, now_ms=round(self._clock() * 1000))
        except BaseException as error:
            if is_perhaps_done(error):
                raise
            self._seen.update(seen)
            self._fields.update(fields)
            raise


class ModelHolds:
    """Keeps the models that episodes hold out of the way of this process's turns, until their time is over: of those
    of the spectrums where quality was breached, or of all.

    What such a model answered there since its provider changed is not served from the cache meanwhile.

    `hold`: gets them by model and spectrum ("": all); they replace what it got before. Each process follows the
    store's change feed.
    """

    def __init__(
        self,
        store: LazyStore,
        hold: Callable[[Holds], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._hold = hold
        self._clock = clock
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._store.listen(HEALING, lambda _: self._changed.set())
        self._task = asyncio.create_task(self._run(), name="model holds")

    async def aclose(self) -> None:
        await cancel_tasks(self._task)

    async def follow(self) -> dict[tuple[str, str], Hold]:
        """Hold what is to be held now. Raises `StoreError`."""
        now = self._clock() * 1000
        held = {
            (one.body["model"], spectrum): Hold((one.body["held_until_ms"] - now) / 1000, _changed_at(one.body))
            for one in reversed(await (await self._store.get()).healing.recent(limit=100))
            if one.body.get("held_until_ms", 0) > now
            for spectrum in one.body["spectrums"] or [""]
        }
        self._hold(held)
        return held

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                if held := await self.follow():
                    log.info("healing.models_held", models=sorted({model for model, _ in held}))
            except StoreError:
                await asyncio.sleep(_AGAIN_SECONDS)
                self._changed.set()


def _changed_at(body: Mapping[str, Any]) -> float:
    """When the model that an episode holds began to answer otherwise; infinite where it only failed."""
    since: float = body["evidence"].get("since_ms", math.inf)
    return since / 1000 - _NOTICED_SECONDS
