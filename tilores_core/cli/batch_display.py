"""How a batch is shown: a bar on a terminal, lines elsewhere, JSON events for programs."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from tilores_core.cli.output import is_terminal

if TYPE_CHECKING:
    from tilores_core.jobs.batch_rows import ProgressSnapshot

_EVERY_BAR: Final = 0.1
_EVERY_LINE: Final = 5.0
_EVERY_EVENT: Final = 1.0


class BatchDisplay:
    """Progress in lines on standard error, what came of it on standard output.

    `every`: seconds between two calls of `progress`, all of which are made inside `with screen`.
    """

    every = _EVERY_LINE
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
    every = _EVERY_BAR

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

    every = _EVERY_EVENT

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
