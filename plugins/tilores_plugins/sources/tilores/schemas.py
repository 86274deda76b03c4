"""The instance's catalogue: from disk at first, then from the cache or the instance, renewed in the background.

All processes share one catalogue through the cache's namespace `schemas`: one of them asks the instance when the
entry has expired or was invalidated, the others take what it stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from tilores_core import PluginCache, SourceError, current_purpose
from tilores_plugins.sources.tilores import introspection, problems
from tilores_plugins.sources.tilores.api import Api
from tilores_plugins.sources.tilores.catalogue import Catalogue, from_json, to_json
from tilores_plugins.sources.tilores.deadlines import Deadline
from tilores_plugins.sources.tilores.problems import Fault, StaleSchemaError, TooLargeError
from tilores_plugins.sources.tilores.schema_file import SchemaFile
from tilores_plugins.sources.tilores.settings import Settings
from tilores_plugins.sources.tilores.status import Status

_log = structlog.get_logger(part="source")

_SECONDS = 15.0  # for one introspection; it is large, and the instance may have to wake
_AFTER_FAILURE = 30.0
_BETWEEN_FORCED = 30.0
_REFRESH_HOURS = 6.0  # without a cache
_BETWEEN_LOOKS = 30.0  # at the cache, for another catalogue

OpenCache = Callable[[], PluginCache | None]


class Schemas:
    """The first caller waits for the catalogue, later ones do not.

    `cache`: opens the cache that all processes share; None where there is none.
    """

    def __init__(
        self,
        api: Api,
        settings: Settings,
        status: Status,
        schema_file: SchemaFile,
        cache: OpenCache = lambda: None,
    ) -> None:
        self._api = api
        self._status = status
        self._schema_file = schema_file
        self._cache = cache
        self._key = hashlib.sha256(f"{settings.api_url} {settings.client_id}".encode()).hexdigest()
        self._seconds = (settings.schema_refresh_hours or _REFRESH_HOURS) * 3600
        self._catalogue: Catalogue | None = None
        self._reading: asyncio.Task[Catalogue] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._looked = False
        self._forced_at = -_BETWEEN_FORCED

    async def get(self) -> Catalogue:
        """Raises `SourceError` when there is none, neither here nor at the instance."""
        if self._catalogue is not None:
            return self._catalogue
        kept = None if self._looked else await asyncio.to_thread(self._schema_file.load)
        self._looked = True
        if kept is not None:
            self._watch(at_once=True)
            if self._catalogue is None:  # else the instance's own has come meanwhile
                self._use(kept, "disk")
            return self._catalogue or kept
        catalogue = await asyncio.shield(self._read())
        self._watch(at_once=False)
        return catalogue

    async def renew(self, old: Catalogue) -> Catalogue:
        """After the instance found a query invalid. Raises `SourceError` when its schema is no other than `old`."""
        if self._catalogue is old:
            now = time.monotonic()
            if now - self._forced_at < _BETWEEN_FORCED:
                raise problems.lasting(Fault.SCHEMA_DISAGREES)
            self._forced_at = now
        if self._catalogue is None or self._catalogue is old:
            await asyncio.shield(self._read(fresh=True))
        if self._catalogue is None or self._catalogue.hash == old.hash:
            raise problems.lasting(Fault.SCHEMA_DISAGREES)
        return self._catalogue

    def _use(self, catalogue: Catalogue, origin: str) -> None:
        if self._catalogue is not None and self._catalogue.hash != catalogue.hash:
            _log.info("tilores.schema_changed")
        if catalogue.cut:
            _log.warning("tilores.fields_left_out", fields=catalogue.cut)
        self._catalogue = catalogue
        self._status.schema_hash, self._status.schema_from = catalogue.hash[:12], origin

    def _read(self, *, fresh: bool = False) -> asyncio.Task[Catalogue]:
        """Read it from the cache, or `fresh` from the instance; one task for all that wait."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._load(fresh=fresh))
            self._reading.add_done_callback(self._on_read)
        return self._reading

    def _on_read(self, task: asyncio.Task[Catalogue]) -> None:
        self._reading = None
        if not task.cancelled():
            task.exception()

    async def _load(self, *, fresh: bool) -> Catalogue:
        cache, asked = self._cache(), False

        async def ask() -> str:
            nonlocal asked
            asked = True
            return to_json(await self._introspect()).decode()

        if cache is None:
            catalogue = await self._introspect()
        else:
            if fresh:
                await cache.delete(self._key)
            try:
                catalogue = from_json(await cache.get_or_load(self._key, ask))
            except ValueError:  # stored by another version
                catalogue, asked = await self._introspect(), True
                await cache.set(self._key, to_json(catalogue).decode())
            await cache.set(f"{self._key} hash", catalogue.hash)
        self._use(catalogue, "instance" if asked or cache is None else "cache")
        await asyncio.to_thread(self._schema_file.save, catalogue)
        return catalogue

    async def _introspect(self) -> Catalogue:
        now = time.monotonic()
        try:
            async with asyncio.timeout(_SECONDS):
                result = await self._api.run(introspection.QUERY, {}, Deadline(now + _SECONDS, now + _SECONDS))
        except TimeoutError:
            raise problems.passing(Fault.SLOW) from None
        except StaleSchemaError:
            raise problems.lasting(Fault.MALFORMED_REPLY, status=422) from None
        except TooLargeError:
            raise problems.lasting(Fault.OVERSIZED_REPLY) from None
        if result.data is None:
            raise problems.lasting(Fault.RESOLVER, count=len(result.errors))
        return await asyncio.to_thread(introspection.read, result.data)

    def _watch(self, *, at_once: bool) -> None:
        if self._watching is None:
            wait = self._seconds if self._cache() is None else _BETWEEN_LOOKS
            self._watching = asyncio.create_task(self._renew_for_ever(0.0 if at_once else wait))

    async def _get_stored_hash(self) -> str | None:
        """The hash of the catalogue in the cache; None when it has expired, was invalidated or cannot be kept."""
        cache = self._cache()
        return None if cache is None else await cache.get(f"{self._key} hash")

    async def _renew_for_ever(self, wait: float) -> None:
        current_purpose.set("prewarm")  # of this task alone
        while True:
            await asyncio.sleep(wait * random.uniform(0.9, 1.0))  # noqa: S311  workers must not come all at once
            try:
                stored = await self._get_stored_hash()
                if stored is None or self._catalogue is None or self._catalogue.hash != stored:
                    await asyncio.shield(self._read())
                # A cache that does not hold it must not make us ask the instance at every look.
                wait = _BETWEEN_LOOKS if await self._get_stored_hash() else self._seconds
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
