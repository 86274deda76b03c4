"""Lines done by executors: threads of this process, and a real Dask cluster whose workers are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command
from tests.jobs.conftest import TOML
from tilores_core.contracts import PluginContext
from tilores_core.host.roles import EXECUTOR
from tilores_core.jobs.batch import Batch, BatchPlan
from tilores_core.jobs.executor_backend import ExecutorBackend
from tilores_core.settings.loader import LoadedConfig, parse_config
from tilores_core.testing.waiting import wait_until

EDWINA = "EDW_HAWTHORNE_001"


def _write(path: Path, count: int) -> list[str]:
    ids = [f"line-{place}" for place in range(count)]
    rows = [{"id": one, "customer_id": EDWINA, "question": f"What is the credit score? ({one})"} for one in ids]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ids


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- threads --------------------------------------------------------------------------------------------------


def test_threads_each_have_an_engine_of_their_own(tilores: Command) -> None:
    tilores.config(TOML.format(latency=10, failures=0) + "[plugins.threads]\nworkers = 3\n")
    ids = _write(tilores.folder / "in.jsonl", 30)
    done = tilores.run("batch", "in.jsonl", "out.jsonl", "--executor", "threads")
    assert done.returncode == 0, done.stderr
    rows = _rows(tilores.folder / "out.jsonl")
    assert [row["id"] for row in rows] == ids
    assert all("742" in row["answer"] for row in rows)


def test_the_pool_has_as_many_threads_as_it_is_told(tmp_path: Path) -> None:
    from tilores_core.host.host import PluginHost

    config = parse_config('[use]\nexecutor = "threads"\n[plugins.threads]\nworkers = 3\n', tmp_path / "plugins.toml")
    loaded = LoadedConfig(config=config, path=tmp_path / "plugins.toml", packaged=False)
    host = PluginHost.start(loaded, variables={}, data_dir=tmp_path, no_plugins=True)
    pool: Any = host.build(EXECUTOR, "threads")
    at_work: Counter[str] = Counter()
    barrier = threading.Barrier(3, timeout=60)

    def blocks(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        barrier.wait()  # passes only when three are at work at once
        at_work[threading.current_thread().name] += 1
        row = {"answer": "x", "customer": "one", "cache": "miss", "attempts": 1, "latency_ms": 0.0}
        return [{"id": line["id"], **row} for line in lines]

    _write(tmp_path / "in.jsonl", 9)

    async def run() -> None:
        backend = ExecutorBackend(pool, blocks, concurrency=pool.thread_count(), chunk_lines=1)
        assert (backend.chunk_lines, backend.chunks) == (1, 3)
        plan = BatchPlan(source=tmp_path / "in.jsonl", output=tmp_path / "out.jsonl", concurrency=64)
        await Batch(plan, _Nothing(), backend=backend).run()
        await host.aclose()

    asyncio.run(run())
    assert len(_rows(tmp_path / "out.jsonl")) == 9
    assert len(at_work) == 3


class _Nothing:
    """Knows nothing by itself."""

    def try_cached(self, line: Any) -> None:
        return None

    async def process(self, line: Any) -> dict[str, Any]:
        raise AssertionError("the executor's affair")


# --- Dask -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A real one on this machine, with a scheduler that others can reach by its address."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as cluster:
        yield cluster


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Dask's own
def test_a_killed_dask_worker_costs_no_line(tilores: Command, cluster: Any) -> None:
    tilores.config(
        TOML.format(latency=150, failures=0).replace("workers = 2", f'address = "{cluster.scheduler_address}"')
    )
    ids = _write(tilores.folder / "in.jsonl", 300)
    before = {worker.pid for worker in cluster.workers.values() if worker.pid}
    child = tilores.start("batch", "in.jsonl", "out.jsonl", "--executor", "dask", "--concurrency", "32")
    output = tilores.folder / "out.jsonl"

    def written() -> bool:
        assert child.poll() is None, child.communicate()
        return output.exists() and output.read_bytes().count(b"\n") >= 30

    wait_until(written, "30 lines", 60)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    told, said = child.communicate(timeout=100)
    assert child.returncode == 0, said
    rows = _rows(output)
    assert [row["id"] for row in rows] == ids
    assert all("742" in row["answer"] for row in rows)
    assert "failed 0" in told
    assert victim not in {worker.pid for worker in cluster.workers.values()}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Dask's own
def test_local_cluster_has_the_workers_and_threads_of_the_settings(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    from tilores_plugins.executors.dask import Settings
    from tilores_plugins.executors.dask.cluster import build

    settings = Settings(workers=1, threads_per_worker=3)
    executor = build(PluginContext(plugin_id="dask", settings=settings, data_dir=tmp_path))
    try:
        assert list(executor.client.nthreads().values()) == [3]
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def test_no_cluster_is_said_so(tilores: Command) -> None:
    pytest.importorskip("distributed")
    address = 'address = "tcp://127.0.0.1:9"\nconnect_seconds = 0.5'
    tilores.config(TOML.format(latency=0, failures=0).replace("workers = 2", address))
    _write(tilores.folder / "in.jsonl", 1)
    told = tilores.fails("batch", "in.jsonl", "out.jsonl", "--executor", "dask")
    assert "no Dask cluster answers within 0.5 s" in told
    assert "[plugins.dask] address" in told
