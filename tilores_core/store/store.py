"""All durable state, behind one object."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tilores_core.store import transfer
from tilores_core.store.address import Address
from tilores_core.store.alert_deliveries import Deliveries
from tilores_core.store.alerts import Alerts, Silences
from tilores_core.store.audit import AuditLog, Rollouts
from tilores_core.store.changes import Changes
from tilores_core.store.database import Database, Limits, make_file
from tilores_core.store.evaluations import Evaluations
from tilores_core.store.experiments import Experiments
from tilores_core.store.healing import Healing
from tilores_core.store.improvement import Improvement
from tilores_core.store.jobs import Jobs
from tilores_core.store.leases import Leases
from tilores_core.store.live_quality import CollectedQuestions, FeedbackQueue, QualityStates
from tilores_core.store.migrate import HEAD, known_revision, migrate
from tilores_core.store.prompts import Prompts
from tilores_core.store.schema import metadata
from tilores_core.store.score_windows import ScoreWindows
from tilores_core.store.worker_reports import WarmedKeys, WorkerReports


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
            return await known_revision(connection, address)
    finally:
        await database.aclose()


__all__ = ["HEAD", "Store", "metadata", "read_revision"]
