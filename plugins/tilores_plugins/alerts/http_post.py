"""One POST to a receiver of notices, within a deadline. Errors never quote the address: it may be a secret."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx
from pydantic import SecretStr

from tilores_core import AlertChannelError, AlertNotice, AlertRefusedError, PluginContext, PluginError, __version__
from tilores_core.llm import parse_retry_after

_REFUSED: Final = frozenset((400, 413, 422))
_LATER: Final = frozenset((408, 425, 429))
_LONGEST_REPLY: Final = 4096


Request = tuple[Any, Mapping[str, str]]
"""The JSON value or the bytes of a body, and headers beside those that every request has."""


class HttpChannel:
    """An alert channel whose receiver takes a POST for each notice; errors hold no secret.

    `url`: of the receiver. `request`: what is posted. `seconds`: the longest time for one request.
    """

    def __init__(self, url: str, request: Callable[[AlertNotice], Request], *, seconds: float) -> None:
        self._url = url
        self._request = request
        self._seconds = seconds
        self._client = httpx.AsyncClient(
            headers={"content-type": "application/json", "user-agent": f"tilores-core/{__version__}"},
            timeout=seconds,
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=1),
            follow_redirects=False,
        )

    @classmethod
    def to(
        cls,
        context: PluginContext,
        url: SecretStr | None,
        request: Callable[[AlertNotice], Request],
        *,
        path: str = "",
        fix: str,
    ) -> HttpChannel:
        """The channel of a plugin whose settings have `timeout_seconds`. Raises `PluginError` without an address."""
        if not url:
            raise PluginError("there is no address", plugin=context.plugin_id, fix=fix)
        address = url.get_secret_value()
        seconds = context.settings.timeout_seconds
        return cls(address.rstrip("/") + path if path else address, request, seconds=seconds)

    async def send(self, notice: AlertNotice) -> None:
        """Raises `AlertRefusedError` when this notice is refused, `AlertChannelError` for anything else but 2xx."""
        body, headers = self._request(notice)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._client.stream("POST", self._url, content=content, headers=dict(headers)) as response,
            ):
                read = 0
                async for piece in response.aiter_raw():  # so that the connection can be used again
                    read += len(piece)
                    if read > _LONGEST_REPLY:
                        break
        except TimeoutError:
            raise AlertChannelError(f"no answer within {self._seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AlertChannelError(f"the receiver cannot be reached: {type(error).__name__}") from None
        status = response.status_code
        if status in _REFUSED:
            raise AlertRefusedError(f"the receiver refuses the message: status {status}")
        if not 200 <= status < 300:
            hint = ""
            if 300 <= status < 400:
                hint = ", a redirect, which is not followed: set the address that it leads to"
            elif 400 <= status < 500 and status not in _LATER:
                hint = ": are its address and its secret right?"
            raise AlertChannelError(
                f"the receiver answers with status {status}{hint}",
                retry_after=parse_retry_after(response.headers),
            )

    async def aclose(self) -> None:
        await self._client.aclose()
