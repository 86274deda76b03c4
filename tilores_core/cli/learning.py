"""`tilores learning …`: what improvement cycles have learned."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tilores_core.cli.options import Commands, Options
from tilores_core.cli.output import Output, columns, write_file
from tilores_core.files import MEBIBYTE, read_bytes

if TYPE_CHECKING:
    from tilores_core.improve.learning import LearningAccumulator

app = Commands("learning")

_EMPTY = "-"
_WIDEST: Final = 100
_MOST_BYTES: Final = 64 * MEBIBYTE


@app.command()
async def show(options: Options) -> Output:
    """List instructions with gain and confidence, the surest first."""

    async with _open_learning(options) as learned:
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
    return Output(rows, columns(heads, shown, right=heads[:3]) if rows else "Nothing was learned yet.")


@app.command("export")
async def export_lessons(
    options: Options, file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="Where to.")]
) -> None:
    """Write all observations as JSON, for another installation."""
    async with _open_learning(options) as learned:
        write_file(file, await learned.export_json())


@app.command("import")
async def import_lessons(
    options: Options,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="An exported file.")],
) -> None:
    """Merge what was exported elsewhere. What is known already stays as it is."""
    async with _open_learning(options) as learned:
        count = await learned.import_json(read_bytes(file, most=_MOST_BYTES))
    typer.echo(f"{count} observations are new")


@asynccontextmanager
async def _open_learning(options: Options) -> AsyncIterator[LearningAccumulator]:
    from tilores_core.improve.learning import LearningAccumulator

    async with options.open_store() as store:
        yield LearningAccumulator((await store.get()).improvement)
