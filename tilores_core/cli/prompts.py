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

from tilores_core.cli.options import Commands, LimitOption, Options, ReasonOption, get_user
from tilores_core.cli.output import Output, columns
from tilores_core.errors import ConfigError
from tilores_core.files import read_text

if TYPE_CHECKING:
    from tilores_core.release.prompt_checks import Check
    from tilores_core.release.prompts import Deployment, ProductionPromptManager
    from tilores_core.store.lazy import LazyStore
    from tilores_core.store.prompts import PromptVersion

app = Commands("prompts", "Versions of the prompt: made, checked, deployed, rolled back.")

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
async def list_versions(options: Options, limit: LimitOption = 20) -> Output:
    """List the versions and their labels."""
    async with open_manager(options) as (manager, _):
        labels = await manager.versions.labels()
        rows = [_version_row(version, labels) for version in await manager.versions.recent(limit=limit)]
    return _output_rows(rows, VERSION_COLUMNS)


@app.command()
async def show(options: Options, version: VersionArgument = "production") -> Output:
    """Show a version: who made it, why, and its parts."""
    async with open_manager(options) as (manager, _):
        labels = await manager.versions.labels()
        found = await manager.versions.get(await manager.versions.number_of(version))
    row = {**_version_row(found, labels), "scores": dict(found.scores), "parts": dict(found.parts)}
    lines = [f"{column}: {_cell(row[column], widest=1_000)}".rstrip() for column in VERSION_COLUMNS]
    lines += [f"\n[{part}]\n{found.parts[part].strip()}" for part in _in_order(found.parts)]
    return Output(row, *lines)


@app.command()
async def diff(options: Options, old: VersionArgument, new: VersionArgument = "production") -> None:
    """Show what changed between two versions, part by part."""
    async with open_manager(options) as (manager, _):
        versions = manager.versions
        one, two = await versions.number_of(old), await versions.number_of(new)
        typer.echo(_difference(await versions.get(one), await versions.get(two)), nl=False)


@app.command()
async def new(
    options: Options,
    part: Annotated[
        list[str], typer.Option("--part", metavar="NAME=TEXT", help="A part; =@FILE reads a file. May be repeated.")
    ],
    reason: ReasonOption,
    base: Annotated[str, typer.Option("--from", metavar="VERSION", help="The version to change.")] = "production",
    author: AuthorOption = None,
) -> Output:
    """Make a version from another one with some parts replaced. An empty text removes a part."""
    changes = dict(_read_part(text) for text in part)
    async with open_manager(options) as (manager, _):
        parent = await manager.versions.number_of(base)
        parts = {**(await manager.versions.get(parent)).parts, **changes}
        made = await manager.versions.new(parts, author=author or get_user(), reason=reason, parent=parent)
    return _output_new(*made)


@app.command()
async def pull(options: Options, folder: FolderArgument, version: VersionArgument = "production") -> Output:
    """Write a version into DIR, one file a part. They can be edited, and kept in git."""
    from tilores_core.release.prompt_files import write_files

    async with open_manager(options) as (manager, _):
        found = await manager.versions.get(await manager.versions.number_of(version))
    write_files(folder, found.number, found.parts, author=found.author, reason=found.reason)
    return Output({"version": found.number, "folder": str(folder)}, f"version {found.number} is in {folder}")


@app.command()
async def push(options: Options, folder: FolderArgument, reason: ReasonOption, author: AuthorOption = None) -> Output:
    """Make a version of the files in DIR. It is not deployed by that."""
    from tilores_core.release.prompt_files import note_version, read_files

    parts, parent = read_files(folder)
    name = author or get_user()
    async with open_manager(options) as (manager, _):
        number, is_new = await manager.versions.new(parts, author=name, reason=reason, parent=parent)
    if is_new:
        note_version(folder, number, author=name, reason=reason)
    return _output_new(number, is_new)


@app.command()
async def check(options: Options, version: VersionArgument, skip_evaluation: SkipOption = False) -> Output:
    """Make the checks that `deploy` makes. Exit code 1 when one refuses."""
    async with options.open_services() as services:
        number = await services.prompts.versions.number_of(version)
        checks = await services.prompts.check(number, skip_evaluation=skip_evaluation)
    return _output_checks(checks)


@app.command()
async def deploy(
    options: Options,
    version: VersionArgument,
    reason: ReasonOption,
    label: LabelOption = "production",
    skip_evaluation: SkipOption = False,
    author: AuthorOption = None,
) -> Output:
    """Check a version and put it into production. All servers use it within a second.

    Exit code 1 when a check refuses it.
    """
    from tilores_core.errors import DeploymentRefusedError

    try:
        async with options.open_services() as services:
            done = await services.prompts.deploy(
                await services.prompts.versions.number_of(version),
                actor=author or get_user(),
                reason=reason,
                label=label,
                skip_evaluation=skip_evaluation,
            )
    except DeploymentRefusedError as refused:
        return _output_checks(refused.checks)
    return _output_deployment(done)


@app.command()
async def rollback(
    options: Options,
    to: Annotated[int | None, typer.Option(metavar="N", min=1, help="An earlier version; default: the last.")] = None,
    reason: ReasonOption = "rolled back by hand",
    label: LabelOption = "production",
    author: AuthorOption = None,
) -> Output:
    """Go back to the version before, at once and without checks. Its cached answers are found again."""
    async with open_manager(options) as (manager, _):
        done = await manager.roll_back(actor=author or get_user(), reason=reason, label=label, to=to)
    return _output_deployment(done)


@app.command()
async def history(
    options: Options,
    label: Annotated[str | None, typer.Option(metavar="NAME", help="What was done to this label alone.")] = None,
    limit: LimitOption = 20,
) -> Output:
    """Show who changed what, when and why."""
    async with open_manager(options) as (manager, _):
        entries = await manager.versions.history(label=label, limit=limit)
    rows = [{**entry.as_row(), **{end: entry.detail.get(end) for end in ("from", "to")}} for entry in entries]
    return _output_rows(rows, AUDIT_COLUMNS)


@asynccontextmanager
async def open_manager(options: Options) -> AsyncIterator[tuple[ProductionPromptManager, LazyStore]]:
    """A manager that has the store alone. Its alerts are written to the store."""
    from tilores_core.alerts.queue import AlertQueue
    from tilores_core.release.prompts import ProductionPromptManager

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


def _output_rows(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Output:
    return Output(rows, columns(names, [[_cell(row[name]) for name in names] for row in rows]))


def _output_checks(checks: Sequence[Check]) -> Output:
    failed = any(check.refuses for check in checks)
    return Output({"checks": [check.as_row() for check in checks]}, *_lines(checks), failed=failed)


def _lines(checks: Sequence[Check]) -> list[str]:
    return [f"{check.result:8} {check.name:11} {check.said}" for check in checks]


def _output_deployment(done: Deployment) -> Output:
    before = "" if done.before is None else f", before: {done.before}"
    return Output(done.as_row(), *_lines(done.checks), f"{done.label} is version {done.number}{before}")


def _output_new(number: int, is_new: bool) -> Output:
    said = f"version {number} is made" if is_new else f"nothing is different from version {number}"
    return Output({"version": number, "new": is_new}, said)


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
