"""Live answers, scored in the web process: sampled within a CPU budget, after the reply, and only scores leave it.

The engine says what happened (`count`, `hits`); it is counted at once, which costs a few microseconds. Whether the
answer is scored as well is decided there, by the budget, and only then is its outcome kept (`take`). A task scores
batches of those in a thread, with pauses for callers, and another adds the sums to the store every few seconds. While
the store does not answer, the sums of up to `_MOST_KEPT` windows are kept.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from tilores_core.cache.tiered import TieredCache
from tilores_core.chat.messages import last_question
from tilores_core.chat.stored import answer_from_hit
from tilores_core.chat.turn_context import TurnContext
from tilores_core.contracts import Answer, Outcome
from tilores_core.errors import RequestError, TiloresError, is_perhaps_done
from tilores_core.logs import LastingFault
from tilores_core.quality.cpu_budget import CpuBudget
from tilores_core.quality.recent_runs import RecentRuns
from tilores_core.quality.scoring.scores import Scores, is_scorable, score_live
from tilores_core.resilience import cancel_tasks
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import FEEDBACK
from tilores_core.store.windows import MEASURES, PARTS, WINDOW_MS, Cell

if TYPE_CHECKING:
    from tilores_core.quality.questions.collecting import QuestionCollector  # a server does without it

log = structlog.get_logger(part="quality")

QUALITY_WORK: Final = "quality"
"""The mark that wakes the worker process for the monitor."""
FLUSH_SECONDS: Final = 10.0
_CANDIDATES: Final = 16  # for each per cent of a core: two to three times what that scores until the next batch
_BATCH_SECONDS: Final = 0.2
"""Between two batches, so that a batch has several answers: handing one to a thread costs as much as a score."""
_PAUSE_SECONDS: Final = 0.001
"""Between two answers of a batch: a thread that computes holds up the event loop."""
_MOST_KEPT: Final = 2_000
_MOST_SCORES: Final = 10_000
_MOST_FEEDBACK: Final = 1_000
_cell = lru_cache(maxsize=1024)(Cell)  # one object for all turns of a cell, of which thousands are remembered
_SCORES: Final = ("overall", "groundedness", "abstention", "format")
_PARTS: Final = {name: tuple(f"{name}_{part}" for part in PARTS) for name in MEASURES}

Scorer = Callable[[str, Outcome], Scores]
Sums = defaultdict[str, float]


class ScoreObserver(Protocol):
    """Gets turns with what they scored, one by one: all that belong to an experiment, and of others those for which
    the budget has time. Both methods are quick."""

    def record(self, outcome: Outcome, score: float | None) -> None:
        """Take the score of a turn. `score`: overall, in [0, 1]; None for a turn that failed or was not scored."""

    def record_unreliable(self, outcome: Outcome) -> None:
        """The scorer failed at this turn."""

    async def flush(self) -> None:
        """Add what was recorded to the store. Raises `StoreError`; it is kept then."""


class LiveQuality:
    """Scores and counts live turns. One per web process; what comes in is called on its event loop.

    `cpu_share`: of one core, for scoring and for `observer`, which gets turns that a model answered or that failed.
    `cache`: where the answers are whose replies are served from memory.
    `note`: hears the scores of a run, for its trace. `wake_monitor`: called when there are new scores in the store.
    """

    def __init__(
        self,
        store: LazyStore,
        cache: TieredCache,
        *,
        cpu_share: float,
        score: Scorer | None = None,
        observer: ScoreObserver | None = None,
        collector: QuestionCollector | None = None,
        note: Callable[[str, Mapping[str, float]], None] = lambda run_id, scores: None,
        wake_monitor: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        self._store = store
        self._budget = CpuBudget(cpu_share)
        self._score = score or _score
        self._observer = observer
        self._collector = collector
        self._note_scores = note
        self._wake_monitor = wake_monitor
        self._clock = clock
        self._flush_seconds = flush_seconds
        self._most_candidates = max(_CANDIDATES, round(_CANDIDATES * cpu_share * 100))
        self._candidates: deque[Outcome] = deque()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._sums: dict[tuple[Cell, int], Sums] = {}
        self._scores: dict[Cell, list[float]] = {}
        self._feedback: list[tuple[str, float]] = []
        self._feedback_elsewhere = False
        self._fault = LastingFault("quality.scores_not_stored")
        self._adding = asyncio.Lock()
        self.runs = RecentRuns(partial(_get_stored_spectrum, cache))
        self.hits: Iterator[int] = self.runs.hits
        self.recent = self.runs.recent
        self.counts: Counter[str] = Counter()
        """Answers by what became of them: scored, over_budget, not_scorable, failed, dropped."""
        self.joined: Counter[str] = Counter()
        """Feedback by what became of it: joined, handed_on, ignored, dropped."""
        self.totals: dict[tuple[str, str, str], list[float]] = {}
        """By model, spectrum and score: how many, and their sum."""
        self.failures = 0
        """Times that the sums could not be added to the store."""
        store.listen(FEEDBACK, self._note_feedback_elsewhere)

    # --- what comes in; all of it quick ------------------------------------------------------------------

    def count(self, context: TurnContext, answer: Answer | None, error: BaseException | None) -> bool:
        """Count a turn that was not answered from memory; whether `take` is to get its outcome."""
        if context.turn.purpose != "live":
            return False
        if answer is None:
            if isinstance(error, RequestError | asyncio.CancelledError):  # the caller's doing
                return False
            sums = self._sums_of(Cell(context.model, context.spectrum, context.prompt.version))
            sums["turns"] += 1
            sums["errors"] += 1
            return context.arm is not None or self._budget.allows()
        cell = _cell(answer.model, answer.spectrum, answer.prompt_version)
        self.recent.append((context.turn.run_id, None, cell, None))
        sums = self._sums_of(cell)
        sums["turns"] += 1
        if answer.cache_tier != "miss":
            sums["hits"] += 1
            return False
        _measure(sums, "latency", perf_counter() - context.started)
        if answer.cost is not None:
            _measure(sums, "cost", answer.cost)
        if self._has_time() or context.arm is not None or self._collector is not None:
            return True
        self.counts["over_budget"] += 1
        return False

    def take(self, outcome: Outcome) -> None:
        """The outcome of a turn that `count` wanted: score its answer, if there is still time for it."""
        answer = outcome.answer
        if answer is None:
            self._observe(outcome, None)
            return
        if self._collector is not None:
            self._collector.remember(outcome)
        if not self._has_time():
            self.counts["over_budget"] += 1
            if outcome.arm is not None:
                self._observe(outcome, None)
        elif not is_scorable(outcome, answer):
            self.counts["not_scorable"] += 1
            self._observe(outcome, None)
        else:
            self._candidates.append(outcome)
            self._wake.set()

    def _has_time(self) -> bool:
        return len(self._candidates) < self._most_candidates and self._budget.allows()

    def feedback(self, run_id: str, score: float | None) -> None:
        """Join a score to the answer with this run id. Only scores from 0 to 1 are counted."""
        if score is None or not 0 <= score <= 1:
            self.joined["ignored"] += 1
        elif len(self._feedback) >= _MOST_FEEDBACK:
            self.joined["dropped"] += 1
        else:
            self._feedback.append((run_id, score))

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._flush_often())]

    async def aclose(self, seconds: float = 2.0) -> None:
        """Add what there is to the store, if that is open and answers within `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._adding:
                pass  # what is being added is not given up half-way, and then added again
        await cancel_tasks(*self._tasks)
        self._tasks = []
        if self._store.opened is not None:
            try:
                async with asyncio.timeout(seconds):
                    await self.flush()
            except TimeoutError:
                log.warning("quality.scores_not_stored", windows=len(self._sums), error="the store does not answer")

    @property
    def cpu_seconds(self) -> float:
        return self._budget.used

    @property
    def waiting(self) -> int:
        """Windows that are not in the store yet."""
        return len(self._sums)

    # --- scoring --------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = list(self._candidates)
            self._candidates.clear()
            taken, results = await asyncio.to_thread(self._score_batch, batch, self._budget.left)
            self._budget.charge(taken)
            for outcome, scores in zip(batch, results, strict=True):
                self._note_result(outcome, scores)
            await asyncio.sleep(_BATCH_SECONDS)

    def _score_batch(self, batch: Sequence[Outcome], seconds: float) -> tuple[float, list[Scores | Exception | None]]:
        """CPU seconds that it took, and the scores, the error, or None when `seconds` of CPU time were used up."""
        began = time.thread_time()
        taken, results = 0.0, list[Scores | Exception | None]()
        for outcome in batch:
            if taken >= seconds:
                break
            if results:
                time.sleep(_PAUSE_SECONDS)
            try:
                results.append(self._score(last_question(outcome.turn.messages), outcome))
            except Exception as error:  # one answer that cannot be scored must not end the scoring
                results.append(error)
            taken = time.thread_time() - began
        # The others do not even wait: each time that this thread goes on it takes the interpreter from the requests.
        return taken, results + [None] * (len(batch) - len(results))

    def _note_result(self, outcome: Outcome, scores: Scores | Exception | None) -> None:
        if isinstance(scores, Exception):
            self.counts["failed"] += 1
            log.warning("quality.scoring_failed", error=type(scores).__name__, failed=self.counts["failed"])
            if self._observer is not None:
                self._observer.record_unreliable(outcome)
            return
        self.counts["over_budget" if scores is None else "scored"] += 1
        if scores is not None and (answer := outcome.answer) is not None:
            self._note(Cell(answer.model, answer.spectrum, answer.prompt_version), scores)
            self._note_scores(outcome.turn.run_id, scores.as_numbers())
        self._observe(outcome, None if scores is None else scores.overall)

    def _observe(self, outcome: Outcome, score: float | None) -> None:
        if self._observer is not None:
            began = time.thread_time()
            self._observer.record(outcome, score)
            self._budget.charge(time.thread_time() - began)

    def _note(self, cell: Cell, scores: Scores) -> None:
        sums = self._sums_of(cell)
        for name in _SCORES:
            value = getattr(scores, name)
            if value is None:
                continue
            _measure(sums, name, value)
            total = self.totals.setdefault((cell.model, cell.spectrum, name), [0, 0.0])
            total[0] += 1
            total[1] += value
        if sum(map(len, self._scores.values())) < _MOST_SCORES and scores.overall is not None:
            self._scores.setdefault(cell, []).append(scores.overall)

    def _sums_of(self, cell: Cell, at_ms: int | None = None) -> Sums:
        """Where what happens now, or happened then, is counted."""
        at_ms = round(self._clock() * 1000) if at_ms is None else at_ms
        key = (cell, at_ms - at_ms % WINDOW_MS)
        sums = self._sums.get(key)
        if sums is None:
            sums = defaultdict(float)
            if len(self._sums) < _MOST_KEPT:
                self._sums[key] = sums
            else:
                self.counts["dropped"] += 1
        return sums

    # --- to the store ------------------------------------------------------------------------------------

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(self._flush_seconds)
            await self.flush()

    async def flush(self) -> None:
        """Add what was counted to the store; what is not added, for certain, is kept for the next time."""
        for cell, number in self.runs.take_hits().items():
            sums = self._sums_of(cell)
            sums["turns"] += number
            sums["hits"] += number
        try:
            await self._join_feedback()
            if self._collector is not None:
                await self._collector.flush()
            await self._add_to_store()
            if self._observer is not None:
                await self._observer.flush()
        except TiloresError as error:
            self.failures += 1
            if self._fault.is_new(error.message):
                log.warning("quality.scores_not_stored", windows=len(self._sums), error=error.message, fix=error.fix)
        else:
            self._fault.end()

    async def _add_to_store(self) -> None:
        if not self._sums:
            return
        store = await self._store.get()
        sums, self._sums = self._sums, {}
        scores, self._scores = self._scores, {}
        try:
            async with self._adding:
                await store.windows.add(sums, scores, now_ms=round(self._clock() * 1000))
            self._wake_monitor()
        except BaseException as error:
            if is_perhaps_done(error):
                raise  # counted twice is worse than not counted
            for (cell, at_ms), values in sums.items():
                kept = self._sums_of(cell, at_ms)
                for name, value in values.items():
                    kept[name] += value
            for cell, given in scores.items():
                self._scores[cell] = given + self._scores.get(cell, [])
            raise

    async def _join_feedback(self) -> None:
        given, self._feedback = self._feedback, []
        unknown = [(run_id, score) for run_id, score in given if not self._join(run_id, score)]
        elsewhere, self._feedback_elsewhere = self._feedback_elsewhere, False
        if not unknown and not elsewhere:
            return
        handing_on = False
        try:
            store = await self._store.get()
            if elsewhere:
                known = {row.id: row for row in await store.feedback.waiting() if self.runs.find(row.run_id)}
                for claimed in await store.feedback.claim(list(known)) if known else ():
                    self._join(known[claimed].run_id, known[claimed].score)
            if unknown:
                handing_on = True
                await store.feedback.put(unknown, now_ms=round(self._clock() * 1000))
                self.joined["handed_on"] += len(unknown)
                self._store.notify(FEEDBACK)
        except BaseException as error:
            if not (handing_on and is_perhaps_done(error)):  # handed on twice it would count twice
                self._feedback = (unknown + self._feedback)[:_MOST_FEEDBACK]
            self._feedback_elsewhere = self._feedback_elsewhere or elsewhere
            raise

    def _join(self, run_id: str, score: float) -> bool:
        cell = self.runs.find(run_id)
        if cell is None:
            return False
        _measure(self._sums_of(cell), "feedback", score)
        self.joined["joined"] += 1
        if self._collector is not None:
            self._collector.rate(run_id, score)
        return True

    def _note_feedback_elsewhere(self, _: int) -> None:
        self._feedback_elsewhere = True


def _get_stored_spectrum(cache: TieredCache, key: str) -> str | None:
    hit = cache.get_from_memory(key)
    return None if hit is None else answer_from_hit(hit, hit.stored_at).spectrum


def _score(question: str, outcome: Outcome) -> Scores:
    assert outcome.answer is not None
    return score_live(question, outcome.answer.text, outcome.customer)


def _measure(sums: Sums, name: str, value: float) -> None:
    count, total, squares = _PARTS[name]
    sums[count] += 1
    sums[total] += value
    sums[squares] += value * value
