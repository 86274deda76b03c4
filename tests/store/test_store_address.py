"""Addresses of databases, what is shown of them, and what opening one costs those who need none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from tilores_core.errors import ConfigError, StoreError
from tilores_core.settings import load_environment
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore

DATA = Path("data")
SECRET = "s3cret"


@pytest.mark.parametrize("url", [None, "", "  "])
def test_the_default_is_a_file_in_the_data_folder(url: str | None) -> None:
    address = store_address(url, DATA)
    assert (address.kind, address.path) == ("sqlite", DATA / "state.sqlite3")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///state.db", "state.db"),
        ("sqlite:////var/lib/tilores/state.db", "/var/lib/tilores/state.db"),
        ("sqlite+aiosqlite:////a%20b.db", "/a b.db"),
    ],
)
def test_sqlite(url: str, path: str) -> None:
    assert store_address(url, DATA).path == Path(path)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgres://me:{SECRET}@db.example:6543/state", "PostgreSQL, state at db.example:6543"),
        (f"postgresql://me:{SECRET}@db.example/state?sslmode=require", "PostgreSQL, state at db.example"),
        (f"postgresql+asyncpg://me:{SECRET}%40%2F@db.example/state", "PostgreSQL, state at db.example"),
        (f"postgresql:///state?host=/run/pg&user=me&password={SECRET}", "PostgreSQL, state at /run/pg"),
        ("postgresql://", "PostgreSQL, default database at localhost"),
    ],
)
def test_postgresql(url: str, shown: str) -> None:
    address = store_address(SecretStr(url), DATA)
    assert (address.kind, address.shown) == ("postgresql", shown)
    assert address.dsn.get_secret_value().startswith("postgresql://")
    assert SECRET not in repr(address)
    assert SECRET not in str(address)


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://me:{SECRET}@db/state",
        f"me:{SECRET}@db/state",
        f"postgresql://me:{SECRET}#1@db/state",
        f"postgresql://me:{SECRET}/1@db/state",
        "postgresql://me:12/34s3cret@db/state",
        "postgresql://me:12?34s3cret@db/state",
        f"postgresql://me:[{SECRET}@db/state",
        f"postgresql://me:x@db:{SECRET}/state",
        "sqlite://s3cret",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///s3cret?mode=ro",
    ],
)
def test_what_cannot_be_read_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        store_address(url, DATA)
    assert caught.value.where == "DATABASE_URL"
    assert caught.value.fix
    assert SECRET not in str(caught.value)


def test_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:{SECRET}@db/state")
    environment = load_environment(None)
    assert store_address(environment.database_url, environment.data_dir).shown == "PostgreSQL, state at db"
    assert SECRET not in repr(environment)
    monkeypatch.delenv("DATABASE_URL")
    assert load_environment(None).database_url is None


async def test_lazily_opened_once_for_all_who_ask(tmp_path: Path) -> None:
    lazy = LazyStore(store_address(None, tmp_path))
    assert lazy.opened is None
    assert not list(tmp_path.iterdir())
    stores = await asyncio.gather(*(lazy.get() for _ in range(5)))
    assert len({id(store) for store in stores}) == 1
    assert lazy.opened is stores[0]
    assert stores[0].database.address.path.stat().st_mode & 0o777 == 0o600
    await lazy.aclose()
    assert lazy.opened is None


async def test_what_could_not_be_opened_is_tried_anew(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    lazy = LazyStore(store_address(None, tmp_path / "data"))
    for _ in range(2):
        with pytest.raises(StoreError, match="cannot be opened"):
            await lazy.get()
    (tmp_path / "data").unlink()
    assert await (await lazy.get()).changes.counters() == {}
    await lazy.aclose()


def test_the_lazy_store_costs_nothing_before_it_is_opened() -> None:
    code = (
        "import sys, pathlib\n"
        "from tilores_core.store.address import store_address\n"
        "from tilores_core.store.lazy import LazyStore\n"
        "LazyStore(store_address(None, pathlib.Path()))\n"
        "print([name for name in ('sqlalchemy', 'alembic', 'aiosqlite', 'asyncpg') if name in sys.modules])\n"
        "import tilores_core.store.store\n"
        "print([name for name in ('sqlalchemy', 'alembic', 'asyncpg') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['sqlalchemy']"], (
        "neither Alembic before there is something to migrate"
    )
