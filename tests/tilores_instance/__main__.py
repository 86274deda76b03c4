"""An instance in a process of its own, for benchmarks and whole-product tests.

    python -m tests.tilores_instance --port 0 --crowd 1000 --latency 0.1

The first line on standard output is a JSON object: api_url, token_url, control_url (see control.py), client_id,
client_secret. It ends when it is told to stop, or at the end of its standard input if that is a pipe.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys

from aiohttp import web

from tests.tilores_instance.control import Control
from tests.tilores_instance.instance import HOST, TiloresInstance
from tests.tilores_instance.layouts import LAYOUTS
from tests.tilores_instance.people import PEOPLE, crowd


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.tilores_instance", description="A Tilores instance for tests."
    )
    parser.add_argument("--port", type=int, default=0, help="of the GraphQL endpoint; 0 is a free one")
    parser.add_argument("--token-port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--server-version", default="0.91", help="such as 0.84")
    parser.add_argument("--layout", choices=sorted(LAYOUTS), default="bank")
    parser.add_argument(
        "--crowd", type=int, default=0, metavar="N", help="this many customers more, see people.crowd"
    )
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--expires-in", type=float, default=3600.0, metavar="SECONDS")
    return parser.parse_args()


async def _serve(options: argparse.Namespace) -> None:
    instance = TiloresInstance(
        version=options.server_version,
        layout=LAYOUTS[options.layout],
        people=[*PEOPLE, *crowd(options.crowd)],
        expires_in=options.expires_in,
        port=options.port,
        token_port=options.token_port,
    )
    instance.faults.latency_seconds = options.latency
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    runner = web.ServerRunner(web.Server(Control(instance).answer, access_log=None))
    async with instance:
        await runner.setup()
        await web.TCPSite(runner, HOST, options.control_port).start()
        line = {
            "api_url": instance.api_url,
            "token_url": instance.token_url,
            "control_url": f"http://{HOST}:{runner.addresses[0][1]}",
            "client_id": instance.client_id,
            "client_secret": instance.client_secret,
        }
        print(json.dumps(line), flush=True)
        await _until(stop, loop)
        await runner.cleanup()


async def _until(stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    """Set, or the end of a standard input that is a pipe: whoever started us has gone."""
    with contextlib.suppress(ValueError, OSError, PermissionError):
        loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 4096) else stop.set())
    await stop.wait()
    with contextlib.suppress(ValueError, OSError):
        loop.remove_reader(sys.stdin.fileno())


if __name__ == "__main__":
    asyncio.run(_serve(_options()))
