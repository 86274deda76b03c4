"""`tilores learning …`: what improvement cycles have learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilores_core.cli.options import JsonOption, get_options
from tilores_core.cli.output import columns, emit, write_file

if TYPE_CHECKING:
    from tilores_core.store.lazy import LazyStore

app = typer.Typer(name="learning", no_args_is_help=True, pretty_exceptions_enable=False)

_EMPTY = "-"
_WIDEST: int = 100


@app.callback()
def learning() -> None:
    """What improvement cycles have learned."""


@app.command()
def show(ctx: typer.Context, json: JsonOption = False) -> None:
    """List instructions with their gain and confidence, the surest first."""

    async def work(store: LazyStore) -> list[dict[str, Any]]:
        from tilores_core.improve.learning import LearningAccumulator

        learned = await LearningAccumulator((await store.get()).improvement).summarise()
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
            for one in learned
        ]

    rows = get_options(ctx).run_on_store(work)
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

    async def work(store: LazyStore) -> bytes:
        from tilores_core.improve.learning import LearningAccumulator

        return await LearningAccumulator((await store.get()).improvement).export_json()

    write_file(file, get_options(ctx).run_on_store(work))


@app.command("import")
def import_lessons(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="An exported file.")],
) -> None:
    """Merge what was exported elsewhere; what is known already stays as it is."""

    async def work(store: LazyStore) -> int:
        from tilores_core.improve.learning import LearningAccumulator

        return await LearningAccumulator((await store.get()).improvement).import_json(file.read_bytes())

    typer.echo(f"{get_options(ctx).run_on_store(work)} observations are new")
