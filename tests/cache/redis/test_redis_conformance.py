"""The suite that every tier passes, on each kind of Redis."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import pytest_asyncio

from tests.cache.redis.proxies import Proxy
from tests.redis_server import RedisServer
from tilores_core.testing.cache import CacheTierSuite
from tilores_plugins.cache.redis.tier import RedisTier

MakeTier = Callable[..., RedisTier]


class RedisSuite(CacheTierSuite):
    supports_lease: ClassVar[bool] = True
    supports_broadcast: ClassVar[bool] = True
    supports_sharing: ClassVar[bool] = True
    largest_value: ClassVar[int] = 4 * 1024 * 1024
    moment: ClassVar[float] = 0.6

    @pytest.fixture
    def tier(self, make_tier: MakeTier, address: str) -> RedisTier:
        return make_tier(address)

    @pytest.fixture
    def other_tier(self, make_tier: MakeTier, address: str) -> RedisTier:
        return make_tier(address)


class TestTcp(RedisSuite):
    @pytest.fixture
    def address(self, server: RedisServer) -> str:
        return f"{server.url}/3"


class TestUnixSocket(RedisSuite):
    @pytest.fixture
    def address(self, short_folder: Path, redis_binary: str) -> Iterator[str]:
        with RedisServer(short_folder, binary=redis_binary, unix=True, password="between us") as server:
            yield f"unix://:between%20us@{server.path}"


class TestEmbedded(RedisSuite):
    @pytest.fixture
    def address(self) -> str:
        return ""


class TestTls(RedisSuite):
    @pytest_asyncio.fixture
    async def address(self, server: RedisServer, certificate: tuple[Path, Path]) -> AsyncIterator[str]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        async with Proxy(server.port, tls=context) as proxy:
            yield f"rediss://127.0.0.1:{proxy.port}?ssl_ca_certs={certificate[0]}"


class TestCluster(RedisSuite):
    @pytest.fixture
    def tier(self, make_tier: MakeTier, address: str) -> RedisTier:
        return make_tier(address, cluster=True)

    @pytest.fixture
    def other_tier(self, make_tier: MakeTier, address: str) -> RedisTier:
        return make_tier(address, cluster=True)

    @pytest.fixture
    def address(self, cluster_url: str) -> str:
        return cluster_url


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    asked = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run([openssl, "req", *asked, *names, *files], check=True, capture_output=True)
    return cert, key
