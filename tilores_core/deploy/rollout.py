"""A deployment that is checked before, verified after, and taken back when it does not work; what is remembered of it
between two runs."""

from __future__ import annotations

import fcntl
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from tilores_core.contracts import (
    Alert,
    AlertSink,
    Deployment,
    DeployProject,
    DeployTarget,
    Progress,
    Severity,
)
from tilores_core.deploy.verify import Endpoint
from tilores_core.errors import DeployError
from tilores_core.files import replace_file
from tilores_core.settings.config import DeployTable

_MOST_BYTES = 1024 * 1024


class Journal:
    """A `DeployJournal` for one target: a file that is replaced as a whole."""

    def __init__(self, data_dir: Path, target: str) -> None:
        self._path = data_dir / "deploy" / f"{target}.json"

    def read(self) -> dict[str, Any]:
        """What was written last; empty at first. Raises `DeployError` for a file that is not ours."""
        try:
            with self._path.open("rb") as file:
                entry = json.loads(file.read(_MOST_BYTES))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise DeployError(
                f"{self._path} cannot be read ({type(error).__name__})",
                fix="see `tilores deploy status`, and remove the file once nothing is being deployed",
            ) from None
        if not isinstance(entry, dict):
            raise DeployError(f"{self._path} is not a journal of deployments", fix="remove the file")
        return entry

    def write(self, entry: Mapping[str, Any]) -> None:
        """Replace what there is; on the disk when it returns. Raises `DeployError`."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_file(self._path, json.dumps(dict(entry)).encode())
        except OSError as error:
            raise DeployError(
                f"{self._path} cannot be written: {error.strerror}",
                fix="a deployment must be able to go on; mend that",
            ) from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold it for the block, in this process alone. Raises `DeployError` when another process has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.with_suffix(".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DeployError(
                    "another `tilores deploy` is at work on this target", fix="wait until it has ended"
                ) from None
            yield


_REMEMBERED_SECONDS: Final = 6 * 3600.0
"""A roll-out that was begun longer ago is not gone on with."""


class DeploymentFailedError(DeployError):
    """A new deployment does not work. `rolled_back`: the one before is active again, and was verified."""

    def __init__(self, message: str, *, rolled_back: bool, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.rolled_back = rolled_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """Deploys `project` to `target`, which is called `name` in alerts and messages.

    Its begin and its end are reported to the servers that are replaced, which decide nothing about prompts meanwhile.
    """

    name: str
    target: DeployTarget
    project: DeployProject
    journal: Journal
    table: DeployTable
    alerts: AlertSink
    progress: Progress

    async def up(self) -> Deployment:
        """Deploy, wait until it is ready, ask the test question, watch it; go back when one of them fails.

        Raises `DeployError` when nothing was deployed, `DeploymentFailedError` when what was deployed does not work.
        Interrupted at any step, the same call goes on, with going back as well.
        """
        with self.journal.lock():
            known = await self.target.status()
            noted = self._remember(next((deployment.id for deployment in known if deployment.active), None))
            before = _find(known, noted["before"])
            if "failed" in noted:
                bad = _find(known, noted["failed"]) or Deployment(id=noted["failed"], state="failed")
                raise await self._take_back(bad, before, DeployError(noted["why"]), noted)
            await self._report(before, "begin", id=noted["id"], target=self.name)
            try:
                deployment = await self.target.up(self.project, self.journal, self.progress)
            except DeployError as error:
                await self._report(before, "end", id=noted["id"], result="failed")
                self.alerts.raise_alert(self._on_failure("HIGH", f"nothing was deployed: {error.message}"))
                raise
            try:
                await self.verify(deployment)
            except DeployError as error:
                raise await self._take_back(deployment, before, error, noted) from None
            await self._report(before and deployment, "end", id=noted["id"], result="succeeded")
            self.journal.write({})
            self.alerts.clear(self._on_failure("HIGH", "").fingerprint)
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
        endpoint = self._endpoint(deployment.url)
        took = await endpoint.wait_until_ready(self.table.ready_seconds)
        self.progress(f"ready after {took:.1f} s")
        if self.table.question:
            await endpoint.ask(self.table.question, model=self.project.model, seconds=self.table.question_seconds)
            self.progress("the test question was answered")
        if self.table.watch_seconds:
            await endpoint.stays_ready(self.table.watch_seconds)
            self.progress(f"still ready after {self.table.watch_seconds:g} s")

    def _on_failure(self, severity: Severity, detail: str) -> Alert:
        """One for each target, which the next deployment that works ends."""
        return Alert(
            kind="deployment.failed",
            severity=severity,
            title=f"A deployment to {self.name} failed",
            detail=detail,
            source="deploy",
            labels={"target": self.name},
        )

    async def rollback(self, deployment_id: str | None = None) -> Deployment:
        """Make an earlier deployment active, by default the one before the active one; verify it.

        Raises `DeployError`; `DeploymentFailedError` when it does not work, with what was active made active again.
        Interrupted at any step, the same call goes on to the same deployment.
        """
        with self.journal.lock():
            known = await self.target.status()
            noted = self._recall("rollback")
            to, before = _find(known, noted.get("to")), _find(known, noted.get("before"))
            if to is None or deployment_id not in (None, to.id):
                to = _choose(known, deployment_id)
                before = next((deployment for deployment in known if deployment.active), None)
                noted = {"id": uuid.uuid4().hex, "at": time.time(), "to": to.id, "before": before and before.id}
                self.journal.write({"rollback": noted})
            await self._report(before, "begin", id=noted["id"], target=self.name)
            try:
                back = await self._go_back(to)
            except DeployError as error:
                raise await self._take_back(to, before, error, noted) from None
            await self._report(before and back, "end", id=noted["id"], result="rolled back")
            return back

    async def _go_back(self, deployment: Deployment) -> Deployment:
        found = [one for one in await self.target.status() if one.active]
        # What failed early has replaced nothing, and a call that was interrupted may have gone back.
        active = found[0] if [one.id for one in found] == [deployment.id] else None
        active = active or await self.target.rollback(self.project, deployment, self.progress)
        await self.verify(active)
        self.journal.write({})
        return active

    async def _take_back(
        self, deployment: Deployment, before: Deployment | None, error: DeployError, noted: dict[str, Any]
    ) -> DeploymentFailedError:
        self.progress(f"failed: {error.message}")
        if "to" not in noted:  # what answers at its address meanwhile would be taken for it
            noted = noted | {"failed": deployment.id, "why": error.message}
            self.journal.write({"rollout": noted})
        active: Deployment | None = None
        then = "there is no earlier deployment to go back to"
        if not self.table.rollback:
            then = "it stays, as [deploy] rollback is off"
        elif before is not None:
            try:
                active = await self._go_back(before)
                then = f"{before.id} is active again"
            except DeployError as second:
                then = f"and going back to {before.id} failed: {second.message}"
        result = "failed" if active is None else "rolled back"
        await self._report(active or before, "end", id=noted["id"], result=result)
        self.journal.write({})
        detail = f"{deployment.id}: {error.message}; {then}"
        self.alerts.raise_alert(self._on_failure("CRITICAL" if active is None else "HIGH", detail))
        return DeploymentFailedError(
            f"{deployment.id} does not work: {error.message}; {then}", rolled_back=active is not None, fix=error.fix
        )

    def _remember(self, active: str | None) -> dict[str, Any]:
        """What a call that was interrupted has seen; else what is seen now: `before`, the active deployment."""
        noted = self._recall("rollout")
        if not noted:
            noted = {"id": uuid.uuid4().hex, "at": time.time(), "before": active}
            self.journal.write({"rollout": noted})
        return noted

    def _recall(self, what: str) -> dict[str, Any]:
        """What a call that was interrupted has noted; empty when there was none, or it was long ago."""
        noted: dict[str, Any] = self.journal.read().get(what) or {}
        ago = time.time() - noted.get("at", 0.0)
        if not 0 <= ago < _REMEMBERED_SECONDS:
            return {}
        self.progress(f"goes on with what was interrupted: it was begun {ago / 60:.0f} minutes ago")
        return noted

    async def _report(self, deployment: Deployment | None, moment: str, **body: str) -> None:
        """To the servers of a deployment. One that cannot be told must not stop what mends it."""
        if deployment is not None and deployment.url is not None:
            failed = await self._endpoint(deployment.url).report(moment, **body)
            if failed is not None:
                self.progress(f"the {moment} of the roll-out could not be reported to {deployment.url}: {failed}")

    def _endpoint(self, url: str) -> Endpoint:
        return Endpoint(
            url.rstrip("/"), self.project.health_path, self._key("TILORES_API_KEYS"), self._key("TILORES_ADMIN_KEYS")
        )

    def _key(self, name: str) -> SecretStr | None:
        """The first one that is sent along."""
        keys = self.project.variables.get(name)
        if keys is None or keys.value is None:
            return None
        return SecretStr(keys.value.get_secret_value().split(",")[0].partition(":")[2].strip())


def _find(known: list[Deployment], deployment_id: str | None) -> Deployment | None:
    return next((deployment for deployment in known if deployment.id == deployment_id), None)


def _choose(known: list[Deployment], deployment_id: str | None) -> Deployment:
    if deployment_id is not None:
        chosen = _find(known, deployment_id)
        if chosen is None:
            raise DeployError(f"there is no deployment '{deployment_id}'", fix="tilores deploy status")
        if not chosen.can_rollback:
            raise DeployError(
                f"the platform cannot go back to '{deployment_id}'",
                fix="choose one that `tilores deploy status` marks as possible, or deploy that version again",
            )
        return chosen
    # The newest first: one that is newer than the active one was taken back, or never worked.
    active = next((at for at, deployment in enumerate(known) if deployment.active), -1)
    chosen = next((deployment for deployment in known[active + 1 :] if deployment.can_rollback), None)
    if chosen is None:
        raise DeployError("there is no earlier deployment to go back to", fix="deploy an earlier version again")
    return chosen
