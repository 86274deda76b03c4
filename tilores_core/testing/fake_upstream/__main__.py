"""A fake upstream in its own process: `python -m tilores_core.testing.fake_upstream --dialect openai --port 0`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

import orjson

from tilores_core.testing.fake_upstream.dialects import DIALECTS
from tilores_core.testing.fake_upstream.server import DEFAULT_KEY, FakeUpstream
from tilores_core.testing.fake_upstream.values import HttpError, Reply

_KEPT = 100  # requests remembered: nobody asks a process for them


def main(arguments: Sequence[str] | None = None) -> None:
    given = _parser().parse_args(arguments)
    fault = None if given.status == 200 else HttpError(status=given.status, retry_after=given.retry_after)
    reply = Reply(given.text, first_token=given.first_token_ms / 1000, between=given.between_ms / 1000, fault=fault)
    fake_upstream = FakeUpstream(
        given.dialect,
        key=given.key,
        otherwise=reply,
        latency=given.latency_ms / 1000,
        port=given.port,
        kept=_KEPT,
    )
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    asyncio.run(_serve(fake_upstream))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tilores_core.testing.fake_upstream",
        description="A fake model provider. Prints one line of JSON (base_url, url, key, dialect) when it "
        "listens, and runs until it is stopped.",
    )
    parser.add_argument("--dialect", choices=DIALECTS, default="openai")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--key", default=DEFAULT_KEY, help="the only key it takes")
    parser.add_argument("--latency-ms", type=float, default=0, help="before every answer")
    parser.add_argument("--first-token-ms", type=float, default=0, help="between the headers and the first piece")
    parser.add_argument("--between-ms", type=float, default=0, help="after each piece of a stream")
    parser.add_argument("--text", help="what it always says; without it, it answers by itself")
    parser.add_argument("--status", type=int, default=200, help="answer everything with this error")
    parser.add_argument("--retry-after", type=float, help="seconds, with --status")
    return parser


async def _serve(fake_upstream: FakeUpstream) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with fake_upstream:
        line = {
            "base_url": fake_upstream.base_url,
            "url": fake_upstream.url,
            "key": fake_upstream.key,
            "dialect": fake_upstream.dialect.name,
        }
        sys.stdout.write(orjson.dumps(line).decode() + "\n")
        sys.stdout.flush()
        await ended.wait()


if __name__ == "__main__":
    main()
