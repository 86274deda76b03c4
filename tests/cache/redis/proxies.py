"""A TCP proxy that misbehaves on demand, between a tier and a real redis-server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from types import TracebackType


class Proxy:
    """`delay`: seconds every reply is held back. `mute`: replies of the connections that exist now are swallowed.
    With `tls` the client's side is encrypted."""

    def __init__(self, target: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._muted: set[asyncio.StreamWriter] = set()
        self.delay = 0.0
        self.accepted = 0

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def mute(self) -> None:
        self._muted |= self._clients

    def half_close(self) -> None:
        """Say goodbye to the clients, and go on listening to them."""
        for client in self._clients:
            client.write_eof()

    def cut(self) -> None:
        for client in self._clients:
            client.transport.abort()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        self._clients.add(writer)
        up: asyncio.StreamWriter | None = None
        try:
            down, up = await asyncio.open_connection("127.0.0.1", self.target)
            await asyncio.gather(self._requests(reader, up), self._replies(down, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._clients.discard(writer)
            for side in filter(None, (up, writer)):
                side.transport.abort()
            self._tasks.discard(task)

    async def _requests(self, reader: asyncio.StreamReader, up: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            up.write(data)
            await up.drain()
        up.write_eof()

    async def _replies(self, down: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while data := await down.read(65_536):
            if self.delay:
                await asyncio.sleep(self.delay)  # the fault itself
            if client not in self._muted:
                client.write(data)
                await client.drain()
        with contextlib.suppress(OSError, NotImplementedError):
            client.write_eof()
