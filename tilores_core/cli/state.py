"""`tilores state …`: durable state as a file, from one database to another."""

from __future__ import annotations

import asyncio
import json as json_module
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilores_core.cli.options import JsonOption, Options

if TYPE_CHECKING:
    from tilores_core.store.store import Store

app = typer.Typer(name="state", no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("export")
def export_state(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="The file to write, or replace.")],
    json: JsonOption = False,
) -> None:
    """Write all durable state to FILE, as JSON lines that any database of tilores-core can import."""
    counts = _with_store(ctx.obj, lambda store: store.export_json(file))
    _show(f"exported to {file}", counts, as_json=json)


@app.command("import")
def import_state(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The exported file.")],
    replace: Annotated[bool, typer.Option("--replace", help="Remove the state that the database holds.")] = False,
    json: JsonOption = False,
) -> None:
    """Read FILE, which `tilores state export` wrote, into the database: all of it or nothing.

    Stop servers and workers first. A database that holds state is refused without --replace.
    """
    counts = _with_store(ctx.obj, lambda store: store.import_json(file, replace=replace))
    _show(f"imported from {file}", counts, as_json=json)


def _with_store(options: Options, work: Callable[[Store], Awaitable[Mapping[str, int]]]) -> Mapping[str, int]:
    from tilores_core.store.address import store_address
    from tilores_core.store.store import Store

    async def main() -> Mapping[str, int]:
        environment = options.environment()
        store = await Store.open(store_address(environment.database_url, environment.data_dir))
        try:
            return await work(store)
        finally:
            await store.aclose()

    return asyncio.run(main())


def _show(done: str, counts: Mapping[str, int], *, as_json: bool) -> None:
    rows = {name.removeprefix("tilores_"): count for name, count in counts.items()}
    if as_json:
        typer.echo(json_module.dumps({"rows": rows}))
    else:
        typer.echo(f"{done}: {', '.join(f'{count} {name}' for name, count in rows.items())}")
