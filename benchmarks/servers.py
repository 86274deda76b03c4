"""What the benchmarks that start servers share."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def wait_until_ready(http: aiohttp.ClientSession, url: str) -> None:
    """Raises `RuntimeError` after a minute."""
    from aiohttp import ClientError  # not every benchmark that needs a port needs aiohttp

    for _ in range(600):
        try:
            async with http.get(f"{url}/health/ready") as reply:
                if reply.status == 200:
                    return
        except ClientError:
            pass
        await asyncio.sleep(0.1)
    raise RuntimeError("the server is not ready within a minute")
