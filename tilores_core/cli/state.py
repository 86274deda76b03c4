"""`tilores state …`: durable state as a file, from one database to another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilores_core.cli.options import JsonOption, get_options
from tilores_core.cli.output import emit

if TYPE_CHECKING:
    from tilores_core.store.lazy import LazyStore
    from tilores_core.store.store import Store

app = typer.Typer(name="state", no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("export")
def export_state(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="The file to write, or replace.")],
    json: JsonOption = False,
) -> None:
    """Write all durable state to FILE. Any database of tilores-core can import it."""
    counts = _with_store(ctx, lambda store: store.export_json(file))
    _show(f"exported to {file}", counts, as_json=json)


@app.command("import")
def import_state(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The exported file.")],
    replace: Annotated[bool, typer.Option("--replace", help="Remove the state that the database holds.")] = False,
    json: JsonOption = False,
) -> None:
    """Read an exported FILE into the database.

    It is read as a whole or not at all. Stop servers and workers first. A database that holds state is refused
    without --replace.
    """
    counts = _with_store(ctx, lambda store: store.import_json(file, replace=replace))
    _show(f"imported from {file}", counts, as_json=json)


def _with_store(ctx: typer.Context, work: Callable[[Store], Awaitable[Mapping[str, int]]]) -> Mapping[str, int]:
    async def main(store: LazyStore) -> Mapping[str, int]:
        return await work(await store.get())

    return get_options(ctx).run_on_store(main)


def _show(done: str, counts: Mapping[str, int], *, as_json: bool) -> None:
    rows = {name.removeprefix("tilores_"): count for name, count in counts.items()}
    shown = ", ".join(f"{count} {name}" for name, count in rows.items() if count) or "no rows"
    emit({"rows": rows}, f"{done}: {shown}", as_json=as_json)
