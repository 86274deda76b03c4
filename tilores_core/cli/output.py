"""What commands print: JSON, or text such as plain columns, readable in a log and by `grep`; and errors."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from tilores_core.errors import TiloresError


class Output:
    """What a command found: `value` is its JSON, `lines` are for people. `failed`: the command's exit code is 1."""

    def __init__(self, value: Any, *lines: str, failed: bool = False) -> None:
        self.value = value
        self.text = "\n".join(lines)
        self.failed = failed

    def show(self, *, as_json: bool) -> None:
        """Print the value as JSON, or else the lines; nothing for an empty text."""
        if as_json:
            import orjson  # not for help

            typer.echo(orjson.dumps(self.value, option=orjson.OPT_NON_STR_KEYS).decode())
        elif self.text:
            typer.echo(self.text)


def finding_text(state: str, part: str, detail: str, fix: str | None) -> str:
    """The result of a check, with what to do on a line of its own."""
    line = f"{state:<8} {part}: {detail}"
    return f"{line}\n         fix: {fix}" if fix else line


def split_names(text: str | None) -> tuple[str, ...]:
    """The names in a text, parted by commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def columns(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> str:
    """The rows under the headings, in columns as wide as their longest cell; those named in `right` to the right."""
    lines = [headings, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(headings))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if heading in right else cell.ljust(width)
            for heading, cell, width in zip(headings, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def is_terminal() -> bool:
    """Whether standard error can show a bar."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def show_progress(
    total: int, plain: Callable[[int, str], None], *, quiet: bool = False
) -> Iterator[Callable[[int, str], None]]:
    """What takes how much is done, and a word for it: a bar on a terminal, else `plain`. All on standard error."""
    if quiet or not is_terminal():
        yield plain
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, text: bar.update(task, completed=done, description=text)


def wants_traceback() -> bool:
    return "--verbose" in sys.argv[1:]


def full_traceback(error: BaseException) -> str:
    """The traceback, cause included, without local variables: those may hold secrets and customers' data."""
    return "".join(traceback.format_exception(error)).rstrip()


def report(error: BaseException) -> None:
    """Write to standard error. The exit code is the caller's business."""
    if wants_traceback():
        typer.echo(full_traceback(error), err=True)
    if isinstance(error, TiloresError):
        typer.echo(f"error: {error}", err=True)
        return
    typer.echo(f"error: {type(error).__name__}: {error}", err=True)
    if not wants_traceback():
        typer.echo("  fix:  this is a fault of the program; 'tilores --verbose …' shows where it happened", err=True)
