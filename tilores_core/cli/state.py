"""`tilores state …`: durable state as a file, from one database to another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from tilores_core.cli.options import Commands, Options
from tilores_core.cli.output import Output

app = Commands("state", "Export and import durable state.")


@app.command("export")
async def export_state(
    options: Options,
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="The file to write, or replace.")],
) -> Output:
    """Write all durable state to FILE. Any database of tilores-core can import it."""
    async with options.open_store() as store:
        counts = await (await store.get()).export_json(file)
    return _output(f"exported to {file}", counts)


@app.command("import")
async def import_state(
    options: Options,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The exported file.")],
    replace: Annotated[bool, typer.Option("--replace", help="Remove the state that the database holds.")] = False,
) -> Output:
    """Read an exported FILE into the database.

    It is read as a whole or not at all. Stop servers and workers first. A database that holds state is refused
    without --replace.
    """
    async with options.open_store() as store:
        counts = await (await store.get()).import_json(file, replace=replace)
    return _output(f"imported from {file}", counts)


def _output(done: str, counts: Mapping[str, int]) -> Output:
    rows = {name.removeprefix("tilores_"): count for name, count in counts.items()}
    shown = ", ".join(f"{count} {name}" for name, count in rows.items() if count) or "no rows"
    return Output({"rows": rows}, f"{done}: {shown}")
