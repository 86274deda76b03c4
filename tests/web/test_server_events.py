"""How many may follow server-sent events."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Message

from tilores_core.errors import OverloadedError
from tilores_core.web.server_events import Events, Followers, encode_event

FOLLOWERS = 64


async def test_no_more_than_allowed_begin_at_one_moment_and_each_that_ends_makes_room() -> None:
    followers = Followers("batches", "ask for the job itself instead")
    over = asyncio.Event()

    async def events() -> Events:
        yield encode_event("progress", {})
        await over.wait()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        await asyncio.sleep(0)

    async def follow() -> None:
        scope: dict[str, Any] = {"type": "http", "asgi": {"spec_version": "2.3"}}
        await followers.reply(events())(scope, receive, send)

    running = [asyncio.create_task(follow()) for _ in range(FOLLOWERS + 6)]
    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    refused = [task for task in running if task.done()]
    assert len(refused) == 6
    assert all(isinstance(task.exception(), OverloadedError) for task in refused)
    running[0].cancel()
    await asyncio.gather(running[0], return_exceptions=True)
    again = asyncio.create_task(follow())
    over.set()
    results = await asyncio.gather(again, *running, return_exceptions=True)
    assert sum(result is None for result in results) == FOLLOWERS
