"""The other side of an executor: lines of a batch, done in a worker by an engine of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tilores_core.errors import TiloresError
from tilores_core.jobs.batch_elsewhere import Plain, line_of
from tilores_core.jobs.batch_work import LineWork, Manner
from tilores_core.session import Session

if TYPE_CHECKING:
    from tilores_core.app import Services
    from tilores_core.host.host import PluginHost

_IDLE_KEPT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a worker builds its engine from. It travels: no secret is in it, plugins.toml only refers to them.

    `config`: the text of plugins.toml, `path`: where it was. Variables are the worker's own.
    """

    config: str
    path: str
    manner: Manner
    no_plugins: bool = False
    disable: tuple[str, ...] = ()


class _Desk:
    """An engine on an event loop of its own."""

    def __init__(self, setup: Setup) -> None:
        self.busy = 0
        self._setup = setup
        self._session = Session(_services(setup))
        self._session.__enter__()
        services = self._session.services
        region = services.host.config.chat.phone_region
        self._work = LineWork(services.engine, services.source, region=region, manner=setup.manner)

    def do(self, lines: Sequence[Plain]) -> list[Plain]:
        return self._session.run(self._do(lines))

    async def _do(self, lines: Sequence[Plain]) -> list[Plain]:
        async def one(plain: Plain) -> dict[str, Any]:
            line = line_of(plain)
            return self._work.known(line) or await self._work.do(line)

        return list(await asyncio.gather(*(one(plain) for plain in lines)))

    def close(self) -> None:
        self._session.__exit__(None, None, None)


class Workers:
    """Engines, made when they are first needed: one for all of a process, or one for each of its threads."""

    def __init__(self, *, per_thread: bool = False) -> None:
        self._per_thread = per_thread
        self._lock = threading.Lock()
        self._desks: dict[Hashable, _Desk] = {}

    def do(self, setup: Setup, lines: list[Plain]) -> list[Plain]:
        """The rows of the lines. Raises `TiloresError` when the engine cannot be built here."""
        desk = self._take(setup)
        try:
            return desk.do(lines)
        finally:
            with self._lock:
                desk.busy -= 1

    def _take(self, setup: Setup) -> _Desk:
        key = (setup, threading.get_ident() if self._per_thread else None)
        with self._lock:
            desk = self._desks.get(key)
            if desk is None:
                self._tidy()
                try:
                    desk = self._desks[key] = _Desk(setup)
                except TiloresError as error:  # as one that any process can read
                    raise TiloresError(f"a worker cannot begin: {error.message}", fix=error.fix) from None
            desk.busy += 1
            return desk

    def _tidy(self) -> None:
        """A worker of a cluster outlives many batches; of engines for others it keeps few."""
        idle = [key for key, desk in self._desks.items() if not desk.busy]
        for key in idle[:-_IDLE_KEPT] if not self._per_thread else ():
            self._desks.pop(key).close()

    def close(self) -> None:
        with self._lock:
            while self._desks:
                self._desks.popitem()[1].close()


# State of the process on purpose: an executor calls a function by its name, in processes that nobody here started,
# and building an engine for every few lines would cost more than the lines.
_of_this_process: Final = Workers()


def do_chunk(setup: Setup, lines: list[Plain]) -> list[Plain]:
    """What an executor's process runs."""
    return _of_this_process.do(setup, lines)


@asynccontextmanager
async def _services(setup: Setup) -> AsyncIterator[Services]:
    from tilores_core.app import open_services
    from tilores_core.settings import load_environment

    environment = load_environment()
    async with open_services(_host(setup), environment) as services:
        yield services


def _host(setup: Setup) -> PluginHost:
    from tilores_core.app import load_host
    from tilores_core.settings import LoadedConfig, load_environment
    from tilores_core.settings.loader import parse_config

    path = Path(setup.path)
    loaded = LoadedConfig(config=parse_config(setup.config, path), path=path, packaged=False)
    return load_host(load_environment(), loaded=loaded, disable=setup.disable, no_plugins=setup.no_plugins)
