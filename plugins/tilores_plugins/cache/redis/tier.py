"""The tier: entries, their tags, leases and messages in Redis.

<prefix>entry:<key>      an entry, see entry.py
<prefix>tag:<tag>        sorted set of the keys that carry the tag, see scripts.py
<prefix>lease:<name>     who has the lease
<prefix>messages         the channel of broadcast.py
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from tilores_core import CacheEntry, CacheError, TierStats

from . import tags
from .broadcast import Broadcast
from .entry import pack, unpack
from .failures import reply_error
from .scripts import ACQUIRE, INDEX, RELEASE, STORE
from .server import Command, Server
from .settings import RedisSettings

MAX_BYTES_AT_ONCE = 1024 * 1024
MAX_COMMANDS_AT_ONCE = 256
_INFO_SECONDS = 5.0
_GLOB = re.compile(r"([*?\[\]\\])")


class RedisTier:
    """The Redis cache tier.

    `CacheTier`, `SupportsLease` and `SupportsBroadcast`. Connects when first used; belongs to one event loop.
    """

    def __init__(self, server: Server, settings: RedisSettings, address: str) -> None:
        self._server = server
        prefix = settings.key_prefix
        self._entry = f"{prefix}entry:"
        self._tag = f"{prefix}tag:"
        self._lease = f"{prefix}lease:"
        self._longest = settings.ttl_seconds
        self._max_bytes = settings.max_value_bytes
        self._broadcast = Broadcast(server, f"{prefix}messages", secrets.token_bytes(8), address)
        self._hits = self._misses = self._expired = self._errors = self._damaged = self._oversized = 0
        self._info: dict[str, Any] = {}
        self._info_at = -math.inf

    # --- entries ---------------------------------------------------------------------------------------

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, CacheEntry]:
        if not keys:
            return {}
        prefix = self._entry
        try:
            values = await self._server.get([prefix + key for key in keys])
        except CacheError:
            self._errors += 1
            raise
        found = {}
        now = time.time()
        for key, raw in zip(keys, values, strict=True):
            if raw is None:
                continue
            entry = unpack(key, raw)
            if entry is None:
                self._damaged += 1
            elif entry.expires_at > now:
                found[key] = entry
            else:
                self._expired += 1
        self._hits += len(found)
        self._misses += len(keys) - len(found)
        return found

    async def set_many(self, entries: Mapping[str, CacheEntry]) -> None:
        refusal: Exception | None = None
        for commands in self._portions(entries):
            replies = await self._run(commands)
            failed = [(c, r) for c, r in zip(commands, replies, strict=True) if isinstance(r, Exception)]
            if failed:
                refusal = failed[0][1]
                await self._withdraw([command for command, _ in failed])
        if refusal is not None:
            self._errors += 1
            raise reply_error(refusal)

    async def delete(self, keys: Sequence[str]) -> int:
        return await self._unlink([self._entry + key for key in keys])

    async def delete_tag(self, tag: str) -> int:
        """Also finds what carries the tag without being in its index, where Redis has evicted keys; that reads the
        beginning of every entry."""
        removed, complete = await tags.delete(self._run, self._unlink, self._tag + tag, tag, self._server.single)
        if not complete or any(int(node.get("evicted_keys", 0)) for node in await self._server.info()):
            async for names in self._server.scan(_literal(self._entry) + "*"):
                removed += await self._unlink(await tags.carrying(self._run, names, tag))
        return removed

    async def tag_keys(self, tag: str) -> Sequence[str]:
        names = await tags.list_tagged(self._run, self._tag + tag, tag)
        return [name.decode().removeprefix(self._entry) for name in names]

    async def clear(self, namespace: str | None = None) -> int:
        removed = 0
        begin = self._entry if namespace is None else f"{self._entry}{namespace}:"
        async for names in self._server.scan(_literal(begin) + "*"):
            removed += await self._unlink(names)
        if namespace is None:
            async for names in self._server.scan(_literal(self._tag) + "*"):
                await self._unlink(names)
        return removed

    # --- leases ----------------------------------------------------------------------------------------

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        milliseconds = max(1, math.ceil(seconds * 1000))
        return bool(await self._run_one("EVAL", ACQUIRE, 1, self._lease + name, holder, milliseconds))

    async def release(self, name: str, holder: str) -> None:
        await self._run_one("EVAL", RELEASE, 1, self._lease + name, holder)

    # --- messages --------------------------------------------------------------------------------------

    async def publish(self, message: bytes) -> None:
        if len(message) > self._max_bytes:
            raise CacheError(f"a message of {len(message)} bytes is more than max_value_bytes allows")
        await self._run_one(*self._broadcast.command(message))

    def messages(self) -> AsyncIterator[bytes | None]:
        return self._broadcast.listen()

    # --- the rest --------------------------------------------------------------------------------------

    async def stats(self) -> TierStats:
        """Return the tier's figures. `bytes` and the `server_…` figures are the whole server's, at most five
        seconds old. Never raises."""
        server = await self._server_stats()
        batches = self._server.batches
        return TierStats(
            bytes=server.get("server_memory_bytes"),
            hits=self._hits,
            misses=self._misses,
            expirations=self._expired,
            errors=self._errors,
            extra={
                "damaged": self._damaged,
                "oversized": self._oversized,
                "batches": batches,
                "batch_avg": round(self._server.batched_keys / batches, 2) if batches else 0.0,
                **server,
            },
        )

    async def aclose(self) -> None:
        self._broadcast.closed = True
        await self._server.aclose()

    # --- inside ----------------------------------------------------------------------------------------

    def _portions(self, entries: Mapping[str, CacheEntry]) -> Iterator[list[Command]]:
        """What stores the entries, in requests that a short time-out is enough for."""
        now = time.time()
        portion: list[Command] = []
        size = 0
        for key, entry in entries.items():
            commands, length = self._storing(key, entry, now)
            if portion and (size + length > MAX_BYTES_AT_ONCE or len(portion) >= MAX_COMMANDS_AT_ONCE):
                yield portion
                portion, size = [], 0
            portion += commands
            size += length
        if portion:
            yield portion

    def _storing(self, key: str, entry: CacheEntry, now: float) -> tuple[list[Command], int]:
        """The commands and about how many bytes they have. What is not taken still replaces what was there."""
        name = self._entry + key
        too_large = len(entry.value) > self._max_bytes
        self._oversized += too_large
        if too_large or not entry.expires_at > now:
            return [("UNLINK", name)], 0
        raw = pack(key, entry)
        end = math.ceil(min(entry.expires_at, now + self._longest) * 1000)
        indexes = [self._tag + tag for tag in entry.tags]
        if not indexes:
            return [("SET", name, raw, "PXAT", end)], len(raw)
        if self._server.single:
            return [("EVAL", STORE, 1 + len(indexes), name, *indexes, raw, end)], len(raw)
        indexing: list[Command] = [("EVAL", INDEX, 1, index, name, end) for index in indexes]
        return [("SET", name, raw, "PXAT", end), *indexing], len(raw)

    async def _withdraw(self, failed: Sequence[Command]) -> None:
        """Take back values whose index could not be written: no invalidation would find them."""
        unindexed = [str(command[4]) for command in failed if command[1] == INDEX]
        if unindexed:
            await self._unlink(unindexed)

    async def _run(self, commands: Sequence[Command]) -> list[Any]:
        try:
            return await self._server.run(commands)
        except CacheError:
            self._errors += 1
            raise

    async def _run_one(self, *command: str | bytes | int) -> Any:
        (reply,) = await self._run([command])
        return self._check(reply)

    def _check(self, reply: Any) -> Any:
        if isinstance(reply, Exception):
            self._errors += 1
            raise reply_error(reply)
        return reply

    async def _unlink(self, names: Sequence[str | bytes]) -> int:
        removed = 0
        for at in range(0, len(names), MAX_COMMANDS_AT_ONCE):
            portion = names[at : at + MAX_COMMANDS_AT_ONCE]
            together = self._server.single
            commands: list[Command] = [("UNLINK", *portion)] if together else [("UNLINK", name) for name in portion]
            removed += sum(map(self._check, await self._run(commands)))
        return removed

    async def _server_stats(self) -> dict[str, Any]:
        now = time.monotonic()
        if now - self._info_at < _INFO_SECONDS:
            return self._info
        try:
            nodes = await self._server.info()
        except CacheError:
            return {"connected": False}

        def total(name: str) -> int:
            return sum(int(node.get(name, 0)) for node in nodes)

        self._info_at = now
        self._info = {
            "connected": True,
            "server_version": nodes[0].get("redis_version", "") if nodes else "",
            "server_nodes": len(nodes),
            "server_memory_bytes": total("used_memory"),
            "server_keys": total("keys"),
            "server_evicted_keys": total("evicted_keys"),
            "server_expired_keys": total("expired_keys"),
        }
        return self._info


def _literal(text: str) -> str:
    """Return `text` as a SCAN pattern that matches only itself."""
    return _GLOB.sub(r"\\\1", text)
