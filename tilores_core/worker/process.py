"""The worker process: it waits cheaply for the first job, then opens the services and runs jobs until it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import platform
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from tilores_core.jobs.job_folder import JobFolder
from tilores_core.logs import configure_logging
from tilores_core.resilience.presence import present
from tilores_core.resilience.tasks import wait_for_event
from tilores_core.resilience.work_mark import has_work
from tilores_core.settings import Config, Environment, LoadedConfig, load_config, load_environment

log = structlog.get_logger(part="worker")

SUPERVISED: Final = "TILORES_WORKER_SUPERVISED"
RESTARTS: Final = "TILORES_WORKER_RESTARTS"
NO_PLUGINS: Final = "TILORES_WORKER_NO_PLUGINS"
METRICS: Final = "TILORES_WORKER_METRICS"
"""Variables by which the supervisor passes on the options of `tilores serve`."""

_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}
_TURN_NS: Final = 100_000_000
_LOOK_SECONDS: Final = 0.25
_LOOK_FOR_OLD_SECONDS: Final = 60.0
_END_SECONDS: Final = 10.0


def run_worker(
    environment: Environment,
    loaded: LoadedConfig,
    *,
    metrics_folder: Path | None = None,
    supervised: bool = False,
    restarts: int = 0,
    **plan: Any,
) -> None:
    """Run jobs until SIGTERM or Ctrl-C, or until the parent ends (`supervised`: standard input is a pipe from it).

    `plan`: as `load_host` takes it. What is finished is kept. A second signal ends the process at once, and so does
    an end that takes too long.
    """
    os.umask(0o077)  # the files of jobs hold customers' data
    _yield_to_callers(loaded.config.worker.nice)

    async def main() -> None:
        over = asyncio.Event()
        _end_on_signals(over, supervised=supervised)
        log.info("worker.started", pid=os.getpid(), restarts=restarts)
        if _shares_alerts(environment, loaded.config) or await _wait_for_work(
            environment.data_dir, loaded.config, over
        ):
            await _work(environment, loaded, plan, metrics_folder, over)
        log.info("worker.ended", pid=os.getpid())

    with present(environment.data_dir, restarts=restarts), asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main())


def _yield_to_callers(nice: int) -> None:
    """Lower the priority of this process. And ask Linux (6.12 or later) for turns of 0.1 s at the processor: what has
    usual ones, as web processes have, then interrupts this process as soon as a request wakes it. At any priority it
    would wait some milliseconds otherwise (sched_setattr(2))."""
    with contextlib.suppress(OSError):  # some sandboxes refuse it
        os.nice(nice)
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform == "linux" and number is not None:
        # struct sched_attr: size, policy, flags, nice, priority, turn, deadline, period
        attributes = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, 0, os.nice(0), 0, _TURN_NS, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, attributes, 0)


def _shares_alerts(environment: Environment, config: Config) -> bool:
    """Whether processes without this data folder, which cannot wake it, may raise alerts that it has to deliver."""
    return environment.database_url is not None and bool(config.use.alerts)


def has_scheduled_work(config: Config) -> bool:
    """Whether the settings alone give the worker something to do: one line for each feature."""
    return bool(config.prewarm.file) or config.improve.triggered


async def _wait_for_work(data_dir: Path, config: Config, over: asyncio.Event) -> bool:
    """Wait for a job, a mark, a schedule or something to remove, without importing the engine or the store."""
    folder, keep_seconds = JobFolder(data_dir / "batch"), config.batch.keep_hours * 3600
    seen, looked = -1, 0.0

    def is_idle() -> bool:
        """One look at two folders most of the time: a new job changes its folder."""
        nonlocal seen, looked
        if has_work(data_dir):
            return False
        if (mark := folder.mark()) != seen:
            seen = mark
            if any(folder.find_unfinished().values()):
                return False
        if time.monotonic() - looked > _LOOK_FOR_OLD_SECONDS:
            looked = time.monotonic()
            return not folder.find_outdated(keep_seconds)
        return True

    while not has_scheduled_work(config) and await asyncio.to_thread(is_idle):
        if await wait_for_event(over, _LOOK_SECONDS):
            return False
    return not over.is_set()


async def _work(
    environment: Environment,
    loaded: LoadedConfig,
    plan: Mapping[str, Any],
    metrics_folder: Path | None,
    over: asyncio.Event,
) -> None:
    # Not before there is work: these import the engine.
    from tilores_core.services import load_host, open_services
    from tilores_core.worker.jobs import run_jobs
    from tilores_core.worker.prewarming import load_prewarm_plan

    host = load_host(environment, loaded=loaded, background=True, **plan)
    async with contextlib.AsyncExitStack() as stack:
        services = await stack.enter_async_context(open_services(host, environment, metrics_folder=metrics_folder))
        if services.metrics is not None and metrics_folder is not None:
            await services.metrics.start(web=False)
            stack.push_async_callback(services.metrics.aclose)
        await stack.enter_async_context(run_jobs(services, load_prewarm_plan(loaded.config, services.locale)))
        log.info("worker.services_opened", pid=os.getpid())
        await over.wait()


def _end_on_signals(over: asyncio.Event, *, supervised: bool) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
        if over.is_set():
            os._exit(1)
        over.set()
        timer = threading.Timer(_END_SECONDS, os._exit, (1,))
        timer.daemon = True
        timer.start()

    loop.add_signal_handler(signal.SIGTERM, end)
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            # What a terminal sends reaches all its processes; the parent decides, and closes the pipe when it ends.
            loop.add_signal_handler(number, (lambda: None) if supervised else end)
    if supervised:
        threading.Thread(target=_watch_parent, args=(loop, end), name="parent", daemon=True).start()


def _watch_parent(loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> None:
    """Standard input ends when the parent closes it or dies, by whatever signal."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended already
        loop.call_soon_threadsafe(end)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed; None for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def main() -> None:
    """The process that a supervisor starts: `python -m tilores_core.worker.process`."""
    environment = load_environment()
    configure_logging(environment.log_level, environment.log_format)
    metrics = os.environ.get(METRICS)
    run_worker(
        environment,
        load_config(environment.config),
        no_plugins=NO_PLUGINS in os.environ,
        metrics_folder=Path(metrics) if metrics else None,
        supervised=SUPERVISED in os.environ,
        restarts=int(os.environ.get(RESTARTS, "0")),
    )


if __name__ == "__main__":
    from tilores_core.errors import TiloresError

    try:
        main()
    except TiloresError as error:
        log.error("worker.failed", error=error.message, fix=error.fix)
        sys.exit(1)
