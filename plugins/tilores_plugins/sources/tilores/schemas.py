"""The instance's catalogue: from disk at first, then from the instance, renewed behind the requests."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress

import structlog

from tilores_core import SourceError, current_purpose
from tilores_plugins.sources.tilores import introspection, problems
from tilores_plugins.sources.tilores.api import Api
from tilores_plugins.sources.tilores.catalogue import Catalogue
from tilores_plugins.sources.tilores.deadlines import Deadline
from tilores_plugins.sources.tilores.keeping import Keeping
from tilores_plugins.sources.tilores.problems import StaleSchemaError, TooLargeError
from tilores_plugins.sources.tilores.settings import Settings
from tilores_plugins.sources.tilores.status import Status

_log = structlog.get_logger(part="source")

_SECONDS = 15.0  # for one introspection; it is large, and the instance may have to wake
_AFTER_FAILURE = 30.0
_BETWEEN_FORCED = 30.0


class Schemas:
    """Whoever needs the catalogue first waits for it; afterwards nobody does."""

    def __init__(self, api: Api, settings: Settings, status: Status, keeping: Keeping) -> None:
        self._api = api
        self._status = status
        self._keeping = keeping
        self._seconds = settings.schema_refresh_hours * 3600
        self._catalogue: Catalogue | None = None
        self._reading: asyncio.Task[Catalogue] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._looked = False
        self._forced_at = -_BETWEEN_FORCED

    async def get(self) -> Catalogue:
        """Raises `SourceError` when there is none, neither here nor at the instance."""
        if self._catalogue is not None:
            return self._catalogue
        kept = None if self._looked else await asyncio.to_thread(self._keeping.load)
        self._looked = True
        if kept is not None:
            self._watch(at_once=True)
            return self._begin_with(kept)
        catalogue = await asyncio.shield(self._read())
        self._watch(at_once=False)
        return catalogue

    def _begin_with(self, kept: Catalogue) -> Catalogue:
        """The kept catalogue, unless somebody has got the instance's own meanwhile."""
        if self._catalogue is None:
            self._use(kept, "disk")
        return self._catalogue or kept

    async def renew(self, old: Catalogue) -> Catalogue:
        """After the instance found a query invalid. Raises `SourceError` when its schema is no other than `old`."""
        if self._catalogue is old:
            now = time.monotonic()
            if now - self._forced_at < _BETWEEN_FORCED:
                raise problems.schema_disagrees()
            self._forced_at = now
        if self._catalogue is None or self._catalogue is old:
            await asyncio.shield(self._read())
        if self._catalogue is None or self._catalogue.hash == old.hash:
            raise problems.schema_disagrees()
        return self._catalogue

    def _use(self, catalogue: Catalogue, origin: str) -> None:
        if self._catalogue is not None and self._catalogue.hash != catalogue.hash:
            _log.info("tilores.schema_changed")
        if catalogue.cut:
            _log.warning("tilores.fields_left_out", fields=catalogue.cut)
        self._catalogue = catalogue
        self._status.schema_hash, self._status.schema_from = catalogue.hash[:12], origin

    def _read(self) -> asyncio.Task[Catalogue]:
        if self._reading is None:
            self._reading = asyncio.create_task(self._introspect())
            self._reading.add_done_callback(self._landed)
        return self._reading

    def _landed(self, task: asyncio.Task[Catalogue]) -> None:
        self._reading = None
        if not task.cancelled():
            task.exception()

    async def _introspect(self) -> Catalogue:
        now = time.monotonic()
        try:
            async with asyncio.timeout(_SECONDS):
                result = await self._api.run(introspection.QUERY, {}, Deadline(now + _SECONDS, now + _SECONDS))
        except TimeoutError:
            raise problems.slow() from None
        except StaleSchemaError:
            raise problems.malformed(422) from None
        except TooLargeError:
            raise problems.oversized() from None
        if result.data is None:
            raise problems.resolver(len(result.errors))
        catalogue = await asyncio.to_thread(introspection.read, result.data)
        self._use(catalogue, "instance")
        await asyncio.to_thread(self._keeping.save, catalogue)
        return catalogue

    def _watch(self, *, at_once: bool) -> None:
        if self._watching is None:
            self._watching = asyncio.create_task(self._renew_for_ever(0.0 if at_once else self._seconds))

    async def _renew_for_ever(self, wait: float) -> None:
        current_purpose.set("prewarm")  # of this task alone
        while True:
            await asyncio.sleep(wait * random.uniform(0.9, 1.0))  # noqa: S311  workers must not come all at once
            try:
                await asyncio.shield(self._read())
                wait = self._seconds
            except SourceError as error:
                _log.warning("tilores.schema_not_renewed", error=error.message)
                wait = min(_AFTER_FAILURE, self._seconds)

    async def aclose(self) -> None:
        for task in (self._watching, self._reading):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
        self._watching = None
