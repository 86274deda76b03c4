"""Around the FastAPI application: the size of a body, keys for plugins' routes, and faults without their message."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match

from tilores_core.errors import TiloresError
from tilores_core.logs import sanitize_exception
from tilores_core.web.auth import require_key
from tilores_core.web.http_exchange import Receive, Scope, Send
from tilores_core.web.problems import problem

_BODY_SECONDS = 30.0  # for each piece on the paths with a limit of their own, which keep it as it comes; else for all

log = structlog.get_logger(part="web")


class Guard:
    """Limits request bodies, and logs faults after a reply has begun.

    `limit` is in bytes; `own`: those of paths that have another. `app` has an answer for every fault; what it
    raises afterwards is logged here.
    """

    def __init__(self, app: FastAPI, limit: int, own: Mapping[str, int], plugin_routers: PluginRouters) -> None:
        self._app = app
        self._limit = limit
        self._own = own
        self._plugin_routers = plugin_routers
        self._authenticate = require_key("chat")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._plugin_routers.need_key(scope):
            request = Request({**scope, "app": self._app})
            try:
                request.state.caller = self._authenticate(request)
            except TiloresError as error:
                await (await problem(request, error))(scope, receive, send)
                return
        limit = self._own.get(scope["path"], self._limit)
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or int(declared) > limit:
            await JSONResponse({"detail": _too_large(limit), "fix": "send less at once"}, 413)(scope, receive, send)
            return
        size, whole = 0, False
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _BODY_SECONDS

        async def counted() -> Any:
            nonlocal size, whole, deadline
            if whole:
                return await receive()
            if scope["path"] in self._own:
                deadline = loop.time() + _BODY_SECONDS
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"the body did not arrive within {_BODY_SECONDS:g} s") from None
            whole = not message.get("more_body")
            size += len(message.get("body", b""))
            if size > limit:
                raise HTTPException(413, _too_large(limit))  # FastAPI lets no other kind through while it reads
            return message

        try:
            await self._app(scope, counted, send)
        except Exception as error:
            log.exception(
                "request.failed", request_id=scope["state"]["request_id"], exc_info=sanitize_exception(error)
            )


class PluginRouters:
    """The routers of plugins under `/plugins/<id>`, and which requests to them need a chat key: all but those that a
    public router answers."""

    def __init__(self) -> None:
        self._public: list[tuple[str, APIRouter]] = []

    def add_public(self, plugin_id: str, router: APIRouter) -> None:
        self._public.append((f"/plugins/{plugin_id}", router))

    def need_key(self, scope: Scope) -> bool:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if not path.startswith("/plugins/"):
            return False
        for prefix, router in self._public:
            if path.startswith(f"{prefix}/"):
                inner = {**scope, "path": path.removeprefix(prefix), "root_path": ""}
                if any(route.matches(inner)[0] is Match.FULL for route in router.routes):
                    return False
        return True


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit} bytes"
