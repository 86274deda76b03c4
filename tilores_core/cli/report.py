"""How the command line speaks of errors: one line what, one line what to do; a traceback only when asked for."""

from __future__ import annotations

import sys
import traceback

import typer

from tilores_core.errors import TiloresError


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
