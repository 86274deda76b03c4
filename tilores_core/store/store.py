"""All durable state, behind one object."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from tilores_core.store import transfer
from tilores_core.store.address import Address
from tilores_core.store.alert_deliveries import Deliveries, alert_deliveries
from tilores_core.store.alert_silences import Silences, alert_silences
from tilores_core.store.alerts import Alerts, alerts
from tilores_core.store.audit import AuditLog, audit
from tilores_core.store.changes import Changes, changes
from tilores_core.store.collected_questions import CollectedQuestions, collected_questions
from tilores_core.store.database import Database, Limits, make_file
from tilores_core.store.evaluations import Evaluations, evaluation_results, evaluation_runs
from tilores_core.store.experiments import Experiments, experiment_sums, experiments
from tilores_core.store.feedback import FeedbackQueue, waiting_feedback
from tilores_core.store.healing import Healing, healing_episodes, health_signals
from tilores_core.store.improvement import Improvement, improve_calls, improve_cycles, improve_lessons
from tilores_core.store.jobs import Jobs, jobs
from tilores_core.store.leases import Leases, leases
from tilores_core.store.migrate import HEAD, REVISIONS as KNOWN, current_revision, migrate, newer
from tilores_core.store.prompts import Prompts, prompt_labels, prompt_versions
from tilores_core.store.quality_states import QualityStates, quality_states
from tilores_core.store.rollouts import Rollouts
from tilores_core.store.schema import metadata
from tilores_core.store.score_windows import ScoreWindows, score_log, score_windows
from tilores_core.store.worker_reports import WarmedKeys, WorkerReports, warmed_entries, worker_reports

TABLES: Final = (
    *(alerts, alert_deliveries, alert_silences),
    audit,
    changes,
    collected_questions,
    *(evaluation_results, evaluation_runs),
    *(experiments, experiment_sums),
    *(healing_episodes, health_signals),
    *(improve_calls, improve_cycles, improve_lessons),
    jobs,
    leases,
    *(prompt_labels, prompt_versions),
    *(quality_states, score_log, score_windows, waiting_feedback),
    *(warmed_entries, worker_reports),
)


class Store:
    """The repositories of one database.

        store = await Store.open(store_address(environment.database_url, environment.data_dir))
        try:
            lease = await store.leases.acquire("prewarm", holder, 30.0)
        finally:
            await store.aclose()

    Every call has a deadline, and raises `StoreError` or its kind `StoreUnavailableError`. What a method has
    returned from is committed.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.alerts = Alerts(database)
        self.deliveries = Deliveries(database)
        self.silences = Silences(database)
        self.evaluations = Evaluations(database)
        self.experiments = Experiments(database)
        self.healing = Healing(database)
        self.improvement = Improvement(database)
        self.jobs = Jobs(database)
        self.changes = Changes(database)
        self.leases = Leases(database)
        self.reports = WorkerReports(database)
        self.warmed = WarmedKeys(database)
        self.audit = AuditLog(database)
        self.prompts = Prompts(database)
        self.rollouts = Rollouts(database)
        self.windows = ScoreWindows(database)
        self.quality = QualityStates(database)
        self.feedback = FeedbackQueue(database)
        self.questions = CollectedQuestions(database)

    @classmethod
    async def open(cls, address: Address, limits: Limits | None = None) -> Store:
        """Connect and migrate. Raises `ConfigError`, `StoreError`."""
        database = Database(address, limits)
        if address.kind == "sqlite":
            await asyncio.to_thread(make_file, address, database.limits)
        try:
            await migrate(database)
        except BaseException:
            await database.aclose()
            raise
        return cls(database)

    async def export_json(self, path: Path) -> dict[str, int]:
        """Write all there is to `path`, as JSON lines; how many rows of each table. Replaces a file, or leaves it."""
        return await transfer.export_json(self.database, path)

    async def import_json(self, path: Path, *, replace: bool = False) -> dict[str, int]:
        """Read what `export_json` wrote, from any kind of database. Without `replace` this one must be empty."""
        return await transfer.import_json(self.database, path, replace=replace)

    async def aclose(self) -> None:
        await self.database.aclose()


async def read_revision(address: Address, limits: Limits | None = None) -> str | None:
    """The revision of the schema at an address, None when there is none; nothing is changed.

    Raises `ConfigError`, `StoreError`.
    """
    if address.kind == "sqlite" and not await asyncio.to_thread(address.file_exists):
        return None
    database = Database(address, limits)
    try:
        async with database.read() as connection:
            found = await current_revision(connection)
    finally:
        await database.aclose()
    if found is not None and found not in KNOWN:
        raise newer(address, found)
    return found


__all__ = ["HEAD", "TABLES", "Store", "metadata", "read_revision"]
