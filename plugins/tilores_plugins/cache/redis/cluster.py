"""A Redis Cluster: redis-py knows which node has which key, follows moved slots and pipelines per node.

Slower than one server (a connection is borrowed for each request), and a value and the index of its tag lie on
different nodes: see docs/cache-redis.md for what that means for `delete_tag`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from .failures import reply_error, unreachable
from .server import Command
from .single import SCAN_COUNT


class ClusterServer:
    """Times in seconds. `at_once`: requests under way, no more than there are connections to a node."""

    single = False
    failovers = 0  # redis-py follows the nodes

    def __init__(self, client: RedisCluster, *, connect_timeout: float, command_timeout: float, at_once: int) -> None:
        self._client = client
        self._timeout = connect_timeout + command_timeout
        self._places = asyncio.Semaphore(at_once)
        self._starting = asyncio.Lock()
        self._started = False
        self.batches = 0
        self.batched_keys = 0

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        self.batches += 1
        self.batched_keys += len(keys)
        replies = await self.run([("GET", key) for key in keys])
        return [_value(reply) for reply in replies]

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        async with self._map_errors():
            pipeline = self._client.pipeline()
            for command in commands:
                pipeline.execute_command(*command)
            replies = await pipeline.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, RedisError) and not isinstance(reply, ResponseError):
                raise unreachable(reply)
        return list(replies)

    async def scan(self, pattern: str) -> AsyncIterator[list[bytes]]:
        async with self._map_errors():
            nodes = self._client.get_primaries()
        for node in nodes:
            cursor = 0
            while True:
                async with self._map_errors():
                    cursor, keys = await node.execute_command("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
                if keys:
                    yield keys
                if not int(cursor):
                    break

    async def info(self) -> list[dict[str, str]]:
        found = []
        async with self._map_errors():
            for node in self._client.get_primaries():
                info = await node.execute_command("INFO")
                size = await node.execute_command("DBSIZE")
                found.append({**{str(name): str(value) for name, value in info.items()}, "keys": str(size)})
        return found

    async def connection(self) -> AbstractConnection:
        # The nodes pass messages on to each other, so that any of them will do.
        async with self._map_errors():
            node = self._client.get_random_node()
        connection: AbstractConnection = node.connection_class(**node.connection_kwargs)
        return connection

    async def aclose(self) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def _map_errors(self) -> AsyncIterator[None]:
        try:
            if not self._started:
                async with asyncio.timeout(self._timeout), self._starting:
                    await self._client.initialize()
                    self._started = True
            # A connection that this interrupts is closed by redis-py, never used again.
            async with asyncio.timeout(self._timeout), self._places:
                yield
        except ResponseError as error:
            raise reply_error(error) from error
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            raise unreachable(error) from error


def _value(reply: Any) -> bytes | None:
    if isinstance(reply, ResponseError):
        if str(reply).startswith("WRONGTYPE"):
            return None
        raise reply_error(reply)
    value: bytes | None = reply
    return value
