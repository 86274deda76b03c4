"""Fixtures of pytest plugins that LangChain's suites name and this project does without."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


@pytest.fixture
def benchmark() -> None:
    pytest.skip("measures time, which no test here does")


@pytest.fixture
def vcr() -> None:
    pytest.skip("replays recorded calls of a real provider")


@pytest.fixture
def snapshot() -> None:
    pytest.skip("compares LangChain's serialised form of a class, which is the partner package's")


@pytest.fixture(autouse=True)
def _no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suites fetch their picture from the internet."""

    def get(url: str, **_: Any) -> httpx.Response:
        return httpx.Response(200, content=b"\xff\xd8\xff\xe0 no real picture", request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)
