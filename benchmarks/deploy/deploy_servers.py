"""Servers of this project as processes, and load on them; for the benchmarks of this folder."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.servers import free_port

KEY = "bench-secret-of-no-value"
HEADERS = {"Authorization": f"Bearer {KEY}"}
TILORES = (sys.executable, "-c", "from tilores_core.cli import main; main()")
"""Not the script, whose code is that of the environment, whatever PYTHONPATH says."""
_END_SECONDS = 60.0


@dataclass
class Server:
    """`ready` is kept up to date by `check`, which someone has to call. `took`: seconds to end and to be ready."""

    folder: Path
    name: str
    env: dict[str, str]
    options: tuple[str, ...] = ("--no-worker",)
    port: int = 0
    ready: bool = False
    process: subprocess.Popen[bytes] | None = None
    took: list[tuple[float, float]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def launch(self) -> subprocess.Popen[bytes]:
        self.port = self.port or free_port()
        command = [*TILORES, "serve", "--port", str(self.port), *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=log, stderr=log)
        return self.process

    async def start(self, http: aiohttp.ClientSession) -> None:
        """Launch it, and wait until it is ready."""
        process = self.launch()
        while not await self.check(http):
            if process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {self.log.read_text()[-2000:]}")
            await asyncio.sleep(0.05)

    async def check(self, http: aiohttp.ClientSession) -> bool:
        try:
            async with http.get(f"{self.url}/health/ready", timeout=aiohttp.ClientTimeout(2)) as reply:
                self.ready = reply.status == 200
        except TimeoutError:
            pass  # busy, which says nothing about what it takes
        except aiohttp.ClientError:
            self.ready = False
        return self.ready

    async def restart(self) -> None:
        """SIGTERM, wait for the end, launch it again, wait until someone finds it ready."""
        begun = time.perf_counter()
        await asyncio.to_thread(self.stop)
        ended = time.perf_counter()
        self.launch()
        while not self.ready:
            await asyncio.sleep(0.05)
        self.took.append((ended - begun, time.perf_counter() - ended))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(_END_SECONDS)


def environment(folder: Path, **more: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("TILORES_")}
    return env | {
        "TILORES_API_KEYS": f"bench:{KEY}",
        "TILORES_ADMIN_KEYS": f"ops:{KEY}",
        "TILORES_DATA_DIR": str(folder / "data"),
        **more,
    }


async def ask(http: aiohttp.ClientSession, url: str, number: int, seen: Counter[str], name: str = "") -> None:
    """One question; every fourth is streamed, every tenth asks the model again. What came is counted."""
    streamed, fresh = number % 4 == 0, number % 10 == 0
    body = {
        "model": "demo:simulated-1",
        "messages": [{"role": "user", "content": f"What is the credit score of EDW_HAWTHORNE_001? ({number % 50})"}],
        "stream": streamed,
    }
    headers = HEADERS | ({"Cache-Control": "no-cache"} if fresh else {})
    kind = f"{name} {'streamed' if streamed else 'whole'}".strip()
    try:
        async with http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as reply:
            data = await reply.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        seen[f"failed {kind}: {type(error).__name__}"] += 1
        return
    if reply.status != 200:
        crowded = b"too many requests at once" in data  # the machine is too slow for this rate
        seen[f"failed {kind}: {reply.status}{', too many at once' if crowded else ''}"] += 1
    elif streamed and not data.rstrip().endswith(b"[DONE]"):
        seen[f"failed {kind}: cut"] += 1
    elif not streamed and not json.loads(data)["choices"][0]["message"]["content"]:
        seen[f"failed {kind}: empty"] += 1
    else:
        seen[f"answered {kind}"] += 1


async def load(
    http: aiohttp.ClientSession, url: str, rate: float, seconds: float, seen: Counter[str], name: str = ""
) -> None:
    """Questions at a fixed rate, whatever the answers do."""
    tasks, begun = [], time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(ask(http, url, number, seen, name)))
    await asyncio.gather(*tasks)
