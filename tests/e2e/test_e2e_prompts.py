"""Prompts deployed and rolled back under load on two servers: the benchmark, small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_deployment_under_load_fails_no_request_and_mixes_no_versions() -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.release.bench_deployment",
        "--rate",
        "30",
        "--seconds",
        "4",
        "--changes",
        "2",
        "--within",
        "60",
        "--stored-within",
        "2",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed            0" in done.stdout
    assert "mixed             0" in done.stdout
