from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web.openai.openai_app import Running, ScriptedServer, serve


@pytest.fixture
def running() -> Iterator[Running]:
    """The scripted server on a real port."""
    server = ScriptedServer()
    with serve(server.app) as url:
        yield Running(server, url)
