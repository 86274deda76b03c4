"""A regression injected on live traffic, healed without a person: a running server with a worker, HTTP, two ways.

    python -m benchmarks.improve.bench_healing [--seconds 110] [--at-once 8] [--only provider | prompt]

1. provider: the default model is behind a real server that speaks OpenAI's protocol. It answers as
   `demo:simulated-1`; then, behind the same name and with another `system_fingerprint`, it answers questions of one
   spectrum as `demo:simulated-units`, which confuses units. It must be failed over to the fallback.
2. prompt: a version without the guidance for one spectrum is put into production. It must be rolled back.

Printed: seconds and requests until the alert, until healing acted, until callers are answered well again, and until
that was verified. Exit code 1 when one of the two is not healed within `--seconds`, or a request fails.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from langchain_core.messages import HumanMessage, SystemMessage

from benchmarks.servers import free_port, wait_until_ready
from tilores_core.chat.prompts import BUILTIN_PARTS
from tilores_plugins.providers.demo.model import SimulatedChatModel
from tilores_plugins.providers.demo.reading import read_prompt
from tilores_plugins.sources.demo.source import DemoSource

KEY = "bench-secret-of-no-value"
HEADERS = {"Authorization": f"Bearer {KEY}"}
NO_CACHE = {**HEADERS, "Cache-Control": "no-cache"}
CUSTOMERS = tuple(asyncio.run(DemoSource().customer_ids(limit=21))[1:])
SPECTRUM = "credit_analysis"
WORSE_FIELD = "credit utilization"
FIELDS = (WORSE_FIELD, "account balance", "city", "occupation", "employer", "postcode")
GUIDANCE = "Copy each figure with its unit and never convert it."
BEFORE_REQUESTS = 1_500
TOML = """schema = 1
[use]
cache = ["memory"]
source = "demo"
model = "{model}"
fallbacks = ["demo:simulated-1"]
[quality]
live_cpu_percent = 50
[plugins.openai-compatible.instances.gate]
base_url = "http://127.0.0.1:{port}/v1"
"""


class Upstream:
    """A server that speaks OpenAI's protocol; `worse`: whether what is behind its name was changed."""

    def __init__(self) -> None:
        self.worse = False
        self.port = 0

    async def __aenter__(self) -> Upstream:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        texts = [(one["role"], one["content"]) for one in body["messages"]]
        worse = self.worse and WORSE_FIELD in texts[-1][1]
        model = SimulatedChatModel(read=read_prompt, model="simulated-units" if worse else "simulated-1")
        messages = [SystemMessage(text) if role == "system" else HumanMessage(text) for role, text in texts]
        said = await model.ainvoke(messages)
        return web.json_response(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": "a-model",
                "system_fingerprint": "fp_2" if self.worse else "fp_1",
                "choices": [
                    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said.text}}
                ],
                "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20},
            }
        )


class Bench:
    """Callers, and what they met. `bad`: whether an answer of the spectrum comes from what was made worse."""

    def __init__(self, http: aiohttp.ClientSession, url: str, model: str, at_once: int) -> None:
        self.http, self.url, self.model, self.at_once = http, url, model, at_once
        self.number = itertools.count()
        self.failed = self.sent = 0
        self.answers: list[tuple[float, int, str, str]] = []

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        async with self.http.request(method, f"{self.url}/admin/{path}", json=body, headers=HEADERS) as reply:
            if reply.status >= 400:
                raise RuntimeError(f"{path}: {reply.status} {(await reply.text())[:500]}")
            return await reply.json()

    async def ask(self) -> None:
        number = next(self.number)
        field = FIELDS[number % len(FIELDS)]
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": f"What is the {field}?"}],
            "metadata": {
                "session_id": f"session-{number}",
                "customer_id": CUSTOMERS[number // len(FIELDS) % len(CUSTOMERS)],
            },
        }
        self.sent += 1
        sent = self.sent
        try:
            async with self.http.post(f"{self.url}/v1/chat/completions", json=body, headers=NO_CACHE) as reply:
                data = await reply.json()
        except (aiohttp.ClientError, TimeoutError):
            self.failed += 1
            return
        if reply.status != 200:
            self.failed += 1
            if self.failed == 1:
                print(f"a request failed: {reply.status} {data}")
            return
        if field == WORSE_FIELD:
            version = data.get("tilores", {}).get("prompt_version", "")
            self.answers.append((time.time(), sent, data["model"], version))

    async def load(self, until: asyncio.Event) -> None:
        async def caller() -> None:
            while not until.is_set():
                await self.ask()

        await asyncio.gather(*(caller() for _ in range(self.at_once)))

    async def heal(self, inject: Any, most_seconds: float) -> tuple[bool, dict[str, Any], float, int]:
        """Traffic, the regression, and traffic until an episode has ended (or the monitor has rolled back)."""
        over = asyncio.Event()
        loading = asyncio.create_task(self.load(over))
        while self.sent < BEFORE_REQUESTS and not self.failed:
            await asyncio.sleep(0.1)
        await asyncio.sleep(21)  # what was seen before is in the store
        await inject()
        began, sent = time.time(), self.sent
        print(f"  injected after {sent} requests", file=sys.stderr)
        seen: dict[str, Any] = {}
        while time.time() - began < most_seconds and "verified" not in seen:
            await asyncio.sleep(0.5)
            await self._look(seen, began, sent)
            back = seen.get("rolled back")
            if back is not None and "acted" not in seen and time.time() - began - back[0] > 10:
                break  # the release's monitor was faster than healing
        over.set()
        await loading
        return "verified" in seen, seen, began, sent

    async def _look(self, seen: dict[str, Any], began: float, sent: int) -> None:
        def note(what: str, about: str) -> None:
            if what not in seen:
                seen[what] = (time.time() - began, self.sent - sent, about)
                print(f"  {what}: {about}", file=sys.stderr)

        for alert in (await self.admin("GET", "alerts?all=true"))["alerts"]:
            if alert["kind"] in ("quality.floor", "quality.degradation") and alert["spectrum"] == SPECTRUM:
                note("alerted", alert["title"])
            if alert["kind"] == "prompt.regression":
                note("rolled back", alert["title"])
        for episode in (await self.admin("GET", "improvement/episodes"))["episodes"]:
            if episode["diagnosis"] not in ("provider changed", "prompt regressed") or episode["action"] == "report":
                continue
            if episode["done"]:
                note("acted", f"{episode['diagnosis']}: {episode['done']}")
            if episode["state"] != "verifying":
                note("verified" if episode["state"] == "healed" else "not healed", f"{episode['result']}")


class Server:
    def __init__(self, model: str, upstream: int, more: str = "", workers: int = 1) -> None:
        self.folder, self.port = Path(tempfile.mkdtemp(prefix="tilores-bench-")), free_port()
        (self.folder / "plugins.toml").write_text(TOML.format(model=model, port=upstream) + more)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("TILORES_")}
        self.env |= {"TILORES_API_KEYS": f"bench:{KEY}", "TILORES_ADMIN_KEYS": f"ops:{KEY}"}
        self.env |= {"TILORES_DATA_DIR": str(self.folder / "data"), "TILORES_LOG_LEVEL": "error"}
        command = [str(Path(sys.executable).with_name("tilores")), "serve", "--port", str(self.port)]
        command += ["--workers", str(workers)]
        self._log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=self._log, stderr=self._log)
        self.url, self.model = f"http://127.0.0.1:{self.port}", model

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self._log.close()
        if said := (self.folder / "log").read_text():
            print(f"the server's log: {said[-2000:]}")
        shutil.rmtree(self.folder, ignore_errors=True)


def report(name: str, bench: Bench, healed: bool, seen: dict[str, Any], began: float, sent: int, bad: Any) -> bool:
    met = [one for one in bench.answers if one[0] > began and bad(one)]
    after = [one for one in bench.answers if one[0] > began]
    print(f"{name}: {'healed' if healed else 'NOT healed'}; {bench.sent} requests, {bench.failed} failed")
    for what, (seconds, requests, about) in seen.items():
        print(f"  {what:<12} after {seconds:5.1f} s and {requests:5d} requests: {about}")
    if met:
        print(
            f"  recovered    after {met[-1][0] - began:5.1f} s and {met[-1][1] - sent:5d} requests: "
            f"{len(met)} of {len(after)} answers of {SPECTRUM} were from what was made worse"
        )
    return healed and not bench.failed


async def provider(given: argparse.Namespace) -> bool:
    async with Upstream() as upstream:
        server = Server("openai-compatible:gate/a-model", upstream.port)
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
                await wait_until_ready(http, server.url)
                bench = Bench(http, server.url, server.model, given.at_once)

                async def inject() -> None:
                    upstream.worse = True

                healed, seen, began, sent = await bench.heal(inject, given.seconds)
                return report(
                    "provider", bench, healed, seen, began, sent, lambda one: one[2].startswith("openai-compatible")
                )
        finally:
            server.close()


async def prompt(given: argparse.Namespace) -> bool:
    server = Server("demo:simulated-units", 1)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
            await wait_until_ready(http, server.url)
            bench = Bench(http, server.url, server.model, given.at_once)
            numbers = []
            for parts in ({f"guidance.{SPECTRUM}": GUIDANCE}, {"role": BUILTIN_PARTS["role"] + " Be friendly."}):
                body = {"parts": parts, "reason": "bench", "parent": 1}
                numbers.append((await bench.admin("POST", "prompts", body))["version"])
            good, poor = numbers

            async def deploy(number: int) -> None:
                body = {"version": number, "reason": "bench", "skip_evaluation": True}
                await bench.admin("POST", "prompts/deploy", body)

            await deploy(good)
            healed, seen, began, sent = await bench.heal(lambda: deploy(poor), given.seconds)
            healed = healed or "rolled back" in seen
            production = (await bench.admin("GET", "prompts"))["labels"]["production"]
            print(f"in production: version {production} ({'the good one' if production == good else 'the poor one'})")
            bad = report(
                "prompt", bench, healed, seen, began, sent, lambda one: one[3].partition("-")[0] == str(poor)
            )
            return bad and production == good
    finally:
        server.close()


async def run(given: argparse.Namespace) -> bool:
    results = [await {"provider": provider, "prompt": prompt}[name](given) for name in given.only]
    return all(results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=110, help="most seconds of each, from the injection on")
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--only", nargs="+", default=["provider", "prompt"], choices=["provider", "prompt"])
    passed = asyncio.run(run(parser.parse_args()))
    print("pass" if passed else "FAIL")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
