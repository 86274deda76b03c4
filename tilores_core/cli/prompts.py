"""`tilores prompts …`: versions of the prompt, and which one is in production.

Only `check` and `deploy` build the services, as they ask the golden questions. The others, `rollback` among them,
need the store alone: a plugin that does not work must not stand in the way of a roll-back.
"""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from tilores_core.cli import prompts_shown as shown
from tilores_core.cli.options import JsonOption, Options, ReasonOption, get_options
from tilores_core.cli.output import emit

if TYPE_CHECKING:
    from tilores_core.release import ProductionPromptManager
    from tilores_core.store.lazy import LazyStore

T = TypeVar("T")

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
def list_versions(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many, the newest first.")] = 20,
    json: JsonOption = False,
) -> None:
    """List the versions and their labels."""

    async def work(manager: ProductionPromptManager) -> list[dict[str, Any]]:
        labels = await manager.versions.labels()
        return [shown.version_row(version, labels) for version in await manager.versions.recent(limit=limit)]

    shown.print_rows(_with_manager(ctx.obj, work), shown.VERSION_COLUMNS, as_json=json)


@app.command()
def show(ctx: typer.Context, version: VersionArgument = "production", json: JsonOption = False) -> None:
    """Show a version: who made it, why, and its parts."""

    async def work(manager: ProductionPromptManager) -> dict[str, Any]:
        labels = await manager.versions.labels()
        found = await manager.versions.get(await manager.versions.number_of(version))
        return {**shown.version_row(found, labels), "scores": dict(found.scores), "parts": dict(found.parts)}

    shown.print_version(_with_manager(ctx.obj, work), as_json=json)


@app.command()
def diff(ctx: typer.Context, old: VersionArgument, new: VersionArgument = "production") -> None:
    """Show what changed between two versions, part by part."""

    async def work(manager: ProductionPromptManager) -> str:
        versions = manager.versions
        one, two = await versions.number_of(old), await versions.number_of(new)
        return shown.difference(await versions.get(one), await versions.get(two))

    typer.echo(_with_manager(ctx.obj, work), nl=False)


@app.command()
def new(
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

    async def work(manager: ProductionPromptManager) -> tuple[int, bool]:
        parent = await manager.versions.number_of(base)
        parts = {**(await manager.versions.get(parent)).parts, **changes}
        return await manager.versions.new(parts, author=author or getpass.getuser(), reason=reason, parent=parent)

    shown.print_new(*_with_manager(ctx.obj, work), as_json=json)


@app.command()
def pull(
    ctx: typer.Context, folder: FolderArgument, version: VersionArgument = "production", json: JsonOption = False
) -> None:
    """Write a version into DIR, one file a part. They can be edited, and kept in git."""
    from tilores_core.release.prompt_files import write_files

    async def work(manager: ProductionPromptManager) -> int:
        found = await manager.versions.get(await manager.versions.number_of(version))
        write_files(folder, found.number, found.parts, author=found.author, reason=found.reason)
        return found.number

    number = _with_manager(ctx.obj, work)
    emit({"version": number, "folder": str(folder)}, f"version {number} is in {folder}", as_json=json)


@app.command()
def push(
    ctx: typer.Context,
    folder: FolderArgument,
    reason: ReasonOption,
    author: AuthorOption = None,
    json: JsonOption = False,
) -> None:
    """Make a version of the files in DIR. It is not deployed by that."""
    from tilores_core.release.prompt_files import note_version, read_files

    parts, parent = read_files(folder)
    name = author or getpass.getuser()

    async def work(manager: ProductionPromptManager) -> tuple[int, bool]:
        return await manager.versions.new(parts, author=name, reason=reason, parent=parent)

    number, is_new = _with_manager(ctx.obj, work)
    if is_new:
        note_version(folder, number, author=name, reason=reason)
    shown.print_new(number, is_new, as_json=json)


@app.command()
def check(
    ctx: typer.Context, version: VersionArgument, skip_evaluation: SkipOption = False, json: JsonOption = False
) -> None:
    """Make the checks that `deploy` makes. Exit code 1 when one refuses."""
    checks = get_options(ctx).run(lambda services: _check(services.prompts, version, skip_evaluation))
    shown.print_checks(checks, as_json=json)
    if any(check.refuses for check in checks):
        raise typer.Exit(1)


@app.command()
def deploy(
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

    async def work(manager: ProductionPromptManager) -> Any:
        number = await manager.versions.number_of(version)
        return await manager.deploy(
            number,
            actor=author or getpass.getuser(),
            reason=reason,
            label=label,
            skip_evaluation=skip_evaluation,
        )

    try:
        done = get_options(ctx).run(lambda services: work(services.prompts))
    except DeploymentRefusedError as refused:
        shown.print_checks(refused.checks, as_json=json)
        raise typer.Exit(1) from None
    shown.print_deployment(done, as_json=json)


@app.command()
def rollback(
    ctx: typer.Context,
    to: Annotated[int | None, typer.Option(metavar="N", min=1, help="An earlier version; default: the last.")] = None,
    reason: ReasonOption = "rolled back by hand",
    label: LabelOption = "production",
    author: AuthorOption = None,
    json: JsonOption = False,
) -> None:
    """Go back to the version before, at once and without checks. Its cached answers are found again."""

    async def work(manager: ProductionPromptManager) -> Any:
        return await manager.roll_back(actor=author or getpass.getuser(), reason=reason, label=label, to=to)

    shown.print_deployment(_with_manager(ctx.obj, work), as_json=json)


@app.command()
def history(
    ctx: typer.Context,
    label: Annotated[str | None, typer.Option(metavar="NAME", help="What was done to this label alone.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many, the newest first.")] = 20,
    json: JsonOption = False,
) -> None:
    """Show who changed what, when and why."""

    async def work(manager: ProductionPromptManager) -> list[dict[str, Any]]:
        return [shown.audit_row(entry) for entry in await manager.versions.history(label=label, limit=limit)]

    shown.print_rows(_with_manager(ctx.obj, work), shown.AUDIT_COLUMNS, as_json=json)


async def _check(manager: ProductionPromptManager, version: str, skip_evaluation: bool) -> Any:
    return await manager.check(await manager.versions.number_of(version), skip_evaluation=skip_evaluation)


def run_with_manager(options: Options, work: Callable[[ProductionPromptManager, LazyStore], Awaitable[T]]) -> T:
    """Do the work with a manager that has the store alone. Its alerts are written to the store."""
    from tilores_core.alerts.queue import AlertQueue
    from tilores_core.release import ProductionPromptManager

    data_dir = options.environment().data_dir

    async def main(store: LazyStore) -> T:
        alerts = AlertQueue(store, data_dir)
        alerts.start()
        try:
            return await work(ProductionPromptManager(store, data_dir, alerts=alerts), store)
        finally:
            await alerts.aclose()

    return options.run_on_store(main)


def _with_manager(options: Options, work: Callable[[ProductionPromptManager], Awaitable[T]]) -> T:
    return run_with_manager(options, lambda manager, _: work(manager))
