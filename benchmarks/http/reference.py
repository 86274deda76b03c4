"""What our server is measured against: bare routes that do less and less of the same work.

    bare_fastapi   a FastAPI route that returns a constant of a reply's size; nothing is parsed
    asgi_l1        raw ASGI: parse, canonical key, look-up in a small LRU with expiry, send stored bytes
    asgi_l2        the same key, but each answer is a GET from Redis (BENCH_REDIS_URL)

VARIANT chooses; run with uvicorn: `VARIANT=asgi_l1 uvicorn reference:app`.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import OrderedDict
from typing import Any

import orjson

VARIANT = os.environ.get("VARIANT", "bare_fastapi")
SECONDS_TO_LIVE = 600.0
MOST_ENTRIES = 10_000

REPLY = {
    "output": {
        "content": "The credit score on file is 742, as of the last report. " * 9,
        "additional_kwargs": {},
        "response_metadata": {
            "model": "demo:simulated-1",
            "cache": "l1",
            "age_s": 1.234,
            "stale": False,
            "customer_id": "EDW_HAWTHORNE_001",
            "customer": {"kind": "one"},
            "spectrum": "credit_analysis",
            "prompt_version": "builtin-0123456789ab",
            "latency_ms": 0.123,
            "cost": 0.0,
            "finish_reason": "stop",
        },
        "type": "ai",
        "name": None,
        "id": "run-00000000-0000-4000-8000-000000000000",
        "tool_calls": [],
        "invalid_tool_calls": [],
        "usage_metadata": {"input_tokens": 600, "output_tokens": 120, "total_tokens": 720},
    },
    "metadata": {"run_id": "00000000-0000-4000-8000-000000000000", "feedback_tokens": []},
}
REPLY_BYTES = orjson.dumps(REPLY)


class Lru:
    """Bytes by key, least recently used out first, each for so many seconds."""

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()

    def get(self, key: bytes) -> bytes | None:
        found = self._entries.get(key)
        if found is None or found[0] < time.monotonic():
            return None
        self._entries.move_to_end(key)
        return found[1]

    def put(self, key: bytes, value: bytes) -> None:
        self._entries[key] = (time.monotonic() + SECONDS_TO_LIVE, value)
        if len(self._entries) > MOST_ENTRIES:
            self._entries.popitem(last=False)


def key_of(value: Any) -> bytes:
    return hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


async def read(receive: Any) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


def raw(answer: Any) -> Any:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = await answer(orjson.loads(await read(receive)).get("input"))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return asgi


if VARIANT == "bare_fastapi":
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/chat/invoke")
    async def invoke() -> dict[str, Any]:
        return REPLY

elif VARIANT == "asgi_l1":
    cache = Lru()

    async def from_memory(asked: Any) -> bytes:
        key = key_of(asked)
        value = cache.get(key)
        if value is None:
            value = REPLY_BYTES
            cache.put(key, value)
        return value

    app = raw(from_memory)

elif VARIANT == "asgi_l2":
    import redis.asyncio

    client = redis.asyncio.Redis.from_url(os.environ["BENCH_REDIS_URL"])

    async def from_redis(asked: Any) -> bytes:
        key = key_of(asked)
        value = await client.get(key)
        if value is None:
            value = REPLY_BYTES
            await client.set(key, value, ex=int(SECONDS_TO_LIVE))
        return bytes(value) if isinstance(value, bytes) else value.encode()

    app = raw(from_redis)

else:
    raise SystemExit(f"unknown VARIANT {VARIANT}")
