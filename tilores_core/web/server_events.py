"""Server-sent events of the administration: how they are written, and how many may follow them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, Final

import orjson
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from tilores_core.errors import OverloadedError
from tilores_core.web.problems import Responses

_EVENT_STREAM: Final = "text/event-stream"
_STILL_THERE: Final = b": still there\n\n"
"""A comment that keeps a quiet connection open."""
_STILL_THERE_SECONDS: Final = 15.0
_MOST_FOLLOWERS: Final = 64

Events = AsyncGenerator[bytes | None]
"""Events as `encode_event` writes them, and None when for some time there was none."""


def describe_events(description: str, *names: str) -> Responses:
    """What OpenAPI says of a route with these events."""
    event = {
        "type": "object",
        "description": description,
        "required": ["event", "data"],
        "properties": {"event": {"enum": [*names]}, "data": {"type": "string"}},
        "additionalProperties": False,
    }
    return {200: {"content": {_EVENT_STREAM: {"schema": event}}}}


def encode_event(name: str, data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))


class Followers:
    """How many follow now. `what`: for the error, such as `batches`; `instead`: what to ask for instead."""

    def __init__(self, what: str, instead: str) -> None:
        self._what = what
        self._instead = instead
        self._count = 0

    def reply(self, events: Events) -> StreamingResponse:
        """The events, as one more follower. Sending it raises `OverloadedError` when there are as many as there may
        be."""
        return _Followed(self, _keep_open(events), media_type=_EVENT_STREAM, headers={"Cache-Control": "no-store"})

    @contextmanager
    def one_more(self) -> Iterator[None]:
        if self._count >= _MOST_FOLLOWERS:
            raise OverloadedError(f"{_MOST_FOLLOWERS} follow {self._what} already", fix=self._instead)
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1


class _Followed(StreamingResponse):
    """Counted from before its first byte to its end, so that no more than allowed begin at one moment."""

    def __init__(self, followers: Followers, events: AsyncIterator[bytes], **options: Any) -> None:
        super().__init__(events, **options)
        self._followers = followers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._followers.one_more():
            await super().__call__(scope, receive, send)


async def _keep_open(events: Events) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    async with aclosing(events):
        last = loop.time()
        async for event in events:
            if event is not None or loop.time() - last > _STILL_THERE_SECONDS:
                last = loop.time()
                yield _STILL_THERE if event is None else event
