"""`tilores deploy …`: check, deploy, watch and take back, on whatever platform a plugin offers."""

from __future__ import annotations

import asyncio
import dataclasses
import json as json_module
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from tilores_core.cli.options import JsonOption, Options
from tilores_core.cli.output import emit
from tilores_core.errors import ConfigError

if TYPE_CHECKING:
    from tilores_core.contracts import DeployFinding, Deployment
    from tilores_core.deploy import Rollout
    from tilores_core.host import PluginHost

T = TypeVar("T")
Work = Callable[["Rollout", "PluginHost"], Awaitable[T]]

app = typer.Typer(name="deploy", no_args_is_help=True, pretty_exceptions_enable=False)

TargetOption = Annotated[
    str | None, typer.Option("--target", metavar="NAME", help="The deploy target; default: [use] deploy.")
]
FolderOption = Annotated[
    Path, typer.Option("--folder", metavar="DIR", exists=True, file_okay=False, help="The project's folder.")
]
HERE = Path()


@app.command()
def check(
    ctx: typer.Context, target: TargetOption = None, folder: FolderOption = HERE, json: JsonOption = False
) -> None:
    """Say what would make a deployment fail or misbehave. Exit code 1 when there is a problem; nothing is changed."""
    from tilores_core.deploy.project import check_project

    async def work(rollout: Rollout, host: PluginHost) -> list[DeployFinding]:
        return [*check_project(rollout.project, host), *await rollout.check()]

    findings = _run(ctx.obj, target, folder, work, json=json)
    lines = [
        f"{finding.state:<8} {finding.check}: {finding.detail}"
        + (f"\n         fix: {finding.fix}" if finding.fix else "")
        for finding in findings
    ]
    emit([dataclasses.asdict(finding) for finding in findings], "\n".join(lines), as_json=json)
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


@app.command()
def up(
    ctx: typer.Context, target: TargetOption = None, folder: FolderOption = HERE, json: JsonOption = False
) -> None:
    """Deploy, and go back by itself when that fails.

    It waits until the deployment is ready and asks it a question. Interrupted at any step, the same command goes on
    where it was.
    """
    try:
        _show(_run(ctx.obj, target, folder, lambda rollout, _: rollout.up(), json=json), json=json)
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command goes on where it was", err=True)
        raise


@app.command()
def status(
    ctx: typer.Context, target: TargetOption = None, folder: FolderOption = HERE, json: JsonOption = False
) -> None:
    """List the deployments that the platform knows, the newest first."""
    found = _run(ctx.obj, target, folder, lambda rollout, _: rollout.target.status(), json=json)
    lines = []
    for row in found:
        marks = ["active"] * row.active + ["can go back to"] * row.can_rollback
        lines.append(f"{row.id}  {row.state:<12} {row.created}  {row.detail}  {', '.join(marks)}".rstrip())
    emit([dataclasses.asdict(row) for row in found], "\n".join(lines), as_json=json)


@app.command()
def logs(
    ctx: typer.Context,
    deployment: Annotated[str | None, typer.Argument(metavar="[ID]", help="Default: the newest deployment.")] = None,
    target: TargetOption = None,
    folder: FolderOption = HERE,
    lines: Annotated[int, typer.Option(min=1, max=5000, metavar="N", help="So many lines of each log.")] = 200,
    json: JsonOption = False,
) -> None:
    """Print the end of a deployment's build log and log."""

    async def work(rollout: Rollout, _: PluginHost) -> None:
        async for line in rollout.target.logs(deployment, lines=lines):
            shown = json_module.dumps(dataclasses.asdict(line)) if json else f"{line.part:<5} {line.time} {line.text}"
            typer.echo(shown)

    _run(ctx.obj, target, folder, work, json=json)


@app.command()
def rollback(
    ctx: typer.Context,
    deployment: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Default: the one before the active one.")
    ] = None,
    target: TargetOption = None,
    folder: FolderOption = HERE,
    json: JsonOption = False,
) -> None:
    """Make an earlier deployment the active one, and verify it."""
    _show(_run(ctx.obj, target, folder, lambda rollout, _: rollout.rollback(deployment), json=json), json=json)


@app.command()
def files(
    ctx: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", exists=True, file_okay=False, help="The project's folder.")
    ] = HERE,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there with another text.")] = False,
    json: JsonOption = False,
) -> None:
    """Write the files that platforms need into DIR.

    These are Dockerfile, compose.yaml, railway.json, Procfile, systemd units and a Kubernetes manifest.
    """
    from tilores_core.contracts import SupportsFiles
    from tilores_core.host.roles import DEPLOY

    options: Options = ctx.obj
    host = options.host()
    names = [name for name in host.names(DEPLOY) if SupportsFiles in host.registration(DEPLOY, name).spec.abilities]
    if not names:
        raise ConfigError("no active plugin writes files", fix="tilores plugins list")

    async def work(rollout: Rollout, _: PluginHost) -> list[Path]:
        writer: Any = rollout.target  # its spec declares the ability
        written: list[Path] = writer.write(rollout.project, folder, overwrite=force)
        return written

    written = _run(options, names[0], folder, work, json=json)
    said = "\n".join(f"wrote {path}" for path in written) or "all files are there as they should be"
    emit([str(path) for path in written], said, as_json=json)


def _show(deployment: Deployment, *, json: bool) -> None:
    where = f" at {deployment.url}" if deployment.url else ""
    emit(dataclasses.asdict(deployment), f"{deployment.id} is {deployment.state}{where}", as_json=json)


def _run(options: Options, target: str | None, folder: Path, work: Work[T], *, json: bool) -> T:
    return asyncio.run(_with_rollout(options, target, folder, work, quiet=json))


async def _with_rollout(options: Options, target: str | None, folder: Path, work: Work[T], *, quiet: bool) -> T:
    from tilores_core.alerts.queue import AlertQueue
    from tilores_core.deploy import Journal, Rollout, make_project
    from tilores_core.host.roles import DEPLOY
    from tilores_core.settings import variables
    from tilores_core.store.address import store_address
    from tilores_core.store.lazy import LazyStore

    environment = options.environment()
    host = options.host()
    store = LazyStore(store_address(environment.database_url, environment.data_dir))
    alerts = AlertQueue(store, environment.data_dir)
    alerts.start()
    try:
        name = target or host.config.use.deploy
        if name is None:
            known = ", ".join(host.names(DEPLOY)) or "none"
            raise ConfigError(
                "no deploy target is chosen", where="[use] deploy", fix=f"set it, or give --target; known: {known}"
            )
        rollout = Rollout(
            name=name,
            target=host.build(DEPLOY, name),
            project=make_project(host, environment, variables(), folder),
            journal=Journal(environment.data_dir, name),
            table=host.config.deploy,
            alerts=alerts,
            progress=(lambda line: typer.echo(line, err=True)) if quiet else typer.echo,
        )
        return await work(rollout, host)
    finally:
        await alerts.aclose()
        await store.aclose()
        await host.aclose()
