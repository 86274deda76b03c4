"""`tilores state …`: durable state as a file, from one database to another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from tilores_core.cli.options import JsonOption, asynchronous, get_options
from tilores_core.cli.output import emit

app = typer.Typer(name="state", no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("export")
@asynchronous
async def export_state(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="The file to write, or replace.")],
    json: JsonOption = False,
) -> None:
    """Write all durable state to FILE. Any database of tilores-core can import it."""
    async with get_options(ctx).open_store() as store:
        counts = await (await store.get()).export_json(file)
    _show(f"exported to {file}", counts, as_json=json)


@app.command("import")
@asynchronous
async def import_state(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The exported file.")],
    replace: Annotated[bool, typer.Option("--replace", help="Remove the state that the database holds.")] = False,
    json: JsonOption = False,
) -> None:
    """Read an exported FILE into the database.

    It is read as a whole or not at all. Stop servers and workers first. A database that holds state is refused
    without --replace.
    """
    async with get_options(ctx).open_store() as store:
        counts = await (await store.get()).import_json(file, replace=replace)
    _show(f"imported from {file}", counts, as_json=json)


def _show(done: str, counts: Mapping[str, int], *, as_json: bool) -> None:
    rows = {name.removeprefix("tilores_"): count for name, count in counts.items()}
    shown = ", ".join(f"{count} {name}" for name, count in rows.items() if count) or "no rows"
    emit({"rows": rows}, f"{done}: {shown}", as_json=as_json)
