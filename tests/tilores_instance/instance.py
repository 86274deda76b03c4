"""The instance: its two endpoints on loopback ports, and what a test may do to it."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from aiohttp import web

from tests.tilores_instance.faults import Faults
from tests.tilores_instance.layouts import BANK, Layout
from tests.tilores_instance.people import PEOPLE
from tests.tilores_instance.recording import SeenRequest, kept_requests
from tests.tilores_instance.replies import json_reply
from tests.tilores_instance.resolvers import Call
from tests.tilores_instance.schema import minor
from tests.tilores_instance.service import LIMIT_BYTES, Service
from tests.tilores_instance.submissions import Submissions
from tests.tilores_instance.tokens import PRIVILEGES, Client, TokenEndpoint
from tests.tilores_instance.world import World

HOST = "127.0.0.1"


class TiloresInstance:
    """`people` are rows of the bank (people.py), turned into what `layout` calls a record.

    `scopes` are those of the one client, all by default. `edge_form` is short, versioned, scored or mixed; `hit_keys`
    plain or versioned. Both, `limit_bytes` and everything in `faults` and `token` may be changed while it runs.
    """

    def __init__(
        self,
        *,
        version: str = "0.91",
        layout: Layout = BANK,
        people: Iterable[Mapping[str, Any]] = PEOPLE,
        scopes: Iterable[str] | None = None,
        scope_prefix: str = "tilores",
        expires_in: float = 3600.0,
        submit_delay_seconds: float = 0.0,
        edge_form: str = "short",
        hit_keys: str = "plain",
        limit_bytes: int = LIMIT_BYTES,
        port: int = 0,
        token_port: int = 0,
    ) -> None:
        self.client_id = "tilores-test-client"
        self.client_secret = "loopback: only/here+%"  # characters that a form or Basic must escape
        granted = {f"{scope_prefix}/{one}" for one in PRIVILEGES} if scopes is None else set(scopes)
        self.token = TokenEndpoint(scope_prefix, {self.client_id: Client(self.client_secret, granted)}, expires_in)
        self.faults = Faults()
        self.layout = layout
        self.world = World(layout, [layout.shape(dict(row)) for row in people])
        self.submissions = Submissions(self.world, submit_delay_seconds)
        self.service = Service(layout, minor(version), limit_bytes)
        self.edge_form = edge_form
        self.hit_keys = hit_keys
        self.requests: deque[SeenRequest] = kept_requests()
        self.in_flight = 0
        self.in_flight_max = 0
        self._prefix = scope_prefix
        self._ports = [port, token_port]
        self._runners: list[web.ServerRunner] = []

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self._ports[0]}"

    @property
    def token_url(self) -> str:
        return f"http://{HOST}:{self._ports[1]}/oauth2/token"

    async def __aenter__(self) -> TiloresInstance:
        for index, handler in enumerate((self._answer, self.token.answer)):
            runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=0.2)
            await runner.setup()
            self._runners.append(runner)
            await web.TCPSite(runner, HOST, self._ports[index]).start()
            self._ports[index] = runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.faults.clear()
        self.token.close()
        self.submissions.close()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    def merge(self, *record_ids: str) -> str:
        """Makes one entity of those of these records; the id that stays, the oldest entity's."""
        return self.world.merge(*record_ids)

    def split(self, record_ids: Iterable[str]) -> str:
        """Takes these records out of their entities. The largest part keeps the id. The reference of the ban."""
        return self.world.split(record_ids)

    def entity_id(self, record_id: str) -> str:
        """Of the entity that the record is in now. Raises KeyError for an unknown record."""
        found = self.world.entity_id(record_id)
        if found is None:
            raise KeyError(record_id)
        return found

    def submit(self, *records: Mapping[str, Any]) -> None:
        """Adds records (as this layout shapes them) at once, as one submission."""
        self.world.submit(records)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        seen = self._seen(request)
        self.requests.append(seen)
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            response = await self._gateway(request, seen)
            dropped = request.transport is None or request.transport.is_closing()
            seen.status = 0 if dropped else response.status
            return response
        finally:
            seen.seconds = asyncio.get_running_loop().time() - seen.at
            self.in_flight -= 1

    async def _gateway(self, request: web.BaseRequest, seen: SeenRequest) -> web.StreamResponse:
        if request.path != "/" or request.method != "POST":
            return json_reply(404, {"message": "Not Found"})
        raw = await request.read()
        body = _decoded(raw)
        if isinstance(body, dict):
            seen.document = body.get("query")
            seen.variables = body.get("variables") or {}
            seen.operation_name = body.get("operationName")
        scopes = self.token.granted(request.headers.get("Authorization", ""))
        if scopes is None:
            return json_reply(401, {"message": "Unauthorized"})
        fault = self.faults.take(seen.document or "")
        if fault is not None:
            return await self.faults.play(fault, request)
        delay = self.faults.delay(self.in_flight)
        if delay:
            await asyncio.sleep(min(delay, self.faults.gateway_seconds))  # the latency that was asked for
            if delay > self.faults.gateway_seconds:
                return json_reply(503, {"message": "Service Unavailable"})
        return self._execute(request, seen, body, scopes)

    def _execute(
        self, request: web.BaseRequest, seen: SeenRequest, body: object, scopes: frozenset[str]
    ) -> web.StreamResponse:
        if request.content_type != "application/json":
            return json_reply(400, {"errors": [{"message": "transport not supported"}], "data": None})
        if not isinstance(body, dict):
            message = "json request body could not be decoded"
            return json_reply(400, {"errors": [{"message": message}], "data": None})
        call = Call(self.world, self.submissions, scopes, self._prefix, self.edge_form, self.hit_keys)
        reply = self.service.answer(body, call, seen.accepts_gzip, self.faults.broken_fields)
        headers = {"Content-Encoding": "gzip"} if reply.gzipped else None
        return web.Response(status=reply.status, body=reply.body, content_type="application/json", headers=headers)

    def _seen(self, request: web.BaseRequest) -> SeenRequest:
        peer = request.transport.get_extra_info("peername") if request.transport else None
        return SeenRequest(
            at=asyncio.get_running_loop().time(),
            method=request.method,
            path=request.path,
            connection=peer[1] if peer else 0,
            authorised="Authorization" in request.headers,
            accepts_gzip="gzip" in request.headers.get("Accept-Encoding", ""),
        )


def _decoded(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except ValueError:
        return None
