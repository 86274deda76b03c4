"""`tilores learning …`: what improvement cycles have learned."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tilores_core.cli.options import JsonOption, asynchronous, get_options
from tilores_core.cli.output import columns, emit, write_file
from tilores_core.files import MEBIBYTE, read_bytes

if TYPE_CHECKING:
    from tilores_core.improve.learning import LearningAccumulator

app = typer.Typer(name="learning", no_args_is_help=True, pretty_exceptions_enable=False)

_EMPTY = "-"
_WIDEST: Final = 100
_MOST_BYTES: Final = 64 * MEBIBYTE


@app.command()
@asynchronous
async def show(ctx: typer.Context, json: JsonOption = False) -> None:
    """List instructions with gain and confidence, the surest first."""

    async with _open_learning(ctx) as learned:
        rows: list[dict[str, Any]] = [
            {
                "instruction": one.lesson.change.instruction,
                "part": one.lesson.change.part,
                "fault": one.lesson.change.fault,
                "gain": one.lesson.gain,
                "low": one.low,
                "high": one.high,
                "confidence": one.lesson.confidence,
                "cycles": one.lesson.observations,
                "pairs": one.pairs,
                "models": dict(one.by_model),
                "spectrums": dict(one.by_spectrum),
            }
            for one in await learned.summarise()
        ]
    shown = [
        [
            f"{100 * row['gain']:+.2f}",
            f"{row['confidence']:.0%}",
            str(row["cycles"]),
            row["fault"] or _EMPTY,
            row["part"],
            row["instruction"][:_WIDEST],
        ]
        for row in rows
    ]
    heads = ("points", "sure", "cycles", "fault", "part", "instruction")
    emit(rows, columns(heads, shown, right=heads[:3]) if rows else "Nothing was learned yet.", as_json=json)


@app.command("export")
@asynchronous
async def export_lessons(
    ctx: typer.Context, file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="Where to.")]
) -> None:
    """Write all observations as JSON, for another installation."""
    async with _open_learning(ctx) as learned:
        write_file(file, await learned.export_json())


@app.command("import")
@asynchronous
async def import_lessons(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="An exported file.")],
) -> None:
    """Merge what was exported elsewhere. What is known already stays as it is."""
    async with _open_learning(ctx) as learned:
        count = await learned.import_json(read_bytes(file, most=_MOST_BYTES))
    typer.echo(f"{count} observations are new")


@asynccontextmanager
async def _open_learning(ctx: typer.Context) -> AsyncIterator[LearningAccumulator]:
    from tilores_core.improve.learning import LearningAccumulator

    async with get_options(ctx).open_store() as store:
        yield LearningAccumulator((await store.get()).improvement)
