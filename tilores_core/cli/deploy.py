"""`tilores deploy …`: check, deploy, watch and take back, on whatever platform a plugin offers."""

from __future__ import annotations

import asyncio
import dataclasses
import json as json_module
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilores_core.cli.options import Commands, JsonOption, Options
from tilores_core.cli.output import Output, finding_text
from tilores_core.errors import ConfigError

if TYPE_CHECKING:
    from tilores_core.contracts import Deployment
    from tilores_core.deploy import Rollout
    from tilores_core.host.host import PluginHost

app = Commands("deploy", "Deploy, watch and take back; check before.")

HERE = Path()


@dataclasses.dataclass(frozen=True, slots=True)
class TargetOptions:
    """What is deployed, and to what."""

    target: Annotated[
        str | None, typer.Option("--target", metavar="NAME", help="The deploy target; default: [use] deploy.")
    ] = None
    folder: Annotated[
        Path, typer.Option("--folder", metavar="DIR", exists=True, file_okay=False, help="The project's folder.")
    ] = HERE


@app.command()
async def check(options: Options, to: TargetOptions, json: JsonOption = False) -> Output:
    """Say what would make a deployment fail or misbehave. Exit code 1 when there is a problem; nothing is changed."""
    from tilores_core.deploy.project import check_project

    async with _open_rollout(options, to, json=json) as (rollout, host):
        findings = [*check_project(rollout.project, host), *await rollout.target.check(rollout.project)]
    lines = [finding_text(finding.state, finding.check, finding.detail, finding.fix) for finding in findings]
    failed = any(finding.state == "problem" for finding in findings)
    return Output([dataclasses.asdict(finding) for finding in findings], *lines, failed=failed)


@app.command()
async def up(options: Options, to: TargetOptions, json: JsonOption = False) -> Output:
    """Deploy, and go back by itself when that fails.

    It waits until the deployment is ready and asks it a question. Interrupted at any step, the same command goes on
    where it was.
    """
    try:
        async with _open_rollout(options, to, json=json) as (rollout, _):
            return _output(await rollout.up())
    except asyncio.CancelledError:
        typer.echo("interrupted: the same command goes on where it was", err=True)
        raise


@app.command()
async def status(options: Options, to: TargetOptions, json: JsonOption = False) -> Output:
    """List the deployments that the platform knows, the newest first."""
    async with _open_rollout(options, to, json=json) as (rollout, _):
        found = await rollout.target.status()
    lines = []
    for row in found:
        marks = ["active"] * row.active + ["can go back to"] * row.can_rollback
        lines.append(f"{row.id}  {row.state:<12} {row.created}  {row.detail}  {', '.join(marks)}".rstrip())
    return Output([dataclasses.asdict(row) for row in found], *lines)


@app.command()
async def logs(
    options: Options,
    to: TargetOptions,
    deployment: Annotated[str | None, typer.Argument(metavar="[ID]", help="Default: the newest deployment.")] = None,
    lines: Annotated[int, typer.Option(min=1, max=5000, metavar="N", help="So many lines of each log.")] = 200,
    json: JsonOption = False,
) -> None:
    """Print the end of a deployment's build log and log."""
    async with _open_rollout(options, to, json=json) as (rollout, _):
        async for line in rollout.target.logs(deployment, lines=lines):
            shown = json_module.dumps(dataclasses.asdict(line)) if json else f"{line.part:<5} {line.time} {line.text}"
            typer.echo(shown)


@app.command()
async def rollback(
    options: Options,
    to: TargetOptions,
    deployment: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Default: the one before the active one.")
    ] = None,
    json: JsonOption = False,
) -> Output:
    """Make an earlier deployment the active one, and verify it."""
    async with _open_rollout(options, to, json=json) as (rollout, _):
        return _output(await rollout.rollback(deployment))


@app.command()
async def files(
    options: Options,
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", exists=True, file_okay=False, help="The project's folder.")
    ] = HERE,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there with another text.")] = False,
    json: JsonOption = False,
) -> Output:
    """Write the files that platforms need into DIR.

    These are Dockerfile, compose.yaml, railway.json, Procfile, systemd units and a Kubernetes manifest.
    """
    from tilores_core.contracts import SupportsFiles
    from tilores_core.host.roles import DEPLOY

    async with options.open_host() as host:
        able = [one for one in host.names(DEPLOY) if SupportsFiles in host.registration(DEPLOY, one).spec.abilities]
    if not able:
        raise ConfigError("no active plugin writes files", fix="tilores plugins list")
    async with _open_rollout(options, TargetOptions(able[0], folder), json=json) as (rollout, _):
        writer: Any = rollout.target  # its spec declares the ability
        written: list[Path] = writer.write(rollout.project, folder, overwrite=force)
    lines = [f"wrote {path}" for path in written] or ["all files are there as they should be"]
    return Output([str(path) for path in written], *lines)


def _output(deployment: Deployment) -> Output:
    where = f" at {deployment.url}" if deployment.url else ""
    return Output(dataclasses.asdict(deployment), f"{deployment.id} is {deployment.state}{where}")


@asynccontextmanager
async def _open_rollout(
    options: Options, to: TargetOptions, *, json: bool
) -> AsyncIterator[tuple[Rollout, PluginHost]]:
    from tilores_core.alerts.queue import AlertQueue
    from tilores_core.deploy import Journal, Rollout, make_project
    from tilores_core.host.roles import DEPLOY
    from tilores_core.settings import variables

    environment = options.environment()
    async with (
        options.open_host() as host,
        options.open_store() as store,
        aclosing(AlertQueue(store, environment.data_dir)) as alerts,
    ):
        alerts.start()
        name = to.target or host.config.use.deploy
        if name is None:
            known = ", ".join(host.names(DEPLOY)) or "none"
            raise ConfigError(
                "no deploy target is chosen", where="[use] deploy", fix=f"set it, or give --target; known: {known}"
            )
        yield (
            Rollout(
                name=name,
                target=host.build(DEPLOY, name),
                project=make_project(host, environment, variables(), to.folder),
                journal=Journal(environment.data_dir, name),
                table=host.config.deploy,
                alerts=alerts,
                progress=(lambda line: typer.echo(line, err=True)) if json else typer.echo,
            ),
            host,
        )
