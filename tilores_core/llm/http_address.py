"""Requests to one address, over connections that are kept."""

from __future__ import annotations

import asyncio
import os
import ssl
import urllib.request
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientTimeout, StreamReader, TCPConnector

    from tilores_core.llm.http_connection import HttpConnection

_END_SECONDS: Final = 0.05


class Reply:
    """A reply whose headers have come. `release` it at the end."""

    __slots__ = ("_address", "_connection", "content", "headers", "status")

    def __init__(
        self,
        address: HttpAddress,
        connection: HttpConnection,
        status: int,
        headers: Mapping[str, str],
        content: StreamReader,
    ) -> None:
        self._address = address
        self._connection: HttpConnection | None = connection
        self.status = status
        self.headers = headers
        self.content = content
        """The body: `readany` until `at_eof`."""

    def release(self) -> None:
        """Give the connection back; it is closed when the body was not read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._address.take_back(connection)

    async def finish(self) -> None:
        """Read what may be left of the body, so that the connection can be used again; not for long."""
        if self.content.at_eof():
            return
        try:
            async with asyncio.timeout(_END_SECONDS):
                while not self.content.at_eof():
                    await self.content.readany()
        except Exception:  # the answer is there
            return


class HttpAddress:
    """POST requests to `url` with `headers`.

    `read_seconds`: the longest silence; `connect_seconds`: for a connection, a new one or a free one of
    `max_connections`. Proxies are taken from the environment; redirects are not followed. Belongs to the event loop
    of its first request.

    Connections, TLS, proxies and the parser are aiohttp's, but not its session, nor its pool: they take three times
    as long for a request as all else, for what is the same each time here. `tests/test_private_names.py` tells when
    one of the inner names used here moves.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        read_seconds: float,
        connect_seconds: float,
        max_connections: int,
    ) -> None:
        self._url = url
        self._headers = headers
        self._read_seconds = read_seconds
        self._connect_seconds = connect_seconds
        self._places = asyncio.Semaphore(max_connections)
        self._free: deque[HttpConnection] = deque()
        self._connector: TCPConnector | None = None
        self._opening: asyncio.Future[None] | None = None
        self._request: ClientRequest
        self._timeout: ClientTimeout
        self._head = b""

    async def open(self) -> None:
        """Import aiohttp and make the connection pool; in a thread, as both take time."""
        if self._opening is None or (self._opening.done() and self._connector is None):
            self._opening = asyncio.ensure_future(self._open())
        await asyncio.shield(self._opening)

    async def aclose(self) -> None:
        connector, self._connector, self._opening = self._connector, None, None
        self._free.clear()
        if connector is not None:
            await connector.close()

    async def post(self, body: bytes) -> Reply:
        """Send `body`; the reply, to be released. Raises what aiohttp raises when there is none."""
        if self._places.locked():
            async with asyncio.timeout(self._connect_seconds):
                await self._places.acquire()
        else:
            await self._places.acquire()
        connection = None
        try:
            connection = self._take_free() or await self._connect()
            head = self._head or self._make_head()
            message, content = await connection.send(b"%b%d\r\n\r\n%b" % (head, len(body), body))
            return Reply(self, connection, message.code, message.headers, content)
        except BaseException:
            if connection is not None:
                connection.close()
            self._places.release()
            raise

    def take_back(self, connection: HttpConnection) -> None:
        """For `Reply`: what it needs no more."""
        if connection.ended:
            connection.close()
        else:
            self._free.append(connection)
        while self._free and self._free[0].closed:
            self._free.popleft()
        self._places.release()

    def _take_free(self) -> HttpConnection | None:
        """The one that was used last, so that those close which are not needed."""
        while self._free:
            connection = self._free.pop()
            if not connection.closed:
                return connection
        return None

    async def _connect(self) -> HttpConnection:
        if self._connector is None:
            await self.open()
        assert self._connector is not None
        from tilores_core.llm.http_connection import HttpConnection

        opened = await self._connector.connect(self._request, [], self._timeout)
        return HttpConnection(opened, self._read_seconds)

    async def _open(self) -> None:
        secure = self._url.startswith("https:")
        tls = await asyncio.to_thread(_prepare, secure, os.environ.get("SSL_CERT_FILE"))
        import aiohttp
        from yarl import URL

        seconds = self._connect_seconds
        proxy = _proxy(self._url)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=seconds, sock_connect=seconds)
        self._request = aiohttp.ClientRequest(
            "POST",
            URL(self._url),
            headers=self._headers,
            loop=asyncio.get_running_loop(),
            proxy=None if proxy is None else URL(proxy),
        )
        self._connector = aiohttp.TCPConnector(limit=0, ssl=tls)

    def _make_head(self) -> bytes:
        """All of a request but the length and the body, once a connection was made: that may add a proxy's header."""
        request = self._request
        path = str(request.url) if request.proxy and not request.is_ssl() else request.url.raw_path_qs
        headers = [(name, value) for name, value in request.headers.items() if name.lower() != "content-length"]
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "Content-Length: "]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a line break in a header")
        self._head = "\r\n".join(lines).encode()
        return self._head


def _prepare(secure: bool, cert_file: str | None) -> ssl.SSLContext | bool:
    import tilores_core.llm.http_connection  # noqa: F401 - a fifth of a second, here and not on the event loop

    return _tls(cert_file) if secure else True


@lru_cache(maxsize=4)
def _tls(cert_file: str | None) -> ssl.SSLContext:
    """Reading the authorities takes longer than a call does, so it is done once in a process."""
    if cert_file is None:
        try:
            import certifi

            cert_file = certifi.where()
        except ImportError:
            return ssl.create_default_context()
    return ssl.create_default_context(cafile=cert_file)


def _proxy(url: str) -> str | None:
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    if not parts.hostname or urllib.request.proxy_bypass(parts.hostname):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")
