"""What the tier needs of Redis, whether it is one server or a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

Command = tuple[str | bytes | int, ...]


class Server(Protocol):
    """Every method raises `CacheError` when Redis cannot be reached or does not answer in time."""

    single: bool
    """Whether all keys live together, so that a script may touch several."""

    batches: int
    batched_keys: int
    """How many requests carried reads, and how many keys they asked for."""

    failovers: int
    """How often the address was found to lead to another server; connections to the one before may go on."""

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """The values in order; None for a key that is absent or holds no plain value."""

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Replies in order. The key of each command is its second word (EVAL: its fourth). A refusal is an
        exception in the list."""

    def scan(self, pattern: str) -> AsyncIterator[list[bytes]]:
        """All keys that match, in portions; a key may come twice."""

    async def info(self) -> list[dict[str, str]]:
        """INFO of each primary, with `keys` (DBSIZE) added."""

    async def connection(self) -> AbstractConnection:
        """A connection of one's own, not yet connected."""

    async def aclose(self) -> None: ...


def parse_info(raw: bytes) -> dict[str, str]:
    lines = raw.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
