"""Answers of the gateway in front of the instance, and connections that end without one."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web


def json_reply(status: int, body: object, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=json.dumps(body).encode(), content_type="application/json", headers=headers
    )


def dropped(request: web.BaseRequest) -> web.Response:
    """Resets the connection; the answer that is returned for form's sake goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)


async def cut_short(request: web.BaseRequest) -> web.StreamResponse:
    """The head and half a body, then a reset."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "4096"})
    await response.prepare(request)
    await response.write(b'{"data":{"search":{"entities":[')
    if request.transport is not None:
        request.transport.abort()
    return response
