"""What helped and what hurt in earlier cycles, and its use: apply what is sure, else explore."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tilores_core.contracts import Change, Lesson, OptimizerStrategy, ScoredCandidate, ScoredCase
from tilores_core.errors import BudgetSpentError, InvalidRequestError
from tilores_core.statistics import Moments, average
from tilores_core.statistics.distributions import beta_cdf, normal_quantile

if TYPE_CHECKING:
    from datetime import datetime

    from tilores_core.improve.engine import ContinuousOptimizationEngine
    from tilores_core.store.improvement import Improvement, StoredCycle

_HALF_LIFE_DAYS: Final = 60.0
_DAY_MS: Final = 86_400_000
_MOST_EVIDENCE: Final = 10.0
"""Pairs of one cycle depend on each other: together they count as so many at most."""

_IMPROVED: Final = ("deploy", "propose")
_SURE: Final = 0.9
_LEAST_GAIN: Final = 0.002
_MOST_APPLIED: Final = 12
_GOOD_ENOUGH: Final = 0.95
_LARGEST_FILE: Final = 50_000_000
_MOST_ROWS: Final = 100_000
_LONGEST: Final = 2_000
_Name = Annotated[str, StringConstraints(max_length=200)]


class Observation(BaseModel):
    """What one cycle has measured of one instruction, as it is kept, exported and imported: paired differences of the
    overall score, by model and by spectrum. `helped` and `hurt` count pairs that changed."""

    model_config = ConfigDict(allow_inf_nan=False, frozen=True)

    cycle: str = Field("", max_length=64)
    part: str = Field(min_length=1, max_length=_LONGEST)
    instruction: str = Field(min_length=1, max_length=_LONGEST)
    fault: str | None = Field(max_length=40)
    pairs: int
    total: float
    squares: float
    helped: int
    hurt: int
    by_model: dict[_Name, float] = {}
    by_spectrum: dict[_Name, float] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonSummary:
    """An instruction with all that was observed of it: mean gain over pairs of answers with its 95 % interval
    (normal), where it was seen, and the chance that it helps more answers than it hurts."""

    lesson: Lesson
    pairs: int
    low: float
    high: float
    by_model: Mapping[str, float]
    by_spectrum: Mapping[str, float]


class LearningAccumulator:
    """Observations of instructions, in the store. They are only ever added, and the id of one is a digest of it, so
    that those of replicas are merged without loss in any order, and the same one twice counts once.

    The confidence is the chance that more than half of the answers that an instruction changes get better: a Beta
    posterior over the pairs that changed, from Beta(1, 1), older cycles halved every 60 days, each counting as ten
    pairs at most.
    """

    def __init__(self, store: Improvement) -> None:
        self._store = store

    async def summarise(
        self, *, models: Iterable[str] = (), spectrums: Iterable[str] = (), now_ms: int | None = None
    ) -> list[LessonSummary]:
        """The surest first. `models`, `spectrums`: only instructions that were seen with one of these. Raises
        `StoreError`."""
        groups: dict[Change, list[tuple[float, Mapping[str, Any]]]] = {}
        now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        for row in await self._store.lessons():
            body = row["body"]
            change = Change(part=body["part"], instruction=body["instruction"], fault=body["fault"])
            age = max(0, now - row["at_ms"]) / _DAY_MS
            groups.setdefault(change, []).append((0.5 ** (age / _HALF_LIFE_DAYS), body))
        wanted, about = set(models), set(spectrums)
        found = [
            one
            for change, seen in groups.items()
            if (one := _summarise_change(change, seen))
            and (not wanted or wanted & one.by_model.keys())
            and (not about or about & one.by_spectrum.keys())
        ]
        return sorted(
            found, key=lambda one: (-one.lesson.confidence, -one.lesson.gain, one.lesson.change.instruction)
        )

    async def export_json(self) -> bytes:
        """All observations as a JSON document."""
        return orjson.dumps({"observations": await self._store.lessons(limit=_MOST_ROWS)}, option=orjson.OPT_INDENT_2)

    async def import_json(self, data: bytes) -> int:
        """Merge what `export_json` gave; how many were new. Raises `InvalidRequestError` for another document."""
        if len(data) > _LARGEST_FILE:
            raise InvalidRequestError("the file is larger than 50 MB", param="FILE")
        try:
            rows = orjson.loads(data)["observations"]
            checked = [_build_row(int(row["at_ms"]), Observation.model_validate(row["body"])) for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidRequestError(
                f"this is not a file of lessons ({type(error).__name__})",
                param="FILE",
                fix="give a file that `tilores learning export` wrote",
            ) from None
        if len(checked) > _MOST_ROWS:
            raise InvalidRequestError(f"there are more than {_MOST_ROWS:,} observations", param="FILE")
        return await self._store.add_lessons(checked)


def measure_gains(tried: Iterable[ScoredCandidate]) -> list[Observation]:
    """Of each candidate that differs by one instruction from another one that was scored; a whole part rewritten fits
    no other prompt."""
    by_changes = {one.candidate.changes: one for one in tried}
    gains: dict[Change, Observation] = {}
    for changes, one in by_changes.items():
        parent = by_changes.get(changes[:-1]) if changes and len(changes[-1].instruction) <= _LONGEST else None
        if parent is not None and (gain := _compare(changes[-1], parent.cases, one.cases)).pairs:
            before = gains.get(changes[-1])
            if before is None or gain.pairs > before.pairs:
                gains[changes[-1]] = gain
    return [*gains.values()]


def _compare(change: Change, before: Sequence[ScoredCase], after: Sequence[ScoredCase]) -> Observation:
    known = {(case.model, case.id): case.score for case in before}
    pairs = [(case, case.score - known[case.model, case.id]) for case in after if (case.model, case.id) in known]
    differences = [difference for _, difference in pairs]

    def means(place: Callable[[ScoredCase], str]) -> dict[str, float]:
        names = sorted({place(case) for case, _ in pairs})
        return {name: average([difference for case, difference in pairs if place(case) == name]) for name in names}

    return Observation(
        **asdict(change),
        pairs=len(pairs),
        total=math.fsum(differences),
        squares=math.fsum(difference * difference for difference in differences),
        helped=sum(difference > 0 for difference in differences),
        hurt=sum(difference < 0 for difference in differences),
        by_model=means(lambda case: case.model),
        by_spectrum=means(lambda case: case.spectrum),
    )


def observations(cycle_id: str, at_ms: int, gains: Iterable[Observation]) -> list[dict[str, Any]]:
    """Rows of the store for what a cycle has measured."""
    return [_build_row(at_ms, gain.model_copy(update={"cycle": cycle_id})) for gain in gains]


def _build_row(at_ms: int, observation: Observation) -> dict[str, Any]:
    """The id is a digest of the rest: rows are equal when their ids are, so that merging is a union of sets."""
    body = observation.model_dump()
    data = orjson.dumps([at_ms, body], option=orjson.OPT_SORT_KEYS)
    return {"id": hashlib.sha256(data).hexdigest()[:40], "at_ms": at_ms, "body": body}


def choose_strategy(cycles: Iterable[StoredCycle], names: Iterable[str], *, now: datetime) -> str:
    """The strategy whose next cycle is the likeliest to find an improvement: the mean of a Beta posterior over its
    cycles, from Beta(1, 1), older ones halved every 60 days; of equals the first. `names`: at least one."""
    found = {name: [1.0, 1.0] for name in names}
    for cycle in cycles:
        name, validation = cycle.options["strategy"], cycle.phases.get("validation")
        if name in found and validation is not None:
            days = max(0.0, (now - cycle.created).total_seconds() * 1000 / _DAY_MS)
            found[name][validation["decision"]["outcome"] not in _IMPROVED] += 0.5 ** (days / _HALF_LIFE_DAYS)
    return max(found, key=lambda name: found[name][0] / sum(found[name]))


class SelfImprovingOptimizer:
    """Applies what earlier cycles are sure of before a strategy explores; where that is enough it does not."""

    def __init__(self, strategy: OptimizerStrategy) -> None:
        self._strategy = strategy

    async def run(self, engine: ContinuousOptimizationEngine) -> tuple[list[ScoredCandidate], str]:
        """As `ContinuousOptimizationEngine.run`."""
        present = engine.baseline.candidate
        said = "\n".join(present.parts.values())
        candidate = present.with_change(
            *(
                lesson.change
                for lesson in engine.lessons[:_MOST_APPLIED]
                if lesson.confidence >= _SURE and lesson.gain > 0
                if lesson.change.instruction not in said and lesson.change.part in present.parts
            )
        )
        try:
            scored = await engine.select([candidate], 1) if candidate.changes else []
        except BudgetSpentError as error:
            return [], error.message
        if scored and scored[0].score - engine.baseline.score > _LEAST_GAIN:
            if scored[0].score >= _GOOD_ENOUGH:
                return engine.choose_better(scored), ""
            engine.baseline = scored[0]  # what the strategy begins with
        return await engine.run(self._strategy)


def _summarise_change(change: Change, seen: Sequence[tuple[float, Mapping[str, Any]]]) -> LessonSummary:
    a = b = 1.0
    moments = Moments()
    for weight, body in seen:
        changed = body["helped"] + body["hurt"]
        scale = weight * min(1.0, _MOST_EVIDENCE / changed) if changed else 0.0
        a += scale * body["helped"]
        b += scale * body["hurt"]
        moments.merge(Moments.of_sums(count=body["pairs"], total=body["total"], squares=body["squares"]))
    half = normal_quantile(0.975) * math.sqrt(moments.variance / moments.count) if moments.count else 0.0
    return LessonSummary(
        lesson=Lesson(change=change, gain=moments.mean, confidence=1.0 - beta_cdf(0.5, a, b), observations=len(seen)),
        pairs=round(moments.count),
        low=moments.mean - half,
        high=moments.mean + half,
        by_model=_mean_gains(body["by_model"] for _, body in seen),
        by_spectrum=_mean_gains(body.get("by_spectrum", {}) for _, body in seen),
    )


def _mean_gains(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    gains: dict[str, list[float]] = {}
    for row in rows:
        for name, gain in row.items():
            gains.setdefault(name, []).append(gain)
    return {name: average(found) for name, found in sorted(gains.items())}
