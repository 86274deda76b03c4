"""Deleting the entries that carry a tag.

The index says which keys may carry it; the entry itself says whether it does (it may have been replaced by one with
other tags). Then, in this order: unlink the values, take them out of the index, unlink again. A value that is
written again between the first two steps is caught by the third; one that is written later is in the index again and
was written after the deletion. So nothing that was there when the deletion began survives it, and no value is left
outside the index. A failure half-way leaves the index as it was, and the caller repeats.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from .entry import TAGS_PEEK, carries
from .failures import code_of, reply_error
from .server import Command

CHUNK = 256
MOST_LISTED = 100_000
_ROUNDS_TO_SPARE = 8

Run = Callable[[Sequence[Command]], Awaitable[list[Any]]]
Unlink = Callable[[Sequence[str | bytes]], Awaitable[int]]


async def delete(run: Run, unlink: Unlink, index: str, tag: str, single: bool) -> tuple[int, bool]:
    """How many entries went, and whether the index could be trusted."""
    (size,) = await run([("ZCARD", index)])
    if isinstance(size, Exception):
        if code_of(size) != "WRONGTYPE":
            raise reply_error(size)
        await unlink([index])
        return 0, False
    removed = kept = 0
    # A bound, since others may write faster than this deletes: what they write now is newer than the deletion.
    for _ in range(size // CHUNK + _ROUNDS_TO_SPARE):
        (names,) = _check_replies(await run([("ZRANGE", index, kept, kept + CHUNK - 1)]))
        if not names:
            break
        doomed = await carrying(run, names, tag)
        kept += len(names) - len(doomed)
        if doomed:
            removed += await _forget(run, unlink, index, doomed, single)
    return removed, True


async def carrying(run: Run, names: Sequence[bytes], tag: str) -> list[bytes]:
    """Those of `names` whose entries carry the tag, are damaged or are gone."""
    fronts = await _read_fronts(run, names)
    return [name for name, front in zip(names, fronts, strict=True) if front is None or carries(front, tag)]


async def list_tagged(run: Run, index: str, tag: str) -> list[bytes]:
    """The names of the entries in the index that are there and carry the tag."""
    (names,) = await run([("ZRANGE", index, 0, MOST_LISTED - 1)])
    if isinstance(names, Exception):
        if code_of(names) != "WRONGTYPE":
            raise reply_error(names)
        return []
    fronts = await _read_fronts(run, names)
    return [name for name, front in zip(names, fronts, strict=True) if front and carries(front, tag)]


async def _read_fronts(run: Run, names: Sequence[bytes]) -> list[bytes | None]:
    """The bytes of each entry that say its tags: empty when it is gone, None when it is something else."""
    fronts: list[bytes | None] = []
    for at in range(0, len(names), CHUNK):
        for reply in await run([("GETRANGE", name, 0, TAGS_PEEK - 1) for name in names[at : at + CHUNK]]):
            if isinstance(reply, Exception) and code_of(reply) != "WRONGTYPE":
                raise reply_error(reply)
            fronts.append(reply if isinstance(reply, bytes) else None)
    return fronts


async def _forget(run: Run, unlink: Unlink, index: str, names: Sequence[bytes], single: bool) -> int:
    if single:
        replies = await run([("UNLINK", *names), ("ZREM", index, *names), ("UNLINK", *names)])
        first, _, second = _check_replies(replies)
        return int(first) + int(second)
    removed = await unlink(names)
    _check_replies(await run([("ZREM", index, *names)]))
    return removed + await unlink(names)


def _check_replies(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply_error(reply)
    return replies
