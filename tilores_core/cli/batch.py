"""`tilores batch`: many questions; a bar on a terminal, lines elsewhere, JSON events for programs."""

from __future__ import annotations

import asyncio
import gc
import shlex
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilores_core.cli.options import JsonOption, ModelOption, Options
from tilores_core.cli.output import is_terminal

if TYPE_CHECKING:
    from tilores_core.host.host import PluginHost
    from tilores_core.jobs.batch import Batch
    from tilores_core.jobs.batch_rows import ProgressSnapshot


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
        str | None, typer.Option(metavar="NAME", help="As [use] executor; loop: this process.")
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
    from tilores_core.worker.process import loop_factory

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
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
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
        shown.end(
            end, resumed=batch.taken_up.lines, output=output, failures=failures_path(output) if failed else None
        )
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


# --- how it is shown --------------------------------------------------------------------------------------------


class BatchDisplay:
    """Progress in lines on standard error, what came of it on standard output.

    `every`: seconds between two calls of `progress`, all of which are made inside `with screen`.
    """

    every = 5.0
    screen: AbstractContextManager[object] = nullcontext()

    def progress(self, look: ProgressSnapshot) -> None:
        typer.echo(_line(look), err=True)

    def end(self, look: ProgressSnapshot, *, resumed: int, output: Path, failures: Path | None) -> None:
        totals = look.totals
        new = totals.lines - resumed
        rate = f", {new / look.seconds:.1f} lines/s" if look.seconds > 0 and new else ""
        before = f", {resumed} of them before" if resumed else ""
        typer.echo(f"{output}: {totals.lines} lines{before}, in {_time(look.seconds)}{rate}")
        answered = totals.lines - totals.failed
        typer.echo(
            f"answered {answered}, from the cache {totals.cached}, repeated {totals.repeated}, "
            f"failed {totals.failed}, attempts {totals.attempts}, cost {totals.cost:.4f} USD"
        )
        if totals.unidentified:
            typer.echo(f"for {totals.unidentified} no customer, or more than one, was found")
        if failures is not None:
            typer.echo(f"the failed ones: {failures}", err=True)
            typer.echo(f"  fix:  {_command(failures, output.with_name(f'{output.name}.again.jsonl'))}", err=True)

    def end_early(self, source: Path, output: Path) -> None:
        typer.echo(f"ended early; what was finished is kept\n  fix:  {_command(source, output)} --resume", err=True)


class _Bar(BatchDisplay):
    every = 0.1

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.screen = self._progress = Progress(
            TextColumn("{task.completed:.0f}/{task.fields[of]}"),
            BarColumn(),
            TextColumn("{task.fields[text]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, of="?", text="")

    def progress(self, look: ProgressSnapshot) -> None:
        of = "?" if look.of is None else str(look.of)
        self._progress.update(self._task, completed=look.totals.lines, total=look.of, of=of, text=_text(look))


class _Events(BatchDisplay):
    """One JSON object a line, on standard output."""

    every = 1.0

    def progress(self, look: ProgressSnapshot) -> None:
        _say({"event": "progress", **look.plain()})

    def end(self, look: ProgressSnapshot, *, resumed: int, output: Path, failures: Path | None) -> None:
        shown = {"resumed": resumed, "output": str(output), "failures": None if failures is None else str(failures)}
        _say({"event": "end", **look.plain(), **shown})

    def end_early(self, source: Path, output: Path) -> None:
        _say({"event": "ended early", "output": str(output), "go_on": f"{_command(source, output)} --resume"})


def choose_display(*, json: bool) -> BatchDisplay:
    if json:
        return _Events()
    return _Bar() if is_terminal() else BatchDisplay()


def _say(event: dict[str, Any]) -> None:
    import orjson

    typer.echo(orjson.dumps(event))


def _line(look: ProgressSnapshot) -> str:
    of = "" if look.of is None else f" of {look.of}"
    return f"{look.totals.lines}{of} done, {_text(look)}"


def _text(look: ProgressSnapshot) -> str:
    totals = look.totals
    hits = 100 * (totals.cached + totals.repeated) / totals.lines if totals.lines else 0.0
    left = "" if look.eta is None else f", {_time(look.eta)} left"
    return f"{totals.failed} failed, {look.rate:.1f}/s, {hits:.0f} % from the cache{left}"


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _command(source: Path, output: Path) -> str:
    return shlex.join(["tilores", "batch", str(source), str(output)])
