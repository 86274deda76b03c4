"""What the provider `openai` adds where nothing is warm, and to the first token of a stream.

    python -m benchmarks.providers.bench_first [--rounds 3] [--streams 200]

Servers with the demo model and with `openai` over `benchmarks/http/stub.py` start in turn: seconds from the start to
the first answer, memory (RSS of the process tree) a second later. Then streams, one at a time: milliseconds to the
first piece of text through the server, beside the same from the stub itself: with all pieces at once, and with a word
every 20 ms and a fallback that could go on. Every question is new. Printed are medians; it ends with an error where a
figure is not as wanted (memory: the demo's + 15 MB; start: 1.2 x the demo's; first token: 2 ms over the upstream's).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psutil

from benchmarks.servers import free_port

TILORES = str(Path(sysconfig.get_path("scripts")) / "tilores")
STUB = Path(__file__).parents[1] / "http" / "stub.py"
KEY = "benchmark-key-0123456789abcdef"
TOML = '[use]\ncache = ["memory"]\nsource = "demo"\nmodel = "{model}"\nfallbacks = ["demo:simulated-1"]\n'
GAPS_MS = (0, 20)
MODELS = {"demo": "demo:simulated-1", "openai": "openai:stub-model"}
MOST_MB, MOST_START, MOST_FIRST_MS = 15.0, 1.2, 2.0
NUMBERS = count()


def body(model: str, *, stream: bool) -> str:
    said = f"Question {next(NUMBERS)}: which opening hours are there?"
    return json.dumps({"model": model, "messages": [{"role": "user", "content": said}], "stream": stream})


def answered(port: int, model: str) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", "/v1/chat/completions", body(model, stream=False), headers())
        reply = connection.getresponse()
        reply.read()
        connection.close()
    except OSError:
        return False
    return reply.status == 200


def headers() -> dict[str, str]:
    return {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}


@contextmanager
def stub() -> Iterator[int]:
    port = free_port()
    with subprocess.Popen([sys.executable, str(STUB), str(port)]) as process:
        try:
            while not answered(port, "stub-model"):
                time.sleep(0.02)
            yield port
        finally:
            process.terminate()


@contextmanager
def server(name: str, upstream: int) -> Iterator[tuple[int, float, float]]:
    """Its port, seconds from the start to the first answer, and its memory in MB a second later."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "plugins.toml").write_text(TOML.format(model=MODELS[name]))
        given = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream}/v1"}
        given |= {"TILORES_API_KEYS": f"bench:{KEY}", "TILORES_DATA_DIR": folder, "TILORES_LOG_LEVEL": "error"}
        command = [TILORES, "serve", "--port", str(port), "--no-worker"]
        started = time.perf_counter()
        log = subprocess.DEVNULL
        with subprocess.Popen(command, cwd=folder, env={**os.environ, **given}, stderr=log, stdout=log) as process:
            try:
                while not answered(port, MODELS[name]):
                    if process.poll() is not None:
                        raise SystemExit(f"the server with {name} ended at once")
                    time.sleep(0.005)
                seconds = time.perf_counter() - started
                time.sleep(1)
                tree = psutil.Process(process.pid)
                memory = sum(one.memory_info().rss for one in (tree, *tree.children(recursive=True)))
                yield port, seconds, memory / 1e6
            finally:
                process.terminate()


def first_piece_ms(connection: http.client.HTTPConnection, model: str) -> float:
    asked = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", body(model, stream=True), headers())
    reply = connection.getresponse()
    first = 0.0
    while line := reply.readline():
        if not first and b'"content":' in line.replace(b" ", b"") and b'"content":""' not in line.replace(b" ", b""):
            first = (time.perf_counter() - asked) * 1000
    reply.read()
    if not first:
        raise SystemExit(f"no text in a stream of {model}")
    return first


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, default=200)
    given = parser.parse_args()
    starts: dict[str, list[float]] = {name: [] for name in MODELS}
    memory: dict[str, list[float]] = {name: [] for name in MODELS}
    ours: dict[int, list[float]] = {gap: [] for gap in GAPS_MS}
    own: dict[int, list[float]] = {gap: [] for gap in GAPS_MS}
    with stub() as upstream:
        for _ in range(given.rounds):
            for name in MODELS:
                with server(name, upstream) as (port, seconds, megabytes):
                    starts[name].append(seconds)
                    memory[name].append(megabytes)
                    if name == "openai":
                        through = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                        direct = http.client.HTTPConnection("127.0.0.1", upstream, timeout=30)
                        for gap in sorted(GAPS_MS, reverse=True):  # 0 last, for the start of the next round
                            direct.request("GET", f"/set?gap_ms={gap}")
                            direct.getresponse().read()
                            for _ in range(given.streams // (10 if gap else 1)):
                                # In turn, so that a slow moment hits both.
                                ours[gap].append(first_piece_ms(through, MODELS[name]))
                                own[gap].append(first_piece_ms(direct, "stub-model"))
    start = {name: statistics.median(values) for name, values in starts.items()}
    used = {name: statistics.median(values) for name, values in memory.items()}
    added = {gap: statistics.median(ours[gap]) - statistics.median(own[gap]) for gap in GAPS_MS}
    rows = (
        ("memory idle, MB", used["demo"], used["openai"], used["openai"] <= used["demo"] + MOST_MB),
        ("start to first answer, s", start["demo"], start["openai"], start["openai"] <= start["demo"] * MOST_START),
    )
    for what, demo, openai, good in rows:
        print(f"{what:28} demo {demo:7.2f}  openai {openai:7.2f}  {'as wanted' if good else 'WRONG'}")
    for gap in GAPS_MS:
        name = f"first token, {gap} ms apart, ms"
        print(
            f"{name:28} upstream {statistics.median(own[gap]):.2f}  through the server "
            f"{statistics.median(ours[gap]):.2f}  added {added[gap]:.2f}  "
            f"{'as wanted' if added[gap] < MOST_FIRST_MS else 'WRONG'}"
        )
    if max(added.values()) >= MOST_FIRST_MS or not all(row[3] for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
