from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.web.langserve.langserve_app import ScriptedEngine, build_app, served


@dataclass
class Server:
    engine: ScriptedEngine
    url: str = ""
    errors: list[Exception] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with a scripted engine; `url` is the address of `/chat`."""
    running = Server(ScriptedEngine())
    with served(build_app(running.engine, running.errors)) as address:
        running.url = f"{address}/chat"
        yield running
