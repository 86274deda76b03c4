"""Around the FastAPI application: no body is larger than it may be, and no fault leaves with its message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from tilores_core.web.faults import bare
from tilores_core.web.http_exchange import Receive, Scope, Send

log = structlog.get_logger(part="web")

ASGI = Callable[[Scope, Receive, Send], Any]


class Guard:
    """`limit` is in bytes; `own`: those of paths that have another. `app` has an answer for every fault; what it
    raises afterwards is logged here."""

    def __init__(self, app: ASGI, limit: int, own: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._limit = limit
        self._own = own or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self._own.get(scope["path"], self._limit)
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or int(declared) > limit:
            refusal = JSONResponse({"detail": _too_large(limit), "fix": "send less at once"}, 413)
            await refusal(scope, receive, send)
            return
        size = 0

        async def counted() -> Any:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                raise HTTPException(413, _too_large(limit))  # FastAPI lets no other kind through while it reads
            return message

        try:
            await self._app(scope, counted, send)
        except Exception as error:
            log.exception("request failed", request_id=scope["state"]["request_id"], exc_info=bare(error))


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit} bytes"
