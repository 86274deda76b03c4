"""Calls to OpenAI's protocol whose head is made once.

The SDK makes address and headers anew for every call, and copies and checks its options on the way: more than half of
what a call costs in processor time (`benchmarks/batch`, part openai). They are the same for every call of a chat
model. So the SDK makes the first call, and the request that it sent goes out again with other bodies.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import anyio
import httpx2
import openai
import orjson

if TYPE_CHECKING:
    from openai import AsyncOpenAI


# Of the request with the first body, or of that moment.
_ITS_OWN = ("content-length", "transfer-encoding", "cookie")


@dataclass(frozen=True, slots=True)
class _Head:
    url: httpx2.URL
    headers: httpx2.Headers
    extensions: dict[str, Any]

    @classmethod
    def of(cls, request: httpx2.Request) -> _Head:
        headers = request.headers.copy()
        for name in _ITS_OWN:
            headers.pop(name, None)
        return cls(request.url, headers, dict(request.extensions))


class Endpoint:
    """What takes JSON by POST at one path of an SDK's client.

    `http`: the client that the SDK sends with; None leaves every call to the SDK, as it must be where a header may
    change from call to call.
    """

    def __init__(self, sdk: AsyncOpenAI, http: httpx2.AsyncClient | None, path: str) -> None:
        self.sdk = sdk
        self._http = http
        self._path = path
        self._head: _Head | None = None

    async def post(self, body: Mapping[str, Any], *, stream: bool = False) -> httpx2.Response:
        """The reply, read whole, or not yet read with `stream`. Raises the SDK's errors for one that is no success,
        and for none at all."""
        try:
            content = orjson.dumps(body)
        except TypeError:  # something that only the SDK knows how to write
            return await self._by_sdk(stream, body=body)
        if self._http is not None and self._head is not None:
            return await self._again(self._http, self._head, content, stream)
        response = await self._by_sdk(stream, content=content)
        if not response.history:  # a redirected request is another's
            self._head = _Head.of(response.request)
        return response

    async def _by_sdk(self, stream: bool, **what: Any) -> httpx2.Response:
        # A class of responses is what the SDK documents for those who want it as it came; of a stream too.
        reply = await self.sdk.post(
            self._path, cast_to=httpx2.Response, stream=stream, stream_cls=openai.AsyncStream[object], **what
        )
        return cast(httpx2.Response, reply)

    async def _again(self, http: httpx2.AsyncClient, head: _Head, content: bytes, stream: bool) -> httpx2.Response:
        request = httpx2.Request(
            "POST",
            head.url,
            headers=head.headers,
            cookies=http.cookies,
            content=content,
            extensions=head.extensions,
        )
        try:
            response = await http.send(request, stream=stream)
            if not response.is_success:
                await response.aread()
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request=request) from error
        except (httpx2.RequestError, ssl.SSLError, anyio.EndOfStream) as error:  # the latter two come raw at times
            raise openai.APIConnectionError(request=request) from error
        if not response.is_success:
            raise self.sdk._make_status_error_from_response(response)
        return response
