"""The deploy target: sets variables, deploys once, waits, and goes back."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Literal

from tilores_core import (
    DeployError,
    DeployFinding,
    DeployJournal,
    DeployLog,
    Deployment,
    DeployProject,
    PluginContext,
    Progress,
)
from tilores_plugins.deploy.railway import documents
from tilores_plugins.deploy.railway.api import RailwayApi, UnclearError
from tilores_plugins.deploy.railway.archive import pack
from tilores_plugins.deploy.railway.checks import run_checks
from tilores_plugins.deploy.railway.scope import Scope, find_scope
from tilores_plugins.deploy.railway.settings import Settings

State = Literal["in progress", "running", "failed", "stopped"]

STATES: Final[Mapping[str, State]] = {
    "QUEUED": "in progress",
    "INITIALIZING": "in progress",
    "WAITING": "in progress",
    "BUILDING": "in progress",
    "DEPLOYING": "in progress",
    "NEEDS_APPROVAL": "in progress",
    "REMOVING": "in progress",
    "SUCCESS": "running",
    "SLEEPING": "running",
    "FAILED": "failed",
    "CRASHED": "failed",
    "SKIPPED": "failed",
    "REMOVED": "stopped",
}
_POLLS: Final = (2.0, 3.0, 5.0, 8.0, 10.0, 15.0)
_SHOWN: Final = 20
_LOG_TAIL: Final = 20
_LOG_LINES: Final = 200
_POLLS_PER_LOG: Final = 3
Part = Literal["build", "run"]
_LOGS: Final[Mapping[Part, tuple[str, str]]] = {
    "build": (documents.BUILD_LOG, "buildLogs"),
    "run": (documents.RUN_LOG, "deploymentLogs"),
}
_GROWING: Final[Mapping[str, Part]] = {"BUILDING": "build", "DEPLOYING": "run"}
_LOOKS_FOR_NEW: Final = 6


class RailwayTarget:
    """Deploys to Railway through its GraphQL API. `wait_unit`: seconds of a second, less in tests."""

    def __init__(self, settings: Settings, *, wait_unit: float = 1.0) -> None:
        self._settings = settings
        self._unit = wait_unit
        self._made: RailwayApi | None = None
        self._scope: Scope | None = None

    async def check(self, project: DeployProject) -> list[DeployFinding]:
        return await run_checks(self._settings, project, self._api, self._find_scope)

    async def up(self, project: DeployProject, journal: DeployJournal, progress: Progress) -> Deployment:
        scope = await self._find_scope()
        entry = journal.read()
        if entry.get("service") not in (None, scope.service):
            entry = {key: entry[key] for key in entry if key == "rollout"}  # the caller's
        deployment_id = entry.get("deployment")
        if deployment_id is None:
            if entry.get("step") != "deploying":
                await self._set_variables(project, scope, progress)
                before = [deployment.id for deployment in await self._list(scope)]
                entry |= {"service": scope.service, "step": "deploying", "before": before}
                journal.write(entry)
                deployment_id = await self._deploy(project, scope, before, progress)
            else:
                # The last run was killed somewhere around the call that deploys.
                deployment_id = await self._find_new_deployment(scope, entry["before"]) or await self._deploy(
                    project, scope, entry["before"], progress
                )
            journal.write(entry | {"step": "waiting", "deployment": deployment_id})
        progress(f"deployment {deployment_id}")
        return await self._wait(scope, deployment_id, progress)

    async def status(self) -> list[Deployment]:
        return await self._list(await self._find_scope())

    async def logs(self, deployment: str | None = None, *, lines: int = 200) -> AsyncIterator[DeployLog]:
        if deployment is None:
            newest = next(iter(await self.status()), None)
            if newest is None:
                raise DeployError("there is no deployment yet", fix="tilores deploy up")
            deployment = newest.id
        for part in _LOGS:
            for line in await self._read_log(part, deployment, lines):
                yield line

    async def rollback(self, project: DeployProject, deployment: Deployment, progress: Progress) -> Deployment:
        scope = await self._find_scope()
        before = [deployment.id for deployment in await self._list(scope)]
        try:
            await self._api().call(documents.ROLLBACK, id=deployment.id)
        except UnclearError:
            if await self._find_new_deployment(scope, before) is None:
                await self._api().call(documents.ROLLBACK, id=deployment.id)
        progress(f"going back to {deployment.id}")
        # Railway answers true: which deployment that made is found by looking.
        made = await self._find_new_deployment(scope, before, looks=_LOOKS_FOR_NEW) or deployment.id
        active = await self._wait(scope, made, progress)
        if active.state != "running":
            raise DeployError(f"going back made {made}, which is {active.state}: {active.detail}")
        return active

    async def aclose(self) -> None:
        if self._made is not None:
            await self._made.aclose()

    # --- the steps ----------------------------------------------------------------------------------------

    async def _set_variables(self, project: DeployProject, scope: Scope, progress: Progress) -> None:
        """Without a deployment for each, which is what Railway does unless told otherwise."""
        there = (await self._api().query(documents.VARIABLES, **scope.ids))["variables"]
        new = _find_changes(self._settings.variables_for(project), there)
        if not new:
            progress("variables are as they should be")
            return
        change = {**scope.ids, "variables": new, "replace": False, "skipDeploys": True}
        await self._api().query(documents.SET_VARIABLES, input=change)  # the same again does no harm
        progress(f"variables set: {', '.join(sorted(new))}")

    async def _deploy(self, project: DeployProject, scope: Scope, before: list[str], progress: Progress) -> str:
        """Begin a deployment, once: after a call whose end is unknown it is looked for first."""
        try:
            found = await self._begin(project, scope, progress)
        except UnclearError:
            found = await self._find_new_deployment(scope, before, looks=_LOOKS_FOR_NEW)
            if found is None:
                found = await self._begin(project, scope, progress)
        found = found or await self._find_new_deployment(scope, before, looks=_LOOKS_FOR_NEW)
        if found is None:
            raise DeployError(
                "Railway took the deployment and lists none", fix="see `tilores deploy status`, then try again"
            )
        return found

    async def _begin(self, project: DeployProject, scope: Scope, progress: Progress) -> str | None:
        if self._settings.source == "connected":
            answer = await self._api().call(
                documents.DEPLOY, serviceId=scope.service, environmentId=scope.environment
            )
            return str(answer["serviceInstanceDeployV2"])
        archive = await asyncio.to_thread(pack, project, self._settings.most_upload_bytes)
        progress(f"sending {len(archive) / 1e6:.1f} MB")
        return await self._api().upload(
            archive,
            project=scope.project,
            environment=scope.environment,
            service=scope.service,
            message="tilores deploy up",
        )

    async def _find_new_deployment(self, scope: Scope, before: list[str], *, looks: int = 1) -> str | None:
        """The newest deployment that is not one of `before`."""
        for look in range(looks):
            if look:
                await self._api().pause(_POLLS[0])
            found = next(
                (deployment.id for deployment in await self._list(scope) if deployment.id not in before), None
            )
            if found is not None:
                return found
        return None

    async def _wait(self, scope: Scope, deployment_id: str, progress: Progress) -> Deployment:
        """Poll with growing pauses, as the plans' limits are small, until it runs or failed. Raises `DeployError`."""
        waited, shown, polls = 0.0, "", 0
        printed: set[DeployLog] = set()
        while True:
            answer = await self._api().query(documents.POLL, id=deployment_id)
            node = answer["deployment"]
            state = STATES.get(node["status"], "in progress")
            step = _step(answer["deploymentEvents"])
            told = node["status"].lower() + (f", {step}" if step else "")
            if told != shown or polls % _POLLS_PER_LOG == 0:  # each look costs a call of the plan's limit
                await self._show_log(node, printed, progress)
            if told != shown:
                progress(told)
                shown = told
            if node["status"] == "NEEDS_APPROVAL":
                raise DeployError(
                    f"{deployment_id} waits for someone's approval on Railway",
                    fix="approve it there, and run the same command again",
                )
            if state != "in progress":
                return await self._finish(scope, node, printed, progress, _reason(answer["deploymentEvents"]))
            pause = _POLLS[min(polls, len(_POLLS) - 1)]
            polls, waited = polls + 1, waited + pause
            if waited > self._settings.deploy_seconds:
                raise DeployError(
                    f"{deployment_id} is still {node['status'].lower()} after {waited:.0f} s",
                    fix="run the same command again to go on waiting, or see tilores deploy logs",
                )
            await self._api().pause(pause)

    async def _finish(
        self, scope: Scope, node: Mapping[str, Any], printed: set[DeployLog], progress: Progress, reason: str
    ) -> Deployment:
        if STATES.get(node["status"]) == "running":
            domains = (await self._api().query(documents.INSTANCE, **scope.ids))["domains"]
            return _deployment(node, _address(domains), active={node["id"]})
        async for line in self.logs(node["id"], lines=_LOG_TAIL):
            if line not in printed:
                progress(f"  {line.part}: {line.text[:300]}")
        return _deployment(node, None, active=set(), reason=reason)

    async def _show_log(self, node: Mapping[str, Any], printed: set[DeployLog], progress: Progress) -> None:
        """What is new in the log that grows in this state. A log that cannot be read stops no deployment."""
        part = _GROWING.get(node["status"])
        if part is not None:
            with contextlib.suppress(DeployError):
                for line in await self._read_log(part, node["id"], _LOG_LINES):
                    if line not in printed:
                        printed.add(line)
                        progress(f"  {part}: {line.text[:300]}")

    async def _read_log(self, part: Part, deployment_id: str, lines: int) -> list[DeployLog]:
        document, key = _LOGS[part]
        return [
            DeployLog(
                text=line["message"], time=line["timestamp"] or "", severity=line["severity"] or "info", part=part
            )
            for line in (await self._api().query(document, id=deployment_id, limit=lines))[key]
        ]

    async def _list(self, scope: Scope) -> list[Deployment]:
        answer = await self._api().query(documents.DEPLOYMENTS, input=scope.ids, first=_SHOWN, **scope.ids)
        ids = {deployment["id"] for deployment in answer["serviceInstance"]["activeDeployments"]}
        address = _address(answer["domains"])
        nodes = [edge["node"] for edge in answer["deployments"]["edges"]]
        nodes.sort(key=lambda node: str(node["createdAt"]), reverse=True)
        return [_deployment(node, address if node["id"] in ids else None, active=ids) for node in nodes]

    def _api(self) -> RailwayApi:
        if self._made is None:
            self._made = RailwayApi(self._settings, wait_unit=self._unit)
        return self._made

    async def _find_scope(self) -> Scope:
        if self._scope is None:
            self._scope = await find_scope(self._api(), self._settings)
        return self._scope


def _find_changes(new: Mapping[str, str], there: Mapping[str, str]) -> dict[str, str]:
    """The variables that are missing there or have another value. A reference there (`${{Redis.REDIS_URL}}`) stays.

    Values are compared without telling by time how much of them is right.
    """
    return {
        name: value
        for name, value in new.items()
        if name not in there
        or not (
            ("${{" in there[name] and "${{" not in value) or hmac.compare_digest(value.encode(), there[name].encode())
        )
    }


def _deployment(node: Mapping[str, Any], address: str | None, *, active: set[str], reason: str = "") -> Deployment:
    return Deployment(
        id=node["id"],
        state=STATES.get(node["status"], "in progress"),
        url=address,
        created=str(node["createdAt"] or ""),
        detail=node["status"].lower() + (f": {reason}" if reason else ""),
        active=node["id"] in active,
        can_rollback=bool(node["canRollback"]),
    )


def _address(domains: Mapping[str, Any]) -> str | None:
    """The service's public address: a custom domain that works before Railway's own."""
    custom = [domain["domain"] for domain in domains["customDomains"] if (domain["status"] or {}).get("verified")]
    names = [*custom, *(domain["domain"] for domain in domains["serviceDomains"])]
    if not names:
        return None
    return str(names[0]) if "://" in names[0] else f"https://{names[0]}"


def _step(events: Mapping[str, Any]) -> str:
    """What it does at the moment."""
    nodes = [edge["node"] for edge in events["edges"]]
    current = next((node for node in reversed(nodes) if node["completedAt"] is None), None)
    return str(current["step"]).replace("_", " ").lower() if current else ""


def _reason(events: Mapping[str, Any]) -> str:
    payloads = [edge["node"]["payload"] or {} for edge in events["edges"]]
    return next((str(p["error"] or p["reason"]) for p in reversed(payloads) if p.get("error") or p.get("reason")), "")


def build(context: PluginContext) -> RailwayTarget:
    return RailwayTarget(context.settings)
