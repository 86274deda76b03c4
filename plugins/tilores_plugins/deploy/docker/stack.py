"""The target `compose`: all services of a compose file, with the image's tag in TILORES_TAG."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

from dotenv import dotenv_values

from tilores_core import DeployError, DeployFinding, DeployLog, Deployment, DeployProject, PluginContext, Progress
from tilores_plugins.deploy.docker.engine import Engine, ImageTarget, check_engine, container_name, values

TAG_VARIABLE = "TILORES_TAG"
_SERVICE_LABEL = "com.docker.compose.service"


class ComposeTarget(ImageTarget):
    """The active deployment is that whose image the containers run."""

    async def check(self, project: DeployProject) -> list[DeployFinding]:
        found = await check_engine(self._settings, project, self._settings.compose_file)
        if all(finding.state != "problem" for finding in found):
            engine = Engine.of(self._settings, _variables(project))
            try:
                await engine.call(*self._compose, "config", "--quiet", folder=project.folder)
            except DeployError as error:
                fix = f"mend {self._settings.compose_file}, or set what it asks for here or in .env"
                found.append(DeployFinding("compose.file", error.message, fix))
        return found

    async def status(self) -> list[Deployment]:
        engine, name = Engine.of(self._settings), self._settings.name
        active = {str(row.get("Image", "")) for row in await self._containers(engine)}
        found = []
        for tag in await engine.tags():
            is_active = f"{name}:{tag}" in active
            found.append(
                Deployment(
                    id=tag,
                    state="running" if is_active else "stopped",
                    url=self._address() if is_active else None,
                    active=is_active,
                    can_rollback=not is_active,
                )
            )
        return found

    async def logs(self, deployment: str | None = None, *, lines: int = 200) -> AsyncIterator[DeployLog]:
        engine = Engine.of(self._settings)
        for row in await self._containers(engine):
            if deployment is None or str(row.get("Image", "")).endswith(f":{deployment}"):
                text = await engine.call("logs", "--tail", str(lines), container_name(row), errors=True)
                for line in text.splitlines():
                    yield DeployLog(text=f"{container_name(row)}: {line}")

    async def rollback(self, project: DeployProject, deployment: Deployment, progress: Progress) -> Deployment:
        return await self._start(project, deployment.id, progress)

    async def _start(self, project: DeployProject, tag: str, progress: Progress) -> Deployment:
        """The compose file refers to the variables, so that they need not be written anywhere.

        Services of our image that run already are replaced one after the other, each when the one before is healthy.
        """
        settings = self._settings
        engine = Engine.of(settings, {**_variables(project), TAG_VARIABLE: tag})
        running = [row for row in await self._containers(engine) if _is_of(row, settings.name)]
        services = sorted({_service(row) for row in running if not str(row["Image"]).endswith(f":{tag}")})
        try:
            for service in services:
                await self._up(engine, project, "--no-deps", service)
                progress(f"{service} runs {settings.name}:{tag}")
            await self._up(engine, project, "--remove-orphans")
        except DeployError as error:
            if not running:
                raise
            return Deployment(id=tag, state="failed", detail=error.message)  # what ran before is made active again
        progress(f"the stack runs with {settings.name}:{tag}")
        found = await self._find(tag)
        if found is None or not found.active:
            raise DeployError(f"the stack does not run with {tag}", fix="tilores deploy logs")
        return found

    async def _up(self, engine: Engine, project: DeployProject, *words: str) -> None:
        words = ("up", "--detach", "--no-build", "--wait", *words)
        await engine.call(*self._compose, *words, seconds=self._settings.build_seconds, folder=project.folder)

    @property
    def _compose(self) -> tuple[str, ...]:
        return "compose", "--project-name", self._settings.name, "--file", self._settings.compose_file

    async def _containers(self, engine: Engine) -> list[dict[str, Any]]:
        return await engine.rows("ps", "--filter", f"label=com.docker.compose.project={self._settings.name}")


def _variables(project: DeployProject) -> dict[str, str]:
    """Return what the compose file may refer to. Its own are in the project's `.env`, which compose does not read."""
    own = {name: value for name, value in dotenv_values(project.folder / ".env").items() if value is not None}
    return {**own, **os.environ, **values(project)}


def _is_of(row: Mapping[str, Any], image: str) -> bool:
    return str(row.get("Image", "")).startswith(f"{image}:")


def _service(row: Mapping[str, Any]) -> str:
    """The service of a container: labels are a text of docker and a table of podman."""
    labels = row.get("Labels") or {}
    if isinstance(labels, str):
        labels = dict(label.partition("=")[::2] for label in labels.split(","))
    return str(labels[_SERVICE_LABEL])


def build(context: PluginContext) -> ComposeTarget:
    return ComposeTarget(context.settings)
