from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.store.postgres_server import NewAddress, PostgresServer
from tilores_core.store.address import Address, store_address
from tilores_core.store.store import Store


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def new_address(request: pytest.FixtureRequest, tmp_path: Path) -> NewAddress:
    """The address of an empty database of a kind; PostgreSQL is started when the first test asks for it."""
    made = 0

    def make(kind: str) -> Address:
        nonlocal made
        made += 1
        if kind == "sqlite":
            return store_address(None, tmp_path / f"data-{made}")
        server: PostgresServer = request.getfixturevalue("postgres")
        return store_address(server.new_database(), tmp_path)

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def address(kind: str, new_address: NewAddress) -> Address:
    """Of an empty database; the test runs on either kind."""
    return new_address(kind)


@pytest.fixture
async def store(address: Address) -> AsyncIterator[Store]:
    opened = await Store.open(address)
    yield opened
    await opened.aclose()
