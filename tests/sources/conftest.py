from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sources.file_world import opened
from tests.tilores_instance import TiloresInstance

__all__ = ["opened"]


@pytest.fixture
async def instance() -> AsyncIterator[TiloresInstance]:
    async with TiloresInstance() as running:
        yield running
