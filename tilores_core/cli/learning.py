"""`tilores learning …`: what improvement cycles have learned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from tilores_core.cli.options import JsonOption, get_options
from tilores_core.cli.output import columns, emit, write_file

if TYPE_CHECKING:
    from tilores_core.improve.learning import LearningAccumulator
    from tilores_core.store.lazy import LazyStore

T = TypeVar("T")

app = typer.Typer(name="learning", no_args_is_help=True, pretty_exceptions_enable=False)

_EMPTY = "-"
_WIDEST: int = 100


@app.command()
def show(ctx: typer.Context, json: JsonOption = False) -> None:
    """List instructions with gain and confidence, the surest first."""

    async def work(learned: LearningAccumulator) -> list[dict[str, Any]]:
        return [
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

    rows = _run(ctx, work)
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
def export_lessons(
    ctx: typer.Context, file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="Where to.")]
) -> None:
    """Write all observations as JSON, for another installation."""
    write_file(file, _run(ctx, lambda learned: learned.export_json()))


@app.command("import")
def import_lessons(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="An exported file.")],
) -> None:
    """Merge what was exported elsewhere. What is known already stays as it is."""
    count = _run(ctx, lambda learned: learned.import_json(file.read_bytes()))
    typer.echo(f"{count} observations are new")


def _run(ctx: typer.Context, work: Callable[[LearningAccumulator], Awaitable[T]]) -> T:
    async def main(store: LazyStore) -> T:
        from tilores_core.improve.learning import LearningAccumulator

        return await work(LearningAccumulator((await store.get()).improvement))

    return get_options(ctx).run_on_store(main)
