"""Redis servers and tiers for these tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.redis_server import RedisServer
from tilores_core import PluginContext
from tilores_core.testing.waiting import wait_until
from tilores_plugins.cache.redis.build import build
from tilores_plugins.cache.redis.settings import RedisSettings
from tilores_plugins.cache.redis.tier import RedisTier

MakeTier = Callable[..., RedisTier]

# A busy machine is no fault of the tier: only the tests about time-outs use short ones.
PATIENT = {"connect_timeout_ms": 60_000, "command_timeout_ms": 60_000}


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a Unix socket's name (the system's limit is about 108 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="tl-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(short_folder: Path, redis_binary: str) -> Iterator[RedisServer]:
    with RedisServer(short_folder, binary=redis_binary) as running:
        yield running


@pytest_asyncio.fixture
async def make_tier(tmp_path: Path) -> AsyncIterator[MakeTier]:
    made: list[RedisTier] = []

    def make(url: str = "", *, data_dir: Path = tmp_path, **settings: Any) -> RedisTier:
        checked = RedisSettings.model_validate({"url": url, **PATIENT, **settings})
        tier = build(PluginContext(plugin_id="redis", settings=checked, data_dir=data_dir))
        made.append(tier)
        return tier

    yield make
    for tier in made:
        await tier.aclose()


@pytest.fixture(scope="session")
def cluster(redis_binary: str) -> Iterator[list[RedisServer]]:
    """Two primaries that share the slots. They need seconds to find each other, so they stay."""
    folder = Path(tempfile.mkdtemp(prefix="tl-"))
    halves = (range(8192), range(8192, 16384))
    nodes = [
        RedisServer(folder / str(n), "--cluster-enabled", "yes", binary=redis_binary) for n in range(len(halves))
    ]
    try:
        for node, slots in zip(nodes, halves, strict=True):
            node.start().run("CLUSTER", "ADDSLOTS", *slots)
        nodes[0].run("CLUSTER", "MEET", "127.0.0.1", nodes[1].port)
        wait_until(lambda: all(_agreed(node) for node in nodes), "the cluster did not form")
        yield nodes
    finally:
        for node in nodes:
            node.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster_url(cluster: list[RedisServer]) -> str:
    for node in cluster:
        node.run("FLUSHALL")
    return cluster[0].url


def _agreed(node: RedisServer) -> bool:
    info = node.run("CLUSTER", "INFO")
    agreed = b"cluster_state:ok" in info and b"cluster_known_nodes:2" in info
    return agreed and len(node.run("CLUSTER", "SLOTS")) == 2
