"""The target `docker`: one container on this machine; the one before is kept, stopped, to go back to."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tilores_core import DeployError, DeployFinding, DeployLog, Deployment, DeployProject, PluginContext, Progress
from tilores_plugins.deploy.docker.engine import Engine, ImageTarget, check_engine, container_name, values

_PORT = 8000
_LABEL = "io.tilores.deployment"
_DATA = "/data"


class ContainerTarget(ImageTarget):
    """The container of a deployment is called name-tag."""

    async def check(self, project: DeployProject) -> list[DeployFinding]:
        return await check_engine(self._settings, project, self._settings.dockerfile)

    async def status(self) -> list[Deployment]:
        engine = Engine.of(self._settings)
        rows = await engine.rows("ps", "--all", "--filter", f"label={_LABEL}={self._settings.name}")
        states = {_tag(container_name(row)): row for row in rows}
        found = []
        for tag in sorted({*states, *await engine.tags()}, reverse=True):
            row = states.get(tag)
            state = str(row.get("State", "")).lower() if row is not None else ""
            is_running = state == "running"
            found.append(
                Deployment(
                    id=tag,
                    state="running" if is_running else "in progress" if state == "restarting" else "stopped",
                    url=self._address() if is_running else None,
                    created=f"{tag[:4]}-{tag[4:6]}-{tag[6:8]}T{tag[9:11]}:{tag[11:13]}:{tag[13:15]}Z",
                    detail=str(row.get("Status", "")) if row is not None else "image only",
                    active=is_running,
                    can_rollback=not is_running and row is not None,
                )
            )
        return found

    async def logs(self, deployment: str | None = None, *, lines: int = 200) -> AsyncIterator[DeployLog]:
        engine = Engine.of(self._settings)
        known = await self.status()
        chosen = deployment or (known[0].id if known else None)
        if chosen is None:
            raise DeployError("there is no deployment yet", fix="tilores deploy up")
        text = await engine.call("logs", "--tail", str(lines), self._container(chosen), errors=True)
        for line in text.splitlines():
            yield DeployLog(text=line)

    async def rollback(self, project: DeployProject, deployment: Deployment, progress: Progress) -> Deployment:
        """Start the container that was stopped, which has the variables that it had."""
        engine = Engine.of(self._settings)
        await self._stop_others(engine, project, deployment.id, await self.status(), progress)
        await engine.call("start", self._container(deployment.id))
        progress(f"{self._container(deployment.id)} runs again")
        return await self._get(deployment.id)

    async def _start(self, project: DeployProject, tag: str, progress: Progress) -> Deployment:
        container, settings = self._container(tag), self._settings
        engine, known = Engine.of(settings, values(project)), await self.status()
        there = next((deployment for deployment in known if deployment.id == tag), None)
        if there is not None and there.active:
            return there
        if there is not None and there.can_rollback:
            await engine.call("rm", "--force", container)  # begun before an interruption
        given = {"PORT": str(_PORT), "TILORES_DEPLOYMENT": tag}
        options = ["--network", settings.network] if settings.network else []
        if settings.volume:
            options += ["--volume", f"{settings.volume}:{_DATA}"]
            given["TILORES_DATA_DIR"] = _DATA
        for name in sorted(engine.environment):
            options += ["--env", name]  # its value by the environment of the program
        for name, value in given.items():
            options += ["--env", f"{name}={value}"]
        # Before the other is stopped, so that one that cannot be made costs no call.
        await engine.call(
            *("create", "--name", container, "--label", f"{_LABEL}={settings.name}", "--restart", "unless-stopped"),
            *("--stop-timeout", str(project.draining_seconds + 5)),
            *("--publish", f"{settings.address}:{settings.port}:{_PORT}"),
            *options,
            f"{settings.name}:{tag}",
        )
        await self._stop_others(engine, project, tag, known, progress)
        try:
            await engine.call("start", container)
        except DeployError as error:  # the one before is stopped, and the caller starts it again
            return Deployment(id=tag, state="failed", detail=error.message)
        progress(f"{container} runs")
        return await self._get(tag)

    async def _remove(self, engine: Engine, deployment: Deployment) -> None:
        if deployment.can_rollback:
            await engine.try_call("rm", self._container(deployment.id))
        await super()._remove(engine, deployment)

    async def _stop_others(
        self, engine: Engine, project: DeployProject, tag: str, known: list[Deployment], progress: Progress
    ) -> None:
        """One port of this machine leads to one container. It drains first; one that restarts over and over would
        take the port again."""
        seconds = project.draining_seconds + 5
        for deployment in known:
            if deployment.state != "stopped" and deployment.id != tag:
                name = self._container(deployment.id)
                await engine.call("stop", "--time", str(seconds), name, seconds=seconds + self._settings.call_seconds)
                progress(f"{name} is stopped")

    async def _get(self, tag: str) -> Deployment:
        found = await self._find(tag)
        if found is None or not found.active:
            return Deployment(id=tag, state="failed", detail=found.detail if found is not None else "it is gone")
        return found

    def _container(self, tag: str) -> str:
        return f"{self._settings.name}-{tag}"


def _tag(name: str) -> str:
    return "-".join(name.rsplit("-", 2)[1:])


def build(context: PluginContext) -> ContainerTarget:
    return ContainerTarget(context.settings)
