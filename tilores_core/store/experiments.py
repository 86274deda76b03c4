"""Experiments with their decisions, and the sums of each arm and step, to which every web process adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from sqlalchemy import BigInteger, Column, Float, Index, Row, String, Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.errors import ConflictError
from tilores_core.store.audit import record
from tilores_core.store.changes import bump
from tilores_core.store.repository import Repository, read_row
from tilores_core.store.schema import PREFIX, fit_row, instant, make_table, metadata, now_ms, upsert
from tilores_core.store.topics import EXPERIMENTS
from tilores_core.store.windows import ArmSums

ExperimentState = Literal["running", "ended"]

SUMS: Final = tuple(field.name for field in fields(ArmSums))

experiment_sums = Table(
    f"{PREFIX}experiment_sums",
    metadata,
    Column("experiment_id", String(64), primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("arm", String(16), primary_key=True),
    *(Column(name, Float, nullable=False) for name in SUMS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An experiment in the store.

    `plan`: as `ExperimentPlan` dumps it. `control`: the version in production at the start. `slice`: buckets that
    take part. `weights`: the candidate's share by step, the last one in force since `step_began`. `outcome`: how it
    ended. `verdict`: the last look's numbers. `looks`: a few of all looks, for charts.
    """

    id: Annotated[str, String(64)]
    name: Annotated[str, String(64)]
    state: Annotated[ExperimentState, String(16)]
    plan: Mapping[str, Any]
    control: int
    slice: tuple[int, int]
    weights: tuple[float, ...]
    step_began: datetime
    started: datetime
    ended: datetime | None = None
    outcome: Annotated[str | None, String(32)] = None
    reason: str | None = None
    verdict: Mapping[str, Any] = field(default_factory=dict)
    looks: Sequence[Mapping[str, Any]] = ()


experiments = make_table(
    "experiments",
    Experiment,
    *(Column(name, BigInteger, nullable=False) for name in ("slice_first", "slice_end", "step_ms")),
    Index(None, "started_ms"),
    Index(None, "state"),
    without=("slice", "step_began"),
)


class Experiments(Repository):
    """Every method raises `StoreError`; what a writing one has returned from is committed, with the topic
    `experiments` raised where assignment changes."""

    async def list(self, *, state: ExperimentState | None = None, limit: int = 100) -> list[Experiment]:
        """The newest first."""
        statement = select(experiments).order_by(experiments.c.started_ms.desc(), experiments.c.id).limit(limit)
        if state is not None:
            statement = statement.where(experiments.c.state == state)
        return [_experiment(row) for row in await self._rows(statement)]

    async def get(self, name: str) -> Experiment | None:
        """The newest one of this name."""
        statement = (
            select(experiments).where(experiments.c.name == name).order_by(experiments.c.started_ms.desc()).limit(1)
        )
        rows = await self._rows(statement)
        return _experiment(rows[0]) if rows else None

    async def start(self, experiment: Experiment, *, actor: str, reason: str) -> None:
        """Raises `ConflictError` when one of the name runs, or one has buckets of the slice."""
        first, end = experiment.slice
        given = {name: getattr(experiment, name) for name in ("id", "name", "plan", "control", "weights")}
        begun = {"state": "running", "slice_first": first, "slice_end": end, "verdict": {}, "looks": []}
        row = fit_row(experiments, given | begun) | {"step_ms": now_ms(), "started_ms": now_ms()}
        async with self._database.write() as connection:
            await bump(connection, EXPERIMENTS)  # first: it locks, so that two starts follow each other
            running = select(experiments).where(experiments.c.state == "running")
            for other in (await connection.execute(running)).all():
                if other.name == experiment.name:
                    raise ConflictError(f"the experiment '{other.name}' runs already", param="name")
                if first < other.slice_end and other.slice_first < end:
                    raise ConflictError(f"the experiment '{other.name}' has this part of the traffic", param="share")
            await connection.execute(experiments.insert().values(**row))
            detail = {"plan": dict(experiment.plan), "control": experiment.control}
            await _record(connection, experiment, "start", actor, reason, detail)

    async def advance(self, experiment: Experiment, weight: float, *, actor: str, reason: str) -> bool:
        """The next step, with this weight. False when another process was first."""
        async with self._database.write() as connection:
            await bump(connection, EXPERIMENTS)
            row = (await connection.execute(select(experiments).where(experiments.c.id == experiment.id))).first()
            if row is None or row.state != "running" or tuple(row.weights) != experiment.weights:
                return False
            change = update(experiments).where(experiments.c.id == experiment.id)
            await connection.execute(change.values(weights=[*row.weights, weight], step_ms=now_ms()))
            detail = {"weight": weight, "verdict": dict(experiment.verdict)}
            await _record(connection, experiment, "advance", actor, reason, detail)
            return True

    async def end(
        self, experiment: Experiment, *, outcome: str, actor: str, reason: str, verdict: Mapping[str, Any]
    ) -> bool:
        """False when it has ended already."""
        async with self._database.write() as connection:
            await bump(connection, EXPERIMENTS)
            change = update(experiments).where(experiments.c.id == experiment.id, experiments.c.state == "running")
            done = await connection.execute(
                change.values(
                    state="ended", ended_ms=now_ms(), outcome=outcome, reason=reason, verdict=dict(verdict)
                ).returning(experiments.c.id)
            )
            if done.first() is None:
                return False
            detail = {"outcome": outcome, "verdict": dict(verdict)}
            await _record(connection, experiment, "end", actor, reason, detail)
            return True

    async def keep_look(self, experiment: Experiment, verdict: Mapping[str, Any], looks: Sequence[Any]) -> None:
        """Keep what the last look said."""
        change = update(experiments).where(experiments.c.id == experiment.id)
        await self._change(change.values(verdict=dict(verdict), looks=list(looks)))

    # --- sums --------------------------------------------------------------------------------------------

    async def add(self, sums: Mapping[tuple[str, int, str], Mapping[str, float]]) -> None:
        """Add to the sums, all or nothing. Keys: experiment's id, step, arm; what is left out of `SUMS` is 0."""
        rows = [
            {"experiment_id": key[0], "step": key[1], "arm": key[2], **{name: values.get(name, 0.0) for name in SUMS}}
            for key, values in sorted(sums.items())
        ]
        if not rows:
            return
        async with self._database.write() as connection:
            await upsert(connection, experiment_sums, rows, add=SUMS)

    async def sums(self, experiment_id: str) -> dict[tuple[int, str], ArmSums]:
        """By step and arm."""
        statement = select(experiment_sums).where(experiment_sums.c.experiment_id == experiment_id)
        return {(row.step, row.arm): read_row(ArmSums, row) for row in await self._rows(statement)}


async def _record(
    connection: AsyncConnection, experiment: Experiment, done: str, actor: str, reason: str, detail: Mapping[str, Any]
) -> None:
    action, subject = f"experiments.{done}", f"experiments/{experiment.name}"
    await record(connection, actor=actor, action=action, subject=subject, reason=reason, detail=detail)


def _experiment(row: Row[Any]) -> Experiment:
    return read_row(Experiment, row, slice=(row.slice_first, row.slice_end), step_began=instant(row.step_ms))
