"""What a server adds to its upstream: ours beside LiteLLM's proxy and LangServe, in one run.

    python -m benchmarks.http.bench_upstream --peers DIR [--rounds 3] [--seconds 5] [--connections 64]

Every request is a new question, so that each goes on to the upstream (`stub.py`), which answers at once or after
100 ms; that it was asked as often as there were replies is checked. Ours runs as served: key check, request id,
customer look-up, cache (which misses), routing, over the `openai` plugin. One worker on one core; wrk and the stub on
the other. DIR holds one environment for each peer (see README.md); a peer without one is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.http.bench_http import BY_ID, KEY, NAMED, langserve, openai
from benchmarks.servers import free_port

HERE = Path(__file__).resolve().parent
LATENCIES = (0, 100)
EDWINA = "EDW_HAWTHORNE_001"
MODEL = "openai:stub-model"


@dataclass
class Peer:
    """One server: how to start it (given its port), and what to ask it."""

    name: str
    command: list[str]
    path: str
    body: dict[str, Any]
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path = HERE / "peers"
    results: dict[int, list[dict[str, float]]] = field(default_factory=dict)


def peers(folder: Path | None, ours: Path, stub_url: str) -> list[Peer]:
    python = Path(sys.executable)
    own = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": stub_url, "TILORES_API_KEYS": f"bench:{KEY}"}
    own["TILORES_DATA_DIR"] = str(ours / "data")
    serve = [str(python.with_name("tilores")), "serve", "--port", "PORT"]
    completions, invoke = "/v1/chat/completions", "/chat/invoke"
    found = [
        Peer(
            "ours, completions, customer by id",
            serve,
            completions,
            {**openai(BY_ID, EDWINA), "model": MODEL},
            own,
            ours,
        ),
        Peer(
            "ours, completions, named in text", serve, completions, {**openai(NAMED, None), "model": MODEL}, own, ours
        ),
        Peer("ours, invoke, customer by id", serve, invoke, langserve(BY_ID, EDWINA), own, ours),
    ]
    if folder is None:
        return found
    if (litellm := folder / "litellm" / "bin" / "litellm").exists():
        command = [
            str(litellm),
            "--config",
            "litellm.yaml",
            "--host",
            "127.0.0.1",
            "--port",
            "PORT",
            "--num_workers",
            "1",
        ]
        env = {"LITELLM_MASTER_KEY": KEY, "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
        env |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "STUB_URL": stub_url}
        found.append(Peer("LiteLLM proxy", command, completions, {**openai(BY_ID, None), "model": "stub-model"}, env))
    if (uvicorn := folder / "langserve" / "bin" / "uvicorn").exists():
        command = [str(uvicorn), "langserve_app:app", "--port", "PORT", "--log-level", "warning", "--no-access-log"]
        found.append(Peer("LangServe", command, invoke, langserve(BY_ID, None), {"STUB_URL": stub_url}))
    return found


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as reply:
        content: bytes = reply.read()
    return content


def ask(url: str, body: dict[str, Any]) -> None:
    data = json.dumps(body).replace("@@", "warm").encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as reply:
        reply.read()


def start(peer: Peer) -> tuple[subprocess.Popen[bytes], str]:
    port = free_port()
    command = [str(port) if part == "PORT" else part for part in peer.command]
    process = subprocess.Popen(
        ["taskset", "-c", "0", *command],
        cwd=peer.cwd,
        env={**os.environ, **peer.env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}{peer.path}"
    for _ in range(300):
        try:
            ask(url, peer.body)
            return process, url
        except OSError as error:
            if process.poll() is not None:
                raise SystemExit(f"{peer.name}: ended with {process.returncode}") from None
            last = error
            time.sleep(0.2)
    process.kill()
    raise SystemExit(f"{peer.name}: does not answer: {last}")


def load(url: str, body: dict[str, Any], connections: int, seconds: int, seed: str) -> dict[str, float]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(json.dumps(body))
        file.flush()
        env = {**os.environ, "BODY_FILE": file.name, "UNIQUE": "1", "SEED": seed}
        env["HEADERS"] = f"Authorization: Bearer {KEY}"
        command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
        out = subprocess.run([*command, "-s", str(HERE / "load.lua"), url], env=env, capture_output=True, text=True)
    line = next(line for line in out.stdout.splitlines() if line.startswith("RESULT "))
    result: dict[str, float] = json.loads(line.removeprefix("RESULT "))
    return result


def measure(peer: Peer, stub: str, connections: int, seconds: int, number: int) -> None:
    process, url = start(peer)
    try:
        for latency in LATENCIES:
            get(f"{stub}/set?latency_ms={latency}")
            load(url, peer.body, connections, 2, f"w{number}x{latency}")
            before = int(get(f"{stub}/count"))
            result = load(url, peer.body, connections, seconds, f"m{number}x{latency}")
            asked = int(get(f"{stub}/count")) - before
            replies = result["rps"] * seconds
            if result["bad"] or asked < 0.95 * replies:
                raise SystemExit(
                    f"{peer.name}: {result['bad']} bad replies, {asked} upstream calls for {replies:.0f}"
                )
            peer.results.setdefault(latency, []).append(result)
    finally:
        get(f"{stub}/set?latency_ms=0")
        process.terminate()
        process.wait(30)


def report(all_peers: list[Peer]) -> None:
    print("| server | 0 ms: requests/s | p50 / p99 ms | 100 ms: requests/s | added p50 / p99 ms |")
    print("|---|--:|--:|--:|--:|")
    for peer in all_peers:

        def median(latency: int, what: str, peer: Peer = peer) -> float:
            return statistics.median(result[what] for result in peer.results[latency])

        print(
            f"| {peer.name} | {median(0, 'rps'):,.0f} | {median(0, 'p50_ms'):.0f} / {median(0, 'p99_ms'):.0f} "
            f"| {median(100, 'rps'):,.0f} | {median(100, 'p50_ms') - 100:.0f} / {median(100, 'p99_ms') - 100:.0f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", type=Path, help="folder with the environments litellm/ and langserve/")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--only", default="", help="only servers whose name holds this text")
    given = parser.parse_args()
    port = free_port()
    stub = f"http://127.0.0.1:{port}"
    upstream = subprocess.Popen(["taskset", "-c", "1", sys.executable, str(HERE / "stub.py"), str(port)])
    with tempfile.TemporaryDirectory() as name:
        ours = Path(name)
        (ours / "plugins.toml").write_text(
            f'schema = 1\n[use]\ncache = ["memory"]\nsource = "demo"\nmodel = "{MODEL}"\n'
            "[routing]\nmax_concurrent = 256\n"
        )
        try:
            found = peers(given.peers and given.peers.resolve(), ours, f"{stub}/v1")
            chosen = [peer for peer in found if given.only in peer.name]
            for number in range(given.rounds):
                for peer in chosen:
                    measure(peer, stub, given.connections, given.seconds, number)
                    print(f"round {number + 1}: {peer.name}", file=sys.stderr)
            report(chosen)
        finally:
            upstream.terminate()
            upstream.wait(10)


if __name__ == "__main__":
    main()
