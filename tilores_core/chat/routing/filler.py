"""A short sentence for the ear while the answer is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from tilores_core.contracts import Answer, Delta


async def with_filler(
    items: AsyncGenerator[Delta | Answer, None], *, text: str, seconds: float
) -> AsyncGenerator[Delta | Answer, None]:
    """The stream, begun with `text` when its first item takes longer than `seconds`.

    Closing it closes `items`. What fails after the filler went out fails in the middle of a stream.
    """
    first: asyncio.Task[Delta | Answer] = asyncio.create_task(_next(items))
    try:
        await asyncio.wait({first}, timeout=seconds)
        if not first.done():
            yield Delta(text=text if text[-1:].isspace() else f"{text} ", filler=True)
        yield await first
        async for item in items:
            yield item
    finally:
        if not first.done():
            first.cancel()
            await asyncio.wait({first})
        await items.aclose()


async def _next(items: AsyncGenerator[Delta | Answer, None]) -> Delta | Answer:
    try:
        return await anext(items)
    except StopAsyncIteration:
        raise RuntimeError("the engine's stream ended without an answer") from None
