"""10,000 breaches of 10 alerts in a minute, while Slack first answers 429, then is down, and everything is killed.

    .venv/bin/python -m benchmarks.alerts.bench_storm [--seconds 60] [--breaches 10000]

A process raises the breaches; the real worker process (`tilores worker`) sends them to a stand-in of Slack. For the
first third of the time it answers 429 with Retry-After, for the second it does not listen, then it takes messages. In
the middle both processes are killed with SIGKILL and started again; ten more alerts are raised once, a second before.

It prints its figures and PASS or FAIL: each alert is delivered, none twice within `repeat_minutes`, no minute has
more messages than `max_per_minute`, and during 429 it is asked no more often than Retry-After allows.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RETRY_AFTER = 3
MAX_PER_MINUTE = 10

RAISER = """
import asyncio, sys, time
from pathlib import Path
from tilores_core import Alert
from tilores_core.alerts.queue import AlertQueue
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore

async def main():
    folder, begin, total = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rate, once = float(sys.argv[4]), sys.argv[5]

    def raise_one(kind, title, n):
        sink.raise_alert(
            Alert(kind=kind, severity="LOW", title=f"{title} {n}", source="bench", labels={"n": str(n)})
        )

    sink = AlertQueue(LazyStore(store_address(None, folder)), folder)
    sink.start()
    if once != "no":
        for n in range(10):
            raise_one("bench.once", "once", n)
    started, n = time.monotonic(), begin
    while n < total:
        while n < total and n - begin < (time.monotonic() - started) * rate:
            raise_one("bench.breach", "breach", n % 10)
            n += 1
        print(n, flush=True)
        await asyncio.sleep(0.05)
    await sink.aclose()

asyncio.run(main())
"""


class Slack:
    """A stand-in on one port: `refuses`, closed, or taking messages."""

    def __init__(self) -> None:
        self.port = 0
        self.refuses = True
        self.messages: list[tuple[float, str]] = []
        self.refused: list[float] = []
        self._server: ThreadingHTTPServer | None = None
        self.open()

    def open(self) -> None:
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                self.send_response(429 if slack.refuses else 200)
                if slack.refuses:
                    slack.refused.append(time.monotonic())
                    self.send_header("Retry-After", str(RETRY_AFTER))
                else:
                    slack.messages.append((time.monotonic(), body))
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()


class Raiser:
    def __init__(self, folder: Path, begin: int, total: int, rate: float) -> None:
        self.reached = begin
        self._words = (folder, begin, total, rate)
        self._process = self._start("no")

    def _start(self, once: str) -> subprocess.Popen[str]:
        folder, begin, total, rate = self._words
        command = [sys.executable, "-c", RAISER, str(folder), str(begin), str(total), str(rate), once]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._follow, args=(process,), daemon=True).start()
        return process

    def _follow(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.reached = int(line)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def wait(self) -> None:
        self._process.wait()


def start_worker(folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    tilores = Path(sys.executable).with_name("tilores")
    with (folder / "worker.log").open("ab") as log:
        return subprocess.Popen([tilores, "worker"], cwd=folder, env=environment, stdout=log, stderr=log)


def stored(environment: dict[str, str], folder: Path) -> list[dict[str, Any]]:
    tilores = Path(sys.executable).with_name("tilores")
    done = subprocess.run(
        [tilores, "alerts", "list", "--all", "--json"], cwd=folder, env=environment, capture_output=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--breaches", type=int, default=10_000)
    options = parser.parse_args()
    third, rate = options.seconds / 3, options.breaches / options.seconds
    slack = Slack()
    with tempfile.TemporaryDirectory(prefix="tilores-alerts-") as name:
        folder = Path(name)
        data = folder / "data"
        data.mkdir()
        (folder / "plugins.toml").write_text(
            f'[use]\nalerts = ["slack"]\n[alerts]\ngroup_seconds = 1\nmax_per_minute = {MAX_PER_MINUTE}\n'
            f'[plugins.slack]\nurl = "http://127.0.0.1:{slack.port}"\n'
        )
        environment = {**os.environ, "TILORES_DATA_DIR": str(data)}
        began = time.monotonic()
        worker = start_worker(folder, environment)
        raiser = Raiser(data, 0, options.breaches, rate)
        time.sleep(third)
        slack.close()
        time.sleep(third / 2 - 1)
        once = subprocess.Popen([sys.executable, "-c", RAISER, str(data), "0", "0", "1", "yes"])
        once.wait()  # they are in the store, or in its file
        worker.kill()
        worker.wait()
        raiser.kill()
        killed_at = raiser.reached
        print(f"killed after {time.monotonic() - began:.1f} s and {killed_at} breaches")
        worker = start_worker(folder, environment)
        raiser = Raiser(data, killed_at, options.breaches, rate)
        time.sleep(max(0.0, began + 2 * third - time.monotonic()))
        slack.refuses = False
        slack.open()
        up = time.monotonic()
        try:
            raiser.wait()
            while len(seen := delivered(slack)) < 20 and time.monotonic() - up < 400:
                time.sleep(0.2)
            time.sleep(5)  # anything that comes twice
            report(slack, delivered(slack) or seen, stored(environment, folder), options.breaches, up, third)
        finally:
            worker.kill()
            worker.wait()
            slack.close()


def delivered(slack: Slack) -> dict[str, int]:
    """How many messages name an alert, by its title."""
    found: dict[str, int] = {}
    for _, body in list(slack.messages):
        for title in set(re.findall(r"\*((?:breach|once) \d)\*", body)):
            found[title] = found.get(title, 0) + 1
    return found


def report(
    slack: Slack, seen: dict[str, int], alerts: list[dict[str, Any]], breaches: int, up: float, third: float
) -> None:
    kept = sum(alert["count"] for alert in alerts if alert["kind"] == "bench.breach")
    times = [at for at, _ in slack.messages]
    busiest = max(sum(1 for other in times if at <= other < at + 60) for at in times) if times else 0
    gaps = [later - earlier for earlier, later in zip(slack.refused, slack.refused[1:], strict=False)]
    print(f"alerts delivered: {len(seen)} of 20; most messages about one: {max(seen.values(), default=0)}")
    print(f"messages: {len(times)}; most in one minute: {busiest} (limit {MAX_PER_MINUTE})")
    last = max((at for at in times), default=up) - up
    print(f"delivered {last:.1f} s after Slack was back")
    print(f"requests answered with 429: {len(slack.refused)}; shortest pause: {min(gaps, default=0):.2f} s")
    print(f"breaches raised: {breaches}; counted in the store: {kept}; lost by the kill: {breaches - kept}")
    good = (
        len(seen) == 20
        and max(seen.values()) == 1
        and busiest <= MAX_PER_MINUTE
        and all(gap >= RETRY_AFTER * 0.99 for gap in gaps)
        and len(slack.refused) <= third / RETRY_AFTER + 2
        and breaches - kept <= breaches * 0.02
    )
    print("PASS" if good else "FAIL")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
