"""`tilores batch`."""

from __future__ import annotations

import asyncio
import gc
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilores_core.cli.batch_display import BatchDisplay, choose_display
from tilores_core.cli.options import JsonOption, ModelOption, Options

if TYPE_CHECKING:
    from tilores_core.host.host import PluginHost
    from tilores_core.jobs.batch import Batch


def batch(
    options: Options,
    source: Annotated[
        Path, typer.Argument(metavar="IN", exists=True, dir_okay=False, help="The questions: JSON lines, or CSV.")
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT", dir_okay=False, help="Where the answers go: JSON lines.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what an earlier run has written.")] = False,
    concurrency: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=10_000, help="Turns in flight; default by the provider's limit."),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="As [use] executor; loop: this process."),
    ] = None,
    model: ModelOption = None,
    json: JsonOption = False,
) -> None:
    """Ask many questions, or look many customers up.

    OUT has a line for each line of IN, in the same order. Exit code 1 when one failed; those are in
    OUT.failed.jsonl then, to be run again.
    """
    from tilores_core.jobs.batch import check_paths
    from tilores_core.worker.batches import build_batch

    check_paths(source, output)
    host = options.host()
    pool = _pool(host)
    shown = choose_display(json=json)

    async def main() -> int:
        if pool is not None:
            asyncio.get_running_loop().set_default_executor(pool)
        _end_on_sigterm()
        async with options.open_services(host) as services:
            gc.freeze()  # what is there now stays: collections need not walk over it for every few lines
            with ExitStack() as stack:
                made = await build_batch(
                    services,
                    source,
                    output,
                    resume=resume,
                    concurrency=concurrency,
                    model=model,
                    executor=executor,
                    stack=stack,
                    no_plugins=options.no_plugins,
                    disable=options.disable,
                )
                return await _run(made, source, output, shown)

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            failed = runner.run(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        shown.end_early(source, output)
        raise KeyboardInterrupt from None
    if failed:
        raise typer.Exit(1)


async def _run(batch: Batch, source: Path, output: Path, shown: BatchDisplay) -> int:
    """How many lines failed."""
    from tilores_core.jobs.batch import failures_path
    from tilores_core.jobs.batch_rows import Speed, count_lines

    counting = asyncio.create_task(asyncio.to_thread(count_lines, source))
    running = asyncio.create_task(batch.run())
    speed = Speed(batch.totals)
    try:
        with shown.screen:
            while not running.done():
                await asyncio.wait({running}, timeout=shown.every)
                of = None
                with suppress(OSError):  # the batch, which reads it too, says what is wrong
                    of = counting.result() if counting.done() else None
                if not running.done():
                    shown.progress(speed.look(of))
            totals = running.result()
            failed = await batch.write_failures()
            end = speed.look(totals.lines)
        shown.end(end, resumed=batch.taken_up, output=output, failures=failures_path(output) if failed else None)
        return failed
    except asyncio.CancelledError:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        raise
    finally:
        counting.cancel()


def _pool(host: PluginHost) -> ThreadPoolExecutor | None:
    """The threads that `[use]` names. Built before the services, so that they close before it does."""
    from tilores_core.host.roles import EXECUTOR
    from tilores_core.worker.batches import runs_in_threads

    for name in host.used_names(EXECUTOR):
        if runs_in_threads(host, name):
            built = host.build(EXECUTOR, name)
            return built if isinstance(built, ThreadPoolExecutor) else None  # asyncio takes no other
    return None


def _end_on_sigterm() -> None:
    """End as with Ctrl-C, so that the end of a container loses no finished line."""
    task = asyncio.current_task()
    if task is not None:
        with suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop
