"""Processes that use a store and are killed while they do, or start together.

    python store_child.py kill ROUNDS SEED DATABASE_URL    what was committed is printed, an id a line
    python store_child.py open REPLICAS SEED DATABASE_URL  all of them open it at once

This one imports everything once and forks: a fork is quick enough to be killed often.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

import alembic.command  # noqa: F401 - once, for all that are forked

from tilores_core.store.address import Address, store_address
from tilores_core.store.store import Store

WRITERS = 4


async def write(address: Address, name: str, begun: int) -> None:
    """`begun`: a pipe that gets a byte for each job that was announced."""
    store = await Store.open(address)

    async def one(writer: int) -> None:
        for number in range(100_000):
            job_id = f"{name}-{writer}-{number}"
            await store.jobs.create(job_id, owner="child", options={"text": "x" * random.randrange(4000)})
            os.write(1, f"{job_id}\n".encode())
            os.write(begun, b".")

    await asyncio.gather(*(one(writer) for writer in range(WRITERS)))


async def only_open(address: Address) -> None:
    await (await Store.open(address)).aclose()


def fork(work: object) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            asyncio.run(work)  # type: ignore[arg-type]
            code = 0
        finally:
            os._exit(code)
    return pid


def main() -> None:
    what, count, seed, url = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    address, chance = store_address(url, Path()), random.Random(seed)
    if what == "open":
        pids = [fork(only_open(address)) for _ in range(count)]
        ends = [os.waitpid(pid, 0)[1] for pid in pids]
        sys.exit(any(ends))
    announced, begun = os.pipe()
    for number in range(count):
        # The first ones die while they connect and migrate, the others while they write.
        longest = 0.15 if number < count // 2 else 0.6
        pid = fork(write(address, f"r{number}", begun))
        if number == count - 1:
            os.read(announced, 1)  # however slow the machine is, one has written when it dies
        time.sleep(chance.uniform(0.0, longest))  # the kill comes at any moment
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
