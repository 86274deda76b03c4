"""How long `tilores --help` takes beside `import typer`, and a server from its start until it is ready.

    python -m benchmarks.cli.bench_startup [--rounds 21] [--server-rounds 5]

Runs are interleaved and medians are printed, so that a busy machine slows all of them alike. Wanted: `--help` within
5 x of `import typer`, a server ready in under 3 s on two cores.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

TILORES = str(Path(sysconfig.get_path("scripts")) / "tilores")
REFERENCE = "import typer"
COMMANDS: dict[str, list[str]] = {
    REFERENCE: [sys.executable, "-c", "import typer"],
    "tilores --help": [TILORES, "--help"],
    "tilores plugins list": [TILORES, "plugins", "list"],
    "tilores models": [TILORES, "models"],
}
HELP_LIMIT = 5.0
READY_LIMIT = 3.0


def seconds(command: Sequence[str], folder: str, environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def seconds_until_ready(folder: str, environment: dict[str, str]) -> float:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.perf_counter()
    server = subprocess.Popen(
        [TILORES, "serve", "--port", str(port)], cwd=folder, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5):
                    return time.perf_counter() - started
            except (urllib.error.URLError, ConnectionError):
                if server.poll() is not None:
                    raise SystemExit("the server ended at once") from None
                time.sleep(0.01)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--server-rounds", type=int, default=5)
    given = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith("TILORES_") and k not in ("PORT", "REDIS_URL")
        }
        environment = {**kept, "TILORES_DATA_DIR": f"{folder}/data"}
        for _ in range(given.rounds):
            for name, command in COMMANDS.items():
                times[name].append(seconds(command, folder, environment))
        ready = [seconds_until_ready(folder, environment) for _ in range(given.server_rounds)]
    reference = statistics.median(times[REFERENCE])
    print(f"{'median of ' + str(given.rounds):<24} {'ms':>8} {'x import typer':>15}")
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"{name:<24} {median * 1000:>8.0f} {median / reference:>15.2f}")
    spread = f"{min(ready):.2f} to {max(ready):.2f}"
    print(f"\nserver ready after {statistics.median(ready):.2f} s (median of {given.server_rounds}, {spread})")
    ratio = statistics.median(times["tilores --help"]) / reference
    print(f"--help {ratio:.2f} of {HELP_LIMIT:g}, ready {statistics.median(ready):.2f} s of {READY_LIMIT:g} s")


if __name__ == "__main__":
    main()
