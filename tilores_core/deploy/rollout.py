"""A deployment that is checked before, verified after, and taken back when it does not work."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from tilores_core.contracts import (
    Alert,
    AlertSink,
    DeployFinding,
    Deployment,
    DeployProject,
    DeployTarget,
    Progress,
)
from tilores_core.deploy.journal import Journal
from tilores_core.deploy.verify import Endpoint
from tilores_core.errors import DeployError
from tilores_core.settings.config import DeployTable


class DeploymentFailedError(DeployError):
    """A new deployment does not work. `rolled_back`: the one before is active again, and was verified."""

    def __init__(self, message: str, *, rolled_back: bool, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.rolled_back = rolled_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """Deploys `project` to `target`, which is called `name` in alerts and messages."""

    name: str
    target: DeployTarget
    project: DeployProject
    journal: Journal
    table: DeployTable
    alerts: AlertSink
    progress: Progress

    async def check(self) -> list[DeployFinding]:
        return await self.target.check(self.project)

    async def up(self) -> Deployment:
        """Deploy, wait until it is ready, ask the test question, watch it; go back when one of them fails.

        Raises `DeployError` when nothing was deployed, `DeploymentFailedError` when what was deployed does not work.
        Interrupted at any step, the same call goes on.
        """
        with self.journal.lock():
            before = await self._active()
            remembered = self.journal.read().get("active_before")
            if isinstance(remembered, str):  # a call that was interrupted has seen it
                before = next((one for one in await self.target.status() if one.id == remembered), before)
            elif before is not None:
                self.journal.write({**self.journal.read(), "active_before": before.id})
            deployment = await self.target.up(self.project, self.journal, self.progress)
            try:
                await self.verify(deployment)
            except DeployError as error:
                await self._failed(deployment, before, error)
            self.journal.write({})
            return deployment

    async def verify(self, deployment: Deployment) -> None:
        """Raises `DeployError` when the deployment does not work."""
        if deployment.state == "failed":
            raise DeployError(
                f"the deployment failed: {deployment.detail or 'the platform does not say why'}",
                fix="see its log: tilores deploy logs",
            )
        if deployment.url is None:
            self.progress("it has no public address, so it was not asked anything")
            return
        endpoint = Endpoint(deployment.url.rstrip("/"), self.project.health_path, self._key())
        took = await endpoint.wait_until_ready(self.table.ready_seconds)
        self.progress(f"ready after {took:.1f} s")
        if self.table.question:
            seconds = self.table.question_seconds
            await endpoint.ask(self.table.question, model=self.project.model, seconds=seconds)
            self.progress("the test question was answered")
        if self.table.watch_seconds:
            await endpoint.stays_ready(self.table.watch_seconds)
            self.progress(f"still ready after {self.table.watch_seconds:g} s")

    async def rollback(self, deployment_id: str | None = None) -> Deployment:
        """Make an earlier deployment active, by default the newest that the platform can go back to; verify it.

        Raises `DeployError`.
        """
        with self.journal.lock():
            known = await self.target.status()
            chosen = _choose(known, deployment_id)
            return await self._go_back(chosen)

    async def _go_back(self, deployment: Deployment) -> Deployment:
        active = await self.target.rollback(self.project, deployment, self.progress)
        await self.verify(active)
        self.journal.write({})
        return active

    async def _active(self) -> Deployment | None:
        return next((one for one in await self.target.status() if one.active), None)

    async def _failed(self, deployment: Deployment, before: Deployment | None, error: DeployError) -> None:
        self.progress(f"failed: {error.message}")
        rolled_back, then = False, "there is no earlier deployment to go back to"
        if not self.table.rollback:
            then = "it stays, as [deploy] rollback is off"
        elif before is not None:
            try:
                await self._go_back(before)
                rolled_back, then = True, f"{before.id} is active again"
            except DeployError as second:
                then = f"and going back to {before.id} failed: {second.message}"
        self.journal.write({})
        self.alerts.raise_alert(
            Alert(
                kind="deployment.failed",
                severity="HIGH" if rolled_back else "CRITICAL",
                title=f"A deployment to {self.name} failed",
                detail=f"{error.message}; {then}",
                source="deploy",
                labels={"target": self.name, "deployment": deployment.id},
            )
        )
        raise DeploymentFailedError(
            f"{deployment.id} does not work: {error.message}; {then}", rolled_back=rolled_back, fix=error.fix
        )

    def _key(self) -> SecretStr | None:
        """The first chat key that is sent along."""
        keys = self.project.variables.get("TILORES_API_KEYS")
        if keys is None or keys.value is None:
            return None
        return SecretStr(keys.value.get_secret_value().split(",")[0].partition(":")[2].strip())


def _choose(known: list[Deployment], deployment_id: str | None) -> Deployment:
    if deployment_id is not None:
        chosen = next((one for one in known if one.id == deployment_id), None)
        if chosen is None:
            raise DeployError(f"there is no deployment '{deployment_id}'", fix="tilores deploy status")
        if not chosen.can_rollback:
            raise DeployError(
                f"the platform cannot go back to '{deployment_id}'",
                fix="choose one that `tilores deploy status` marks as possible, or deploy that version again",
            )
        return chosen
    chosen = next((one for one in known if one.can_rollback and not one.active), None)
    if chosen is None:
        raise DeployError("there is no earlier deployment to go back to", fix="deploy an earlier version again")
    return chosen
