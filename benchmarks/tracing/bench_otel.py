"""What tracing by OTLP costs: a whole server at full load and at 500 requests a second, the CPU of making messages.

    python -m benchmarks.tracing.bench_otel [--rounds 3] [--seconds 4]

Full load: one worker on one core, wrk and the collector on another; cached requests, and requests that all miss, with
the sampling that is the default (one cached answer in a hundred, each miss). Rows: tracing off, a collector that
answers, one that hangs. Rounds are interleaved; a ratio is the median of the rounds' ratios to tracing off. Beside
each stands what was sent and what was dropped, all rounds together.

Steady: 500 cached requests a second, every one traced, the collector answering: median and p99 as the client sees
them.

Needs wrk, taskset, the extra otel, and for the SDK's way of making messages opentelemetry-exporter-otlp-proto-http.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.servers import free_port

HERE = Path(__file__).resolve().parent
LOAD = HERE.parent / "http" / "load.lua"
BODY = {
    "input": {"messages": [{"type": "human", "content": "What is the credit score? Reference @@."}]},
    "config": {"configurable": {"customer_id": "EDW_HAWTHORNE_001"}},
}
CONNECTIONS = 16
STEADY = 500  # requests a second


@dataclass
class Row:
    """A server: is it traced, and what does the collector do?"""

    traced: bool = True
    hangs: bool = False
    results: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    lost: dict[str, list[dict[str, int]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"OTLP, the collector {'hangs' if self.hangs else 'answers'}" if self.traced else "tracing off"


def get(url: str) -> Any:
    request = urllib.request.Request(url, headers={"Authorization": "Bearer bench-admin"})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.loads(reply.read())


@contextmanager
def running(command: list[str], port: int, core: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["taskset", "-c", core, *command], **options)
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(f"it did not start: {' '.join(command)}") from None
                time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def served(row: Row, folder: Path, tracing: str = "") -> Iterator[tuple[str, str]]:
    """A server of ours and a collector: their addresses."""
    port, sink = free_port(), free_port()
    tracers = 'tracers = ["otel"]' if row.traced else "tracers = []"
    (folder / "plugins.toml").write_text(
        f'schema = 1\n[use]\ncache = ["memory"]\nsource = "demo"\nmodel = "demo:simulated-1"\n{tracers}\n'
        f"[tracing]\n{tracing}\n"
    )
    env = {
        name: text for name, text in os.environ.items() if not name.startswith(("OTEL_", "LANGSMITH_", "TILORES_"))
    }
    env |= {
        "TILORES_DATA_DIR": str(folder / "data"),
        "TILORES_ADMIN_KEYS": "bench:bench-admin",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink}",
    }
    collector = [sys.executable, str(HERE / "collector.py"), str(sink), *(["hang"] if row.hangs else [])]
    serve = [str(Path(sys.executable).with_name("tilores")), "serve", "--port", str(port)]
    with (
        (folder / "log").open("wb") as log,
        running(collector, sink, "1"),
        running(serve, port, "0", cwd=folder, env=env, stdout=log, stderr=log),
    ):
        yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sink}"


def counted(server: str, row: Row) -> dict[str, int]:
    """What was sent and lost since the server started; `waiting`: what is not yet either."""
    if not row.traced:
        return {"sent": 0, "dropped": 0, "waiting": 0}
    report = get(f"{server}/health/detailed")["parts"]["tracer/otel"]["detail"]
    return {key: report[key] for key in ("sent", "dropped", "waiting")}


def load(row: Row, kind: str, seconds: int, number: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body.json").write_text(json.dumps(BODY))
        with served(row, folder) as (server, _):
            env = {**os.environ, "BODY_FILE": str(folder / "body.json"), "UNIQUE": "1" if kind == "misses" else "0"}
            base = ["taskset", "-c", "1", "wrk", "-t", "1", "-c", str(CONNECTIONS), "-s", str(LOAD)]
            for length, seed in ((1, "w"), (seconds, "m")):
                out = subprocess.run(
                    [*base, "-d", f"{length}s", f"{server}/chat/invoke"],
                    env={**env, "SEED": seed + chr(97 + number)},
                    capture_output=True,
                    text=True,
                )
            line = next(line for line in out.stdout.splitlines() if line.startswith("RESULT "))
            result = json.loads(line.removeprefix("RESULT "))
            if result["bad"]:
                raise SystemExit(f"{row.name}: {result['bad']} bad replies")
            time.sleep(1.5)
            row.results.setdefault(kind, []).append(result)
            row.lost.setdefault(kind, []).append(counted(server, row))


def report_load(rows: list[Row], kinds: list[str]) -> None:
    off = rows[0]
    for kind in kinds:
        print(f"\n{kind}, {CONNECTIONS} connections\n")
        print("| row | requests/s | to off | p50 / p99 ms | traces sent | dropped | still waiting |")
        print("|---|--:|--:|--:|--:|--:|--:|")
        for row in rows:
            found, lost = row.results[kind], row.lost[kind]
            ratio = statistics.median(
                mine["rps"] / base["rps"] for mine, base in zip(found, off.results[kind], strict=True)
            )
            middle = {what: statistics.median(one[what] for one in found) for what in ("rps", "p50_ms", "p99_ms")}
            sums = {what: sum(one[what] for one in lost) for what in ("sent", "dropped", "waiting")}
            speed = f"{middle['rps']:,.0f} | {ratio:.2f} | {middle['p50_ms']:.2f} / {middle['p99_ms']:.2f}"
            print(f"| {row.name} | {speed} | {sums['sent']:,} | {sums['dropped']:,} | {sums['waiting']:,} |")


# --- steady ---------------------------------------------------------------------------------------------------


async def steadily(url: str, seconds: int) -> list[float]:
    """Latencies in milliseconds of requests that begin every 1/STEADY s, whether or not the others have ended."""
    port = int(url.rsplit(":", 1)[1])
    body = json.dumps(BODY).replace("@@", "a").encode()
    request = (
        f"POST /chat/invoke HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    took: list[float] = []

    async def ask() -> None:
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"a bad reply: {head[:40]!r}")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
        await reader.readexactly(int(length.split(b": ")[1]))
        took.append((time.perf_counter() - began) * 1000)
        idle.append((reader, writer))

    await ask()
    took.clear()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(seconds * STEADY):
            await asyncio.sleep(max(0.0, began + number / STEADY - time.perf_counter()))
            group.create_task(ask())
    for _, writer in idle:
        writer.close()
    return took


def steady(rows: list[Row], rounds: int, seconds: int) -> None:
    os.sched_setaffinity(0, {1})
    found: dict[str, list[tuple[float, float, dict[str, int]]]] = {}
    for _ in range(rounds):
        for row in rows:
            with (
                tempfile.TemporaryDirectory() as name,
                served(row, Path(name), tracing="sample_hits = 1.0") as (server, collector),
            ):
                took = sorted(asyncio.run(steadily(server, seconds)))
                time.sleep(1.5)
                cuts = took[len(took) // 2], took[len(took) * 99 // 100]
                counts = {**counted(server, row), "arrived": get(f"{collector}/taken")}
                found.setdefault(row.name, []).append((*cuts, counts))
    print(f"\n{STEADY} cached requests a second, each one traced\n")
    print("| row | p50 ms | p99 ms | requests | traces that arrived | dropped |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, results in found.items():
        p50, p99 = (statistics.median(column) for column in zip(*((one[0], one[1]) for one in results), strict=True))
        arrived, dropped = (sum(one[2][what] for one in results) for what in ("arrived", "dropped"))
        asked = rounds * (seconds * STEADY + 1)
        print(f"| {name} | {p50:.2f} | {p99:.2f} | {asked:,} | {arrived:,} | {dropped:,} |")


# --- encoding -------------------------------------------------------------------------------------------------


def encoding() -> None:
    """Microseconds of CPU per trace of seven spans, as OTLP messages: ours, and through the SDK's spans."""
    from tilores_core.testing.tracers import sample_trace
    from tilores_plugins.tracing.otel.encode import Request, spans_of
    from tilores_plugins.tracing.otel.ids import origin_of

    traces = [sample_trace() for _ in range(500)]

    def ours() -> int:
        request = Request(())
        for trace in traces:
            spans = spans_of(trace, origin_of(trace.id, None))
            request.add(spans, spans.ByteSize())
        return len(request.body())

    ways = {"straight from the trace": ours, "through the SDK's spans and its encoder": _sdk_way(traces)}
    print("\nOTLP messages\n\n| way | us of CPU per trace | bytes per trace |\n|---|--:|--:|")
    for name, way in ways.items():
        took = []
        for _ in range(5):
            began = time.process_time()
            size = way()
            took.append((time.process_time() - began) / len(traces) * 1e6)
        print(f"| {name} | {statistics.median(took):.0f} | {size // len(traces):,} |")


def _sdk_way(traces: list[Any]) -> Any:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    from tilores_plugins.tracing.otel.conventions import attributes_of, name_of
    from tilores_plugins.tracing.otel.ids import origin_of, span_id

    resource, scope, sampled = Resource({}), InstrumentationScope("bench"), TraceFlags(1)

    def made(trace: Any) -> Iterator[ReadableSpan]:
        trace_id = int.from_bytes(origin_of(trace.id, None).trace_id)

        def one(span: Any, place: tuple[int, ...], parent: SpanContext | None) -> Iterator[ReadableSpan]:
            context = SpanContext(trace_id, int.from_bytes(span_id(trace.id, *place)), False, sampled)
            yield ReadableSpan(
                name_of(span),
                context=context,
                parent=parent,
                resource=resource,
                attributes=dict(attributes_of(trace, span)),
                kind=SpanKind.INTERNAL,
                status=Status(StatusCode.ERROR if span.error else StatusCode.UNSET),
                start_time=int(span.started * 1e9),
                end_time=int(span.ended * 1e9),
                instrumentation_scope=scope,
            )
            for number, child in enumerate(span.children):
                yield from one(child, (*place, number), context)

        return one(trace.root, (), None)

    return lambda: len(encode_spans([span for trace in traces for span in made(trace)]).SerializeToString())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    given = parser.parse_args()
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is needed; on Debian: apt-get install wrk util-linux")
    rows = [Row(traced=False), Row(), Row(hangs=True)]
    kinds = ["cached", "misses"]
    for number in range(given.rounds):
        for kind in kinds:
            for row in rows:
                load(row, kind, given.seconds, number)
                print(f"round {number + 1}: {kind}, {row.name}", file=sys.stderr)
    report_load(rows, kinds)
    steady([row for row in rows if not row.hangs], given.rounds, given.seconds)
    encoding()


if __name__ == "__main__":
    main()
