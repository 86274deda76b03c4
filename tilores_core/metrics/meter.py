"""All metrics of one process, and of the workers beside it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import structlog

from tilores_core.metrics.catalogue import BY_NAME
from tilores_core.metrics.family import Sample, Values, exposition, values_of
from tilores_core.metrics.meters import (
    BatchMeter,
    LoopLag,
    ModelLabels,
    ModelMeter,
    RequestMeter,
    SourceMeter,
    process_samples,
)
from tilores_core.metrics.workers import WorkerFiles
from tilores_core.resilience import cancel_tasks

log = structlog.get_logger(part="metrics")

Collect = Callable[[], Iterable[Sample] | Awaitable[Iterable[Sample]]]

_WRITE_EVERY = 1.0
_SECONDS_PER_PART = 1.0


class Metrics:
    """All metrics of the server, rendered for Prometheus.

    `requests`, `models`, `sources`, `batches` count what is reported to them.

    Other parts are read at a scrape (`watch`).

    `folder`: where the workers of one run exchange their numbers; None for a single one.
    """

    def __init__(self, labels: ModelLabels, *, folder: Path | None = None) -> None:
        self.requests = RequestMeter()
        self.labels = labels
        self.models = ModelMeter(labels)
        self.sources = SourceMeter()
        self.batches = BatchMeter()
        self._lag = LoopLag()
        self._parts: list[Collect] = []
        self._failing: set[Collect] = set()
        self._files = None if folder is None else WorkerFiles(folder, BY_NAME)
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        for collect in (
            self.requests.samples,
            self.models.samples,
            self.sources.samples,
            self.batches.samples,
            self._lag.samples,
            process_samples,
        ):
            self.watch(collect)

    def watch(self, collect: Collect) -> None:
        """Ask `collect` for samples at every scrape. Their families must be in the catalogue.

        It is to answer from memory: it has a second, and one that fails or is late is left out.
        """
        self._parts.append(collect)

    async def start(self, *, web: bool = True) -> None:
        """Begin to measure the event loop of a web process (`web`) and to leave numbers for the other workers."""
        if web:
            self._lag.start()
        if self._files is not None:
            await asyncio.to_thread(self._files.open)
            self._task = asyncio.get_running_loop().create_task(self._write(self._files))

    async def aclose(self) -> None:
        self._lag.stop()
        await cancel_tasks(self._task)
        self._task = None
        if self._files is not None:
            await asyncio.to_thread(self._files.close, await self.values())

    async def text(self, accept: str = "") -> tuple[bytes, str]:
        """What all workers have counted, as text, and its content type; `accept` as in the request's header."""
        async with self._writing:  # an older picture must not be written over a newer one
            values = await self.values()
            if self._files is not None:
                try:
                    values = await asyncio.to_thread(self._files.together, values)
                except OSError as error:
                    log.warning("metrics.read_failed", error=type(error).__name__)
        return await asyncio.to_thread(exposition, BY_NAME, values, accept)

    async def values(self) -> Values:
        """What this process has counted."""
        samples: list[Sample] = []
        for collect in self._parts:
            try:
                found = collect()
                if inspect.isawaitable(found):
                    async with asyncio.timeout(_SECONDS_PER_PART):
                        found = await found
                samples += [sample for sample in found if BY_NAME.get(sample.family.name) is sample.family]
            except Exception as error:  # telling what is known of the others goes on
                if collect not in self._failing:  # asked every second: logged once until it works again
                    self._failing.add(collect)
                    name = getattr(collect, "__qualname__", type(collect).__name__)
                    log.warning("metrics.part_failed", collector=name, error=type(error).__name__)
            else:
                self._failing.discard(collect)
        return values_of(samples)

    async def _write(self, files: WorkerFiles) -> None:
        failing = False
        while True:
            await asyncio.sleep(_WRITE_EVERY)
            try:
                async with self._writing:
                    await asyncio.to_thread(files.write, await self.values())
                failing = False
            except OSError as error:
                if not failing:
                    log.warning("metrics.write_failed", error=type(error).__name__)
                failing = True
