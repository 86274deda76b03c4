"""`tilores prompts …`: versions of the prompt, and which one is in production.

Only `check` and `deploy` build the services, as they ask the golden questions. The others, `rollback` among them,
need the store alone: a plugin that does not work must not stand in the way of a roll-back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tilores_core.cli.options import JsonOption, Options, ReasonOption, asynchronous, get_options, get_user
from tilores_core.cli.output import columns, emit
from tilores_core.errors import ConfigError
from tilores_core.files import read_text

if TYPE_CHECKING:
    from tilores_core.release import Check, Deployment, ProductionPromptManager
    from tilores_core.store.lazy import LazyStore
    from tilores_core.store.prompts import PromptVersion

app = typer.Typer(name="prompts", no_args_is_help=True, pretty_exceptions_enable=False)

VERSION_COLUMNS: Final = ("version", "labels", "parent", "score", "author", "created", "reason")
AUDIT_COLUMNS: Final = ("at", "actor", "action", "subject", "from", "to", "reason")
_WIDEST: Final = 60

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
        rows = [_version_row(version, labels) for version in await manager.versions.recent(limit=limit)]
    _print_rows(rows, VERSION_COLUMNS, as_json=json)


@app.command()
@asynchronous
async def show(ctx: typer.Context, version: VersionArgument = "production", json: JsonOption = False) -> None:
    """Show a version: who made it, why, and its parts."""

    async with open_manager(get_options(ctx)) as (manager, _):
        labels = await manager.versions.labels()
        found = await manager.versions.get(await manager.versions.number_of(version))
    row = {**_version_row(found, labels), "scores": dict(found.scores), "parts": dict(found.parts)}
    lines = [f"{column}: {_cell(row[column], widest=1_000)}".rstrip() for column in VERSION_COLUMNS]
    lines += [f"\n[{part}]\n{found.parts[part].strip()}" for part in _in_order(found.parts)]
    emit(row, "\n".join(lines), as_json=json)


@app.command()
@asynchronous
async def diff(ctx: typer.Context, old: VersionArgument, new: VersionArgument = "production") -> None:
    """Show what changed between two versions, part by part."""

    async with open_manager(get_options(ctx)) as (manager, _):
        versions = manager.versions
        one, two = await versions.number_of(old), await versions.number_of(new)
        typer.echo(_difference(await versions.get(one), await versions.get(two)), nl=False)


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
    changes = dict(_read_part(text) for text in part)
    async with open_manager(get_options(ctx)) as (manager, _):
        parent = await manager.versions.number_of(base)
        parts = {**(await manager.versions.get(parent)).parts, **changes}
        made = await manager.versions.new(parts, author=author or get_user(), reason=reason, parent=parent)
    _print_new(*made, as_json=json)


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
    _print_new(number, is_new, as_json=json)


@app.command()
@asynchronous
async def check(
    ctx: typer.Context, version: VersionArgument, skip_evaluation: SkipOption = False, json: JsonOption = False
) -> None:
    """Make the checks that `deploy` makes. Exit code 1 when one refuses."""
    async with get_options(ctx).open_services() as services:
        number = await services.prompts.versions.number_of(version)
        checks = await services.prompts.check(number, skip_evaluation=skip_evaluation)
    _print_checks(checks, as_json=json)
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
        _print_checks(refused.checks, as_json=json)
        raise typer.Exit(1) from None
    _print_deployment(done, as_json=json)


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
    _print_deployment(done, as_json=json)


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
        entries = await manager.versions.history(label=label, limit=limit)
    rows = [{**entry.as_row(), **{end: entry.detail.get(end) for end in ("from", "to")}} for entry in entries]
    _print_rows(rows, AUDIT_COLUMNS, as_json=json)


@asynccontextmanager
async def open_manager(options: Options) -> AsyncIterator[tuple[ProductionPromptManager, LazyStore]]:
    """A manager that has the store alone. Its alerts are written to the store."""
    from tilores_core.alerts.queue import AlertQueue
    from tilores_core.release import ProductionPromptManager

    data_dir = options.environment().data_dir
    async with options.open_store() as store, aclosing(AlertQueue(store, data_dir)) as alerts:
        alerts.start()
        yield ProductionPromptManager(store, data_dir, alerts=alerts), store


# --- what is printed -------------------------------------------------------------------------------------------


def _version_row(version: PromptVersion, labels: Mapping[str, int]) -> dict[str, Any]:
    evaluation = version.scores.get("evaluation") or {}
    return {
        **version.as_row(),
        "labels": [name for name, number in labels.items() if number == version.number],
        "score": (evaluation.get("values") or {}).get("score"),
    }


def _read_part(text: str) -> tuple[str, str]:
    """`NAME=TEXT` or `NAME=@FILE`. Raises `ConfigError`."""
    name, mark, value = text.partition("=")
    if not mark:
        raise ConfigError(f"{text[:60]!r} is not NAME=TEXT", where="--part", fix="write --part role='You help …'")
    if value.startswith("@"):
        value = read_text(Path(value[1:]))
    return name, value


def _difference(old: PromptVersion, new: PromptVersion) -> str:
    """Of each part that is not the same, in the form of `diff -u`; empty when all are."""
    lines: list[str] = []
    for name in _in_order({**old.parts, **new.parts}):
        one, two = (version.parts.get(name, "").strip() for version in (old, new))
        names = f"{old.number}/{name}", f"{new.number}/{name}"
        lines += unified_diff(one.splitlines(), two.splitlines(), *names, lineterm="")
    return "".join(f"{line}\n" for line in lines)


def _print_rows(rows: Sequence[Mapping[str, Any]], names: Sequence[str], *, as_json: bool) -> None:
    emit(rows, columns(names, [[_cell(row[name]) for name in names] for row in rows]), as_json=as_json)


def _print_checks(checks: Sequence[Check], *, as_json: bool) -> None:
    emit({"checks": [check.as_row() for check in checks]}, _lines(checks), as_json=as_json)


def _lines(checks: Sequence[Check]) -> str:
    return "\n".join(f"{check.result:8} {check.name:11} {check.said}" for check in checks)


def _print_deployment(done: Deployment, *, as_json: bool) -> None:
    before = "" if done.before is None else f", before: {done.before}"
    said = f"{done.label} is version {done.number}{before}"
    emit(done.as_row(), "\n".join(filter(None, (_lines(done.checks), said))), as_json=as_json)


def _print_new(number: int, is_new: bool, *, as_json: bool) -> None:
    said = f"version {number} is made" if is_new else f"nothing is different from version {number}"
    emit({"version": number, "new": is_new}, said, as_json=as_json)


def _in_order(parts: Mapping[str, str]) -> Iterator[str]:
    from tilores_core.chat.prompts import ORDER

    yield from (name for name in ORDER if name in parts)
    yield from sorted(name for name in parts if name not in ORDER)


def _cell(value: Any, *, widest: int = _WIDEST) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.1%}"
    text = ", ".join(value) if isinstance(value, list) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= widest else f"{text[: widest - 1]}…"
