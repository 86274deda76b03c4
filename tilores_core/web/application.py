"""The outermost ASGI application: lifespan, the chat protocols straight away, everything else through FastAPI.

The chat routes are served before the router and the middleware of the rest: a cached answer passes through this
file, one protocol's routes and the engine's memory, and nothing else.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from time import perf_counter
from typing import Any, Final

import structlog

from tilores_core.errors import OverloadedError, TiloresError
from tilores_core.logs import bind_request
from tilores_core.web.auth import refuse_foreign
from tilores_core.web.chat import ChatService, Handler
from tilores_core.web.http_exchange import ErrorReply, Header, HttpExchange, Receive, Scope, Send
from tilores_core.web.ids import RequestIds
from tilores_core.web.langserve.errors import error_reply as langserve_error
from tilores_core.web.langserve.routes import LangServeRoutes
from tilores_core.web.langserve.stream import END, error_event as langserve_event
from tilores_core.web.openai.errors import error_reply as openai_error
from tilores_core.web.openai.routes import OpenAIRoutes
from tilores_core.web.openai.stream import DONE, error_event as openai_event

log = structlog.get_logger(part="web")

ASGI = Callable[[Scope, Receive, Send], Any]


class Application:
    """The ASGI application.

    `open_parts` builds the chat service and the rest's ASGI application and closes them afterwards.
    """

    def __init__(
        self,
        open_parts: Callable[[Application], AbstractAsyncContextManager[tuple[ChatService, ASGI]]],
        *,
        cors_origins: tuple[str, ...],
        local_only: bool,
    ) -> None:
        self._open_parts = open_parts
        self._origins = frozenset(origin.encode() for origin in cors_origins)
        self._local_only = local_only
        self._ids = RequestIds()
        self._service: ChatService | None = None
        self._rest: ASGI | None = None
        self._langserve: LangServeRoutes | None = None
        self._openai: OpenAIRoutes | None = None
        self.draining = False

    @property
    def ready(self) -> bool:
        """Able to serve: everything is built and no end was announced."""
        return self._service is not None and not self.draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._lifespan(receive, send)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        service, rest = self._service, self._rest
        if service is None or rest is None or self._langserve is None or self._openai is None:
            raise RuntimeError("the lifespan has not begun; serve this application with lifespan on")
        path: str = scope["path"]
        if scope["method"] == "POST" and ("//" in path or path.endswith("/")):  # of a base URL that ends with a slash
            path = _SLASHES.sub("/", path).rstrip("/")
        routes: LangServeRoutes | OpenAIRoutes
        error_reply: ErrorReply
        if path.startswith("/chat/"):
            routes, error_reply = self._langserve, langserve_error
        elif path.startswith("/v1/") or path == "/v1":
            routes, error_reply = self._openai, openai_error
        else:
            await self._other(rest, scope, receive, send)
            return
        exchange = HttpExchange(scope, receive, send, b"")
        exchange.error_reply = error_reply
        exchange.request_id = self._ids.take(exchange.headers.get(b"x-request-id"))
        if self._origins:
            if scope["method"] == "OPTIONS" and b"access-control-request-method" in exchange.headers:
                await self._other(rest, scope, receive, send)  # a browser asking beforehand, without any key
                return
            exchange.extra = self._cors(exchange.headers.get(b"origin"))
        handler: Handler = routes.find(scope["method"], path)
        if self._local_only and (refusal := refuse_foreign(exchange.headers, self._origins)) is not None:
            handler = _raising(refusal)
        try:
            await service.handle(exchange, handler)
        except asyncio.CancelledError:
            event = langserve_event if error_reply is langserve_error else openai_event
            await _leave(exchange, event(_ENDING))

    async def _other(self, rest: ASGI, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        request_id = self._ids.take(headers.get(b"x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        bind_request(request_id.decode())
        meter = self._service.meter if self._service is not None else None
        started, status = perf_counter(), 0
        if self._local_only and (refusal := refuse_foreign(headers, self._origins)) is not None:
            exchange = HttpExchange(scope, receive, send, request_id)
            await exchange.reply(403, {"detail": refusal.message, "fix": refusal.fix})
            return

        async def with_request_id(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        try:
            await rest(scope, receive, with_request_id)
        except asyncio.CancelledError:
            exchange = HttpExchange(scope, receive, send, request_id)
            exchange.status, exchange.error_reply = status, langserve_error
            await _leave(exchange, b"")
        finally:
            if meter is not None:  # the router leaves the route that it found
                meter.count_other(getattr(scope.get("route"), "path", None), status, started)

    def _cors(self, origin: bytes | None) -> tuple[Header, ...]:
        if origin is None:
            return ()
        if b"*" in self._origins:
            return ((b"access-control-allow-origin", b"*"), _EXPOSED)
        if origin in self._origins:
            return ((b"access-control-allow-origin", origin), (b"vary", b"Origin"), _EXPOSED)
        return ()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            await receive()
            try:
                service, rest = await stack.enter_async_context(self._open_parts(self))
            except TiloresError as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            self._langserve, self._openai = LangServeRoutes(service), OpenAIRoutes(service)
            self._service, self._rest = service, rest
            await send({"type": "lifespan.startup.complete"})
            try:
                await receive()
            except asyncio.CancelledError:
                log.warning("serve.stopped_without_waiting")  # asked twice; what is open is closed all the same
            self.draining = True
            await stack.aclose()
        await send({"type": "lifespan.shutdown.complete"})


async def _leave(exchange: HttpExchange, event: bytes) -> None:
    """The server waits for this one no longer: the time is over, or a second signal came."""
    log.warning("request.cancelled_by_shutdown", request_id=exchange.request_id.decode())
    await exchange.leave(_ENDING, event, (DONE, END))


_ENDING: Final = OverloadedError("the server is ending", retry_after=1.0, fix="ask again: another one answers")
_SLASHES: Final = re.compile("/{2,}")
_EXPOSED: Header = (b"access-control-expose-headers", b"X-Request-Id, X-Tilores-Cache")


def _raising(error: TiloresError) -> Handler:
    async def refuse(exchange: HttpExchange) -> None:
        raise error

    return refuse
