"""A file source over a file that a test writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio

from tilores_core import CustomerSource, Identifiers, PluginContext
from tilores_plugins.sources.file.settings import Settings
from tilores_plugins.sources.file.source import FileSource, build

Make = Callable[..., FileSource]


def make(path: Path, **settings: Any) -> FileSource:
    return build(PluginContext(plugin_id="file", settings=Settings(path=path, **settings), data_dir=path.parent))


@pytest_asyncio.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Make]:
    """Write a file and open a source over it, closed after the test."""
    sources: list[FileSource] = []

    def open_source(content: str | bytes, name: str = "customers.csv", **settings: Any) -> FileSource:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        sources.append(make(path, **settings))
        return sources[-1]

    yield open_source
    for source in sources:
        await source.aclose()


async def ids(source: CustomerSource, **identifiers: str) -> list[str]:
    return [customer.id for customer in await source.find(Identifiers(**identifiers))]
