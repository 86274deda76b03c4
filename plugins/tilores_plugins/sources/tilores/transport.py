"""HTTP, and nothing above it: one client, bodies that are bounded, failures as errors of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import orjson

from tilores_core import __version__
from tilores_core.llm import parse_retry_after
from tilores_plugins.sources.tilores import problems
from tilores_plugins.sources.tilores.problems import BusyError, Fault
from tilores_plugins.sources.tilores.settings import Settings
from tilores_plugins.sources.tilores.tokens import Granted, basic

if TYPE_CHECKING:
    import httpx

MiB = 1024 * 1024
_MOST_BYTES = 64 * MiB  # unpacked; the instance's own limit of 6 MiB counts after compression
_MOST_TOKEN_BYTES = 64 * 1024
_IN_THREAD = MiB // 4  # to decode more than this on the loop would be felt by others
_CONNECT_SECONDS = 1.5
_LONGEST_WAIT = 60.0
_SHORTEST_LIFE, _LONGEST_LIFE = 0.1, 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply. `body` is None when it was not JSON."""

    status: int
    body: Any
    retry_after: float | None = None


class Transport:
    """Opened at the first call. All methods raise `BusyError` for what may be tried again, `SourceError` else."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: httpx.AsyncClient | None = None
        self._opening: asyncio.Task[httpx.AsyncClient] | None = None
        self._closed = False

    async def graphql(self, token: str, body: Mapping[str, Any], seconds: float) -> Reply:
        """POST a query. `seconds`: for each phase, at most."""
        return await self._post(
            self._settings.api_url,
            orjson.dumps(body),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"},
            seconds,
            _MOST_BYTES,
        )

    async def token(self) -> Granted:
        """Ask for a token with client credentials. Raises `SourceError`, `SourceUnavailableError`."""
        settings = self._settings
        form = "grant_type=client_credentials"
        if settings.scope.strip():
            from urllib.parse import quote_plus

            form += f"&scope={quote_plus(' '.join(settings.scope.split()))}"
        headers = {
            "Authorization": basic(settings.client_id, settings.client_secret.get_secret_value()),
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        try:
            async with asyncio.timeout(settings.hard_seconds):
                reply = await self._post(
                    settings.token_url, form.encode(), headers, settings.hard_seconds, _MOST_TOKEN_BYTES
                )
        except TimeoutError:
            raise problems.passing(Fault.TOKEN_UNAVAILABLE, kind="no answer in time") from None
        except BusyError as error:
            raise problems.passing(Fault.TOKEN_UNAVAILABLE, kind="the connection failed") from error
        return _parse_grant(reply)

    async def _post(self, url: str, content: bytes, headers: Mapping[str, str], seconds: float, most: int) -> Reply:
        client = self._client or await self._open()
        import httpx  # loaded by now

        timeout = httpx.Timeout(max(seconds, 0.001), connect=min(_CONNECT_SECONDS, max(seconds, 0.001)))
        try:
            async with client.stream("POST", url, content=content, headers=headers, timeout=timeout) as response:
                body = bytearray()
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > most:
                        raise problems.lasting(Fault.UNREADABLE)
                after = parse_retry_after(response.headers)
                status = response.status_code
        except (httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise BusyError(problems.passing(Fault.UNREACHABLE, kind="no connection in time")) from error
        except httpx.TimeoutException as error:
            raise problems.passing(Fault.SLOW) from error
        except httpx.DecodingError as error:
            raise problems.passing(Fault.BROKEN) from error
        except httpx.TransportError as error:
            raise BusyError(problems.passing(Fault.UNREACHABLE, kind=type(error).__name__)) from error
        return Reply(status, await _decode(bytes(body)), None if after is None else min(after, _LONGEST_WAIT))

    async def _open(self) -> httpx.AsyncClient:
        if self._closed:
            raise problems.passing(Fault.UNREACHABLE, kind="the source is closed")
        if self._opening is None:
            self._opening = asyncio.create_task(self._make())
        return await asyncio.shield(self._opening)

    async def _make(self) -> httpx.AsyncClient:
        settings = self._settings
        # Both take tens of milliseconds: the import, and reading the certificates.
        httpx = await asyncio.to_thread(import_module, "httpx")
        plain = all(url.startswith("http://") for url in (settings.api_url, settings.token_url))
        context = not plain and await asyncio.to_thread(httpx.create_ssl_context)  # without TLS there is no need

        connections = settings.max_in_flight + 2  # one for the token, one for the schema
        self._client = httpx.AsyncClient(
            http1=True,
            http2=False,
            verify=context,
            follow_redirects=False,  # the token must not travel
            limits=httpx.Limits(
                max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=30.0
            ),
            headers={"User-Agent": f"tilores-core/{__version__}", "Accept-Encoding": "gzip"},
        )
        return self._client

    async def aclose(self) -> None:
        self._closed = True
        if self._opening is not None:
            await asyncio.gather(self._opening, return_exceptions=True)
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def _parse_grant(reply: Reply) -> Granted:
    body = reply.body if isinstance(reply.body, dict) else {}
    if reply.status == 429 or reply.status >= 500:
        raise problems.passing(Fault.TOKEN_UNAVAILABLE, reply.retry_after or 1.0, kind=reply.status)
    if reply.status != 200:
        raise problems.token_denied(reply.status, body.get("error"))
    value, seconds = body.get("access_token"), body.get("expires_in", 300)
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value:
        raise problems.lasting(Fault.TOKEN_UNREADABLE)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        seconds = 300
    return Granted(value, min(max(float(seconds), _SHORTEST_LIFE), _LONGEST_LIFE))


async def _decode(body: bytes) -> Any:
    try:
        if len(body) > _IN_THREAD:
            return await asyncio.to_thread(orjson.loads, body)
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
