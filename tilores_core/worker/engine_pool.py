"""Engines in an executor's processes and threads: they do the lines of a batch that was sent there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tilores_core.errors import TiloresError
from tilores_core.jobs.batch_input import BatchLine
from tilores_core.jobs.executor_backend import Plain, deserialize_line
from tilores_core.jobs.line_processor import LineOptions, LineProcessor
from tilores_core.loop_thread import EventLoopThread
from tilores_core.services import Services, load_host, open_services
from tilores_core.settings import LoadedConfig, load_environment
from tilores_core.settings.loader import parse_config

_IDLE_KEPT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """What an executor's process builds its engine from. It is sent there, so it holds no secret: plugins.toml only
    refers to secrets, and environment variables are the process's own.

    `config`: the text of plugins.toml, `path`: where it was.
    """

    config: str
    path: str
    options: LineOptions
    no_plugins: bool = False
    disable: tuple[str, ...] = ()


class EngineThread:
    """An engine on an event loop of its own."""

    def __init__(self, config: EngineConfig) -> None:
        self.busy = 0
        self._loop = EventLoopThread(_services(config))
        self._loop.__enter__()
        services = self._loop.opened
        self._processor = LineProcessor(
            services.engine, services.source, locale=services.locale, options=config.options
        )

    def process(self, lines: Sequence[Plain]) -> list[Plain]:
        """The rows of the lines, in the same order."""
        return self._loop.run(self._process(lines))

    async def _process(self, lines: Sequence[Plain]) -> list[Plain]:
        async def one(line: BatchLine) -> dict[str, Any]:
            return self._processor.try_cached(line) or await self._processor.process(line)

        return list(await asyncio.gather(*(one(deserialize_line(plain)) for plain in lines)))

    def close(self) -> None:
        self._loop.__exit__(None, None, None)


class EnginePool:
    """Engines, built when they are first needed: one for the process, or one for each of its threads."""

    def __init__(self, *, per_thread: bool = False) -> None:
        self._per_thread = per_thread
        self._lock = threading.Lock()
        self._engines: dict[Hashable, EngineThread] = {}

    def process(self, config: EngineConfig, lines: list[Plain]) -> list[Plain]:
        """The rows of the lines. Raises `TiloresError` when the engine cannot be built here."""
        engine = self._acquire(config)
        try:
            return engine.process(lines)
        finally:
            with self._lock:
                engine.busy -= 1

    def _acquire(self, config: EngineConfig) -> EngineThread:
        key = (config, threading.get_ident() if self._per_thread else None)
        with self._lock:
            engine = self._engines.get(key)
            if engine is None:
                self._close_idle()
                try:
                    engine = self._engines[key] = EngineThread(config)
                except TiloresError as error:  # as one that any process can unpickle
                    raise TiloresError(f"a worker cannot start: {error.message}", fix=error.fix) from None
            engine.busy += 1
            return engine

    def _close_idle(self) -> None:
        """A process of a cluster outlives many batches; keep few engines of other configurations."""
        idle = [key for key, engine in self._engines.items() if not engine.busy]
        for key in idle[:-_IDLE_KEPT] if not self._per_thread else ():
            self._engines.pop(key).close()

    def close(self) -> None:
        with self._lock:
            while self._engines:
                self._engines.popitem()[1].close()


# State of the process on purpose: an executor calls a function by its name, in processes that it starts itself, and
# building an engine for every few lines would cost more than the lines.
_of_this_process: Final = EnginePool()


def process_chunk(config: EngineConfig, lines: list[Plain]) -> list[Plain]:
    """The function that an executor's process runs."""
    return _of_this_process.process(config, lines)


@asynccontextmanager
async def _services(config: EngineConfig) -> AsyncIterator[Services]:
    environment = load_environment()
    path = Path(config.path)
    loaded = LoadedConfig(config=parse_config(config.config, path), path=path, packaged=False)
    host = load_host(environment, loaded=loaded, disable=config.disable, no_plugins=config.no_plugins)
    async with open_services(host, environment) as services:
        yield services
