"""A deploy target whose deployments are HTTP servers in this process, and which works as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from tilores_core import DeployFinding, DeployJournal, DeployLog, Deployment, DeployProject, Progress


@dataclass
class FakeServer:
    """`ready`: how many readiness checks fail before the first one passes; None: none ever does."""

    ready: int | None = 0
    answers: bool = True
    stops_after: int | None = None
    slow: bool = False
    keys: list[str | None] = field(default_factory=list)
    reports: list[tuple[str, ...]] = field(default_factory=list)
    checks: int = 0
    url: str = ""

    async def start(self) -> None:
        self._never = asyncio.Event()
        application = web.Application()
        application.router.add_get("/health/ready", self._ready)
        application.router.add_post("/v1/chat/completions", self._chat)
        application.router.add_post("/admin/deploy/{moment}", self._report)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self._never.set()
        await self._runner.cleanup()

    async def _ready(self, _: web.Request) -> web.Response:
        self.checks += 1
        stopped = self.stops_after is not None and self.checks > self.stops_after
        is_ready = self.ready is not None and self.checks > self.ready and not stopped
        return web.Response(status=200 if is_ready else 503)

    async def _report(self, request: web.Request) -> web.Response:
        body = await request.json()
        key = request.headers.get("Authorization", "")
        self.reports.append((request.match_info["moment"], body["id"], body.get("result", ""), key))
        return web.json_response({})

    async def _chat(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("Authorization"))
        if self.slow:
            await self._never.wait()
        if not self.answers:
            return web.json_response({"error": {"message": "no model"}}, status=503)
        return web.json_response({"choices": [{"message": {"role": "assistant", "content": "ready"}}]})


class FakePlatform:
    """`next`: the servers of the next deployments. The first one runs from the beginning."""

    def __init__(self, *servers: FakeServer) -> None:
        self.servers = list(servers)
        self.known: list[Deployment] = []
        self.rollbacks: list[str] = []
        self.interrupt = False
        self.interrupt_after = False

    async def check(self, project: DeployProject) -> list[DeployFinding]:
        return []

    async def up(self, project: DeployProject, journal: DeployJournal, progress: Progress) -> Deployment:
        entry = journal.read()
        if "deployment" not in entry:
            server = self.servers[len(self.known)]
            made = Deployment(
                id=f"d{len(self.known) + 1}", state="running", url=server.url, can_rollback=True, active=True
            )
            self.known = [made, *(replace(one, active=False) for one in self.known)]
            journal.write(entry | {"deployment": made.id})
        if self.interrupt:
            self.interrupt = False
            raise asyncio.CancelledError
        return next(one for one in self.known if one.id == journal.read()["deployment"])

    async def status(self) -> list[Deployment]:
        return list(self.known)

    async def logs(self, deployment: str | None = None, *, lines: int = 200) -> AsyncIterator[DeployLog]:
        yield DeployLog(text="listening")

    async def rollback(self, project: DeployProject, deployment: Deployment, progress: Progress) -> Deployment:
        self.rollbacks.append(deployment.id)
        if self.interrupt:
            self.interrupt = False
            raise asyncio.CancelledError
        self.known = [replace(one, active=one.id == deployment.id) for one in self.known]
        if self.interrupt_after:
            self.interrupt_after = False
            raise asyncio.CancelledError
        return next(one for one in self.known if one.active)

    async def aclose(self) -> None:
        return None


class Raised:
    """An alert sink that keeps what is raised."""

    def __init__(self) -> None:
        self.alerts: list[Any] = []

    def raise_alert(self, alert: Any) -> None:
        self.alerts.append(alert)

    def clear(self, fingerprint: str) -> None:
        return None
