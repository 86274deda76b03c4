"""`tilores prompts …`: versions of the prompt, and which one is in production.

Only `check` and `deploy` build the services, as they ask the golden questions. The others, `rollback` among them,
need the store alone: a plugin that does not work must not stand in the way of a roll-back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilores_core.cli import prompts_shown as shown
from tilores_core.cli.options import JsonOption, Options, ReasonOption, asynchronous, get_options, get_user
from tilores_core.cli.output import emit

if TYPE_CHECKING:
    from tilores_core.release import ProductionPromptManager
    from tilores_core.store.lazy import LazyStore

app = typer.Typer(name="prompts", no_args_is_help=True, pretty_exceptions_enable=False)

VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help="A number, or a label such as production.")]
AuthorOption = Annotated[
    str | None, typer.Option("--author", metavar="NAME", help="Who; default: the user of this machine.")
]
LabelOption = Annotated[str, typer.Option("--label", metavar="NAME", help="The label to move.")]
SkipOption = Annotated[
    bool, typer.Option("--skip-evaluation", help="Do not ask the golden questions; the audit log says so.")
]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", file_okay=False, help="The folder of the files.")]


@app.command("list")
@asynchronous
async def list_versions(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many, the newest first.")] = 20,
    json: JsonOption = False,
) -> None:
    """List the versions and their labels."""

    async with open_manager(get_options(ctx)) as (manager, _):
        labels = await manager.versions.labels()
        rows = [shown.version_row(version, labels) for version in await manager.versions.recent(limit=limit)]
    shown.print_rows(rows, shown.VERSION_COLUMNS, as_json=json)


@app.command()
@asynchronous
async def show(ctx: typer.Context, version: VersionArgument = "production", json: JsonOption = False) -> None:
    """Show a version: who made it, why, and its parts."""

    async with open_manager(get_options(ctx)) as (manager, _):
        labels = await manager.versions.labels()
        found = await manager.versions.get(await manager.versions.number_of(version))
    row = {**shown.version_row(found, labels), "scores": dict(found.scores), "parts": dict(found.parts)}
    shown.print_version(row, as_json=json)


@app.command()
@asynchronous
async def diff(ctx: typer.Context, old: VersionArgument, new: VersionArgument = "production") -> None:
    """Show what changed between two versions, part by part."""

    async with open_manager(get_options(ctx)) as (manager, _):
        versions = manager.versions
        one, two = await versions.number_of(old), await versions.number_of(new)
        typer.echo(shown.difference(await versions.get(one), await versions.get(two)), nl=False)


@app.command()
@asynchronous
async def new(
    ctx: typer.Context,
    part: Annotated[
        list[str], typer.Option("--part", metavar="NAME=TEXT", help="A part; =@FILE reads a file. May be repeated.")
    ],
    reason: ReasonOption,
    base: Annotated[str, typer.Option("--from", metavar="VERSION", help="The version to change.")] = "production",
    author: AuthorOption = None,
    json: JsonOption = False,
) -> None:
    """Make a version from another one with some parts replaced. An empty text removes a part."""
    changes = dict(shown.read_part(text) for text in part)
    async with open_manager(get_options(ctx)) as (manager, _):
        parent = await manager.versions.number_of(base)
        parts = {**(await manager.versions.get(parent)).parts, **changes}
        made = await manager.versions.new(parts, author=author or get_user(), reason=reason, parent=parent)
    shown.print_new(*made, as_json=json)


@app.command()
@asynchronous
async def pull(
    ctx: typer.Context, folder: FolderArgument, version: VersionArgument = "production", json: JsonOption = False
) -> None:
    """Write a version into DIR, one file a part. They can be edited, and kept in git."""
    from tilores_core.release.prompt_files import write_files

    async with open_manager(get_options(ctx)) as (manager, _):
        found = await manager.versions.get(await manager.versions.number_of(version))
    write_files(folder, found.number, found.parts, author=found.author, reason=found.reason)
    emit({"version": found.number, "folder": str(folder)}, f"version {found.number} is in {folder}", as_json=json)


@app.command()
@asynchronous
async def push(
    ctx: typer.Context,
    folder: FolderArgument,
    reason: ReasonOption,
    author: AuthorOption = None,
    json: JsonOption = False,
) -> None:
    """Make a version of the files in DIR. It is not deployed by that."""
    from tilores_core.release.prompt_files import note_version, read_files

    parts, parent = read_files(folder)
    name = author or get_user()
    async with open_manager(get_options(ctx)) as (manager, _):
        number, is_new = await manager.versions.new(parts, author=name, reason=reason, parent=parent)
    if is_new:
        note_version(folder, number, author=name, reason=reason)
    shown.print_new(number, is_new, as_json=json)


@app.command()
@asynchronous
async def check(
    ctx: typer.Context, version: VersionArgument, skip_evaluation: SkipOption = False, json: JsonOption = False
) -> None:
    """Make the checks that `deploy` makes. Exit code 1 when one refuses."""
    async with get_options(ctx).open_services() as services:
        number = await services.prompts.versions.number_of(version)
        checks = await services.prompts.check(number, skip_evaluation=skip_evaluation)
    shown.print_checks(checks, as_json=json)
    if any(check.refuses for check in checks):
        raise typer.Exit(1)


@app.command()
@asynchronous
async def deploy(
    ctx: typer.Context,
    version: VersionArgument,
    reason: ReasonOption,
    label: LabelOption = "production",
    skip_evaluation: SkipOption = False,
    author: AuthorOption = None,
    json: JsonOption = False,
) -> None:
    """Check a version and put it into production. All servers use it within a second.

    Exit code 1 when a check refuses it.
    """
    from tilores_core.errors import DeploymentRefusedError

    try:
        async with get_options(ctx).open_services() as services:
            done = await services.prompts.deploy(
                await services.prompts.versions.number_of(version),
                actor=author or get_user(),
                reason=reason,
                label=label,
                skip_evaluation=skip_evaluation,
            )
    except DeploymentRefusedError as refused:
        shown.print_checks(refused.checks, as_json=json)
        raise typer.Exit(1) from None
    shown.print_deployment(done, as_json=json)


@app.command()
@asynchronous
async def rollback(
    ctx: typer.Context,
    to: Annotated[int | None, typer.Option(metavar="N", min=1, help="An earlier version; default: the last.")] = None,
    reason: ReasonOption = "rolled back by hand",
    label: LabelOption = "production",
    author: AuthorOption = None,
    json: JsonOption = False,
) -> None:
    """Go back to the version before, at once and without checks. Its cached answers are found again."""
    async with open_manager(get_options(ctx)) as (manager, _):
        done = await manager.roll_back(actor=author or get_user(), reason=reason, label=label, to=to)
    shown.print_deployment(done, as_json=json)


@app.command()
@asynchronous
async def history(
    ctx: typer.Context,
    label: Annotated[str | None, typer.Option(metavar="NAME", help="What was done to this label alone.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many, the newest first.")] = 20,
    json: JsonOption = False,
) -> None:
    """Show who changed what, when and why."""
    async with open_manager(get_options(ctx)) as (manager, _):
        rows = [shown.audit_row(entry) for entry in await manager.versions.history(label=label, limit=limit)]
    shown.print_rows(rows, shown.AUDIT_COLUMNS, as_json=json)


@asynccontextmanager
async def open_manager(options: Options) -> AsyncIterator[tuple[ProductionPromptManager, LazyStore]]:
    """A manager that has the store alone. Its alerts are written to the store."""
    from tilores_core.alerts.queue import AlertQueue
    from tilores_core.release import ProductionPromptManager

    data_dir = options.environment().data_dir
    async with options.open_store() as store, aclosing(AlertQueue(store, data_dir)) as alerts:
        alerts.start()
        yield ProductionPromptManager(store, data_dir, alerts=alerts), store
