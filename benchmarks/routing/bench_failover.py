"""What a caller pays while the default model answers 500 to everything: another one stands in, over real HTTP.

    python -m benchmarks.routing.bench_failover [--requests 1000] [--latency-ms 0] [--streamed]

Three servers, one process each, asked in turns: `alone` has the healthy model only, `healthy` the same as the
fallback of a default that is well, `failing` the same as that of a default that is down. Both models are fakes in
processes of their own, asked through the real SDK. Printed are the medians of each, what `failing` adds to the two
others from the moment its breaker has opened, what requests took before that, and how many failed: none may.
Needs the extra `openai` and taskset; all on this machine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

WANTED_MS = 5.0
PATIENCE = 30.0
REPORT_KEPT = 1.1  # seconds, just over what /health/detailed keeps its report for
ANSWER = "Her balance is 40 dollars. It is due in May."
TOML = """
[use]
cache = ["memory"]
source = "demo"
model = "openai-compatible:{default}/bench"
fallbacks = [{fallbacks}]

[plugins.openai-compatible.instances.down]
base_url = "{down}"
api_key = {{ env = "BENCH_KEY" }}

[plugins.openai-compatible.instances.well]
base_url = "{well}"
api_key = {{ env = "BENCH_KEY" }}

[plugins.openai-compatible.instances.other]
base_url = "{well}"
api_key = {{ env = "BENCH_KEY" }}
"""


@contextmanager
def fake_upstream(core: int, *arguments: str) -> Iterator[dict[str, str]]:
    """A fake upstream provider; what it prints of itself."""
    command = [*pinned(core), sys.executable, "-m", "tilores_core.testing.fake_upstream", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


@contextmanager
def server(core: int, toml: str, key: str) -> Iterator[int]:
    """A server; its port."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        (Path(folder) / "plugins.toml").write_text(toml)
        variables = {**os.environ, "BENCH_KEY": key, "TILORES_DATA_DIR": folder, "TILORES_LOG_LEVEL": "error"}
        variables["TILORES_ADMIN_KEYS"] = "bench:bench-admin"
        command = [*pinned(core), str(Path(sys.executable).parent / "tilores"), "serve", "--port", str(port)]
        with subprocess.Popen(command, cwd=folder, env=variables) as process:
            try:
                wait_for(port)
                yield port
            finally:
                process.terminate()


def pinned(core: int) -> list[str]:
    return ["taskset", "-c", str(core % (os.cpu_count() or 1))] if shutil.which("taskset") else []


def wait_for(port: int) -> None:
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        try:
            if get(port, "/health/ready")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit("a server did not start")


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers={"Authorization": "Bearer bench-admin"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


class Client:
    """One kept connection, as a caller's SDK has it."""

    def __init__(self, port: int, model: str, streamed: bool) -> None:
        self._port = port
        self._model = model
        self._streamed = streamed
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.milliseconds: list[float] = []
        self.failed = 0
        self.wrong = ""

    def ask(self, number: int) -> None:
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": f"What is there to say about item {number:05d}?"}],
            "stream": self._streamed,
            "metadata": {"no_cache": "true"},
        }
        started = time.perf_counter()
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        reply = self._connection.getresponse()
        said = reply.read()
        self.milliseconds.append((time.perf_counter() - started) * 1000)
        if reply.status != 200 or self._text(said) != ANSWER:
            self.failed += 1
            self.wrong = said[:500].decode(errors="replace")

    def _text(self, said: bytes) -> str:
        if not self._streamed:
            return str(json.loads(said)["choices"][0]["message"]["content"])
        text = ""
        for line in said.decode().split("\n"):
            if line.startswith("data: {"):
                chunk: dict[str, Any] = json.loads(line.removeprefix("data: "))
                text += "".join(choice["delta"].get("content") or "" for choice in chunk.get("choices", ()))
        return text

    def breakers(self) -> dict[str, Any]:
        health = json.loads(get(self._port, "/health/detailed")[1])
        return dict(health["parts"]["model"]["detail"]["asked"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--latency-ms", type=float, default=0.0, help="of the healthy model")
    parser.add_argument("--streamed", action="store_true")
    given = parser.parse_args()
    with ExitStack() as stack:
        enter = stack.enter_context
        well = enter(
            fake_upstream(
                1, "--dialect", "openai-compatible", "--latency-ms", str(given.latency_ms), "--text", ANSWER
            )
        )
        down = enter(fake_upstream(1, "--dialect", "openai-compatible", "--status", "500"))
        clients: dict[str, Client] = {}
        for name, default, fallback in (
            ("alone", "well", ""),
            ("healthy", "other", "well"),
            ("failing", "down", "well"),
        ):
            toml = TOML.format(
                default=default,
                fallbacks=f'"openai-compatible:{fallback}/bench"' if fallback else "",
                down=down["base_url"],
                well=well["base_url"],
            )
            port = enter(server(0, toml, well["key"]))
            clients[name] = Client(port, f"openai-compatible:{default}/bench", given.streamed)
        opened_at = measure(clients, given.requests)
    report(clients, opened_at)


def measure(clients: dict[str, Client], requests: int) -> int:
    """After how many requests the breaker was open."""
    opened_at = 0
    for number in range(requests):
        for client in clients.values():
            client.ask(number)
        if not opened_at:
            time.sleep(REPORT_KEPT)
            if any(known["opened"] for known in clients["failing"].breakers().values()):
                opened_at = number + 1
    return opened_at


def report(clients: dict[str, Client], opened_at: int) -> None:
    medians = {}
    for name, client in clients.items():
        times = client.milliseconds[opened_at:]
        medians[name] = statistics.median(times)
        ninety_five = statistics.quantiles(times, n=20)[18]
        print(
            f"{name:8} {len(client.milliseconds)} requests, {client.failed} failed; "
            f"median {medians[name]:.2f} ms, p95 {ninety_five:.2f} ms, slowest {max(times):.2f} ms"
        )
    before = ", ".join(f"{value:.1f}" for value in clients["failing"].milliseconds[:opened_at])
    print(f"breaker open after {opened_at} requests, which took {before} ms")
    for other in ("alone", "healthy"):
        print(f"median added by the failing default, beside {other}: {medians['failing'] - medians[other]:+.2f} ms")
    if any(client.failed for client in clients.values()):
        raise SystemExit(f"requests failed: {next(client.wrong for client in clients.values() if client.failed)}")
    if medians["failing"] - medians["alone"] >= WANTED_MS:
        raise SystemExit(f"more than {WANTED_MS:g} ms were added")


if __name__ == "__main__":
    main()
