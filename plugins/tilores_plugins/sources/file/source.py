"""The file source: serves one snapshot of the file while it watches for the next."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from tilores_core import (
    ConfigError,
    Customer,
    Identifiers,
    PluginContext,
    SourceLocale,
    SourceReport,
    SourceSchema,
    SourceUnavailableError,
)
from tilores_plugins.sources.file.settings import Settings
from tilores_plugins.sources.file.snapshot import (
    Signature,
    Snapshot,
    StaleError,
    StoppedError,
    check,
    read,
    signature_of,
)

_log = logging.getLogger(__name__)

T = TypeVar("T")


def build(context: PluginContext) -> FileSource:
    """Look at the file's beginning now, read the rest in the background. Raises `ConfigError`."""
    settings: Settings = context.settings
    if not settings.path.is_file():
        raise ConfigError(
            f"there is no file {str(settings.path)!r}",
            where="[plugins.file] path",
            fix="correct the path; a relative one starts at the working folder",
        )
    try:
        check(settings)
    except OSError as error:
        raise ConfigError(
            f"the file cannot be read: {error.strerror}", where=str(settings.path), fix="check its permissions"
        ) from error
    source = FileSource(settings)
    source.start()
    return source


class FileSource:
    """A `CustomerSource` over a file, with `SupportsMentions`.

    Look-ups wait for the first reading. After that they use the newest complete one: while a changed file is read,
    and when it cannot be, the one before stays in use.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._snapshot: Snapshot | None = None
        self._reading: asyncio.Task[Snapshot] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._stop = threading.Event()
        self._complained: str | None = None
        self._refused: Signature | None = None  # a state of the file that cannot be served

    def start(self) -> None:
        """Begin to read if an event loop is running; otherwise the first look-up does."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        self._begin()

    async def get(self, customer_id: str) -> Customer | None:
        return await self._ask(lambda snapshot: snapshot.get(customer_id))

    async def find(self, identifiers: Identifiers, *, limit: int = 10) -> Sequence[Customer]:
        if not identifiers:
            return []
        return await self._ask(lambda snapshot: snapshot.find(identifiers, limit))

    async def customer_ids(self, *, limit: int) -> Sequence[str]:
        """In the file's order."""
        return await self._ask(lambda snapshot: snapshot.customer_ids(limit))

    async def schema(self) -> SourceSchema:
        return (await self._ready()).schema

    def mentions(self, text: str) -> Sequence[Identifiers]:
        """Customers named in `text`; none until the file was read for the first time, which `schema` waits for."""
        return self._snapshot.mentions(text) if self._snapshot else ()

    def locale(self) -> SourceLocale:
        return SourceLocale(phone_region=self._settings.phone_region, day_first=self._settings.day_first)

    async def report(self) -> SourceReport:
        return (await self._ready()).report

    async def aclose(self) -> None:
        self._stop.set()
        for task in (self._watching, self._reading):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._watching = self._reading = self._snapshot = None

    async def _ask(self, question: Callable[[Snapshot], T]) -> T:
        snapshot = await self._ready()
        try:
            return await asyncio.to_thread(question, snapshot)
        except StaleError:
            # Written over in place. The next reading is right, unless the writer is still at it.
            if self._snapshot is snapshot:
                await self._renew()
        try:
            return await asyncio.to_thread(question, await self._ready())
        except StaleError:
            raise SourceUnavailableError(
                "the customers' file is being changed", fix="replace the file by renaming a complete one"
            ) from None

    async def _ready(self) -> Snapshot:
        if self._snapshot is not None:
            return self._snapshot
        if self._stop.is_set():
            raise SourceUnavailableError("the customer source is closed")
        return await self._renew()

    async def _renew(self) -> Snapshot:
        """Read the file; look-ups meanwhile wait for the same reading."""
        task = self._begin()
        try:
            # One caller giving up must not end it for the others.
            return await asyncio.shield(task)
        except (asyncio.CancelledError, StoppedError):
            if not self._stop.is_set():
                raise
            raise SourceUnavailableError("the customer source is closed") from None
        except (OSError, ConfigError) as error:
            raise SourceUnavailableError(
                f"the customers' file cannot be read: {_reason(error)}", retry_after=self._settings.reload_seconds
            ) from error

    def _begin(self) -> asyncio.Task[Snapshot]:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(_mark_retrieved)
        if self._watching is None and self._settings.reload_seconds:
            self._watching = asyncio.create_task(self._watch())
        return self._reading

    async def _read(self) -> Snapshot:
        snapshot = await asyncio.to_thread(read, self._settings, self._stop.is_set)
        self._snapshot = snapshot
        self._complained = None
        report = snapshot.report
        _log.info("%s: %d rows, %d customers", self._settings.path, report.records, report.customers)
        for fact in report.facts:
            _log.info("%s: %s", self._settings.path, fact)
        for warning in report.warnings:
            _log.warning("%s: %s", self._settings.path, warning)
        return snapshot

    async def _watch(self) -> None:
        now: Signature | None = None
        while True:
            await asyncio.sleep(self._settings.reload_seconds)
            try:
                now = await asyncio.to_thread(signature_of, self._settings.path)
                await self._follow(now)
            except StoppedError:
                return
            except OSError as error:
                self._complain(_reason(error))
            except ConfigError as error:
                self._refused = now
                self._complain(_reason(error))

    async def _follow(self, now: Signature) -> None:
        """Read the file again if it is not what is served."""
        served = self._snapshot.signature if self._snapshot else None
        if now in (served, self._refused):
            return
        if now.size == 0:
            raise ConfigError("the file is empty")
        await asyncio.shield(self._begin())

    def _complain(self, reason: str) -> None:
        if reason != self._complained:
            self._complained = reason
            _log.warning("%s: %s; the customers read before stay in use", self._settings.path, reason)


def _reason(error: OSError | ConfigError) -> str:
    return error.message if isinstance(error, ConfigError) else (error.strerror or type(error).__name__)


def _mark_retrieved(task: asyncio.Task[Snapshot]) -> None:
    """Mark a failure as seen: waiting look-ups got it, and the next look-up reads again."""
    if not task.cancelled():
        task.exception()
