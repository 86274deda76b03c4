from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.gated_model import TOML, Gate
from tests.e2e.running_server import RunningServer, StartGated, StartServer

_SERVERS = pytest.StashKey[list[RunningServer]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows the logs of its servers."""
    report = yield
    if report.failed:
        for server in item.stash.get(_SERVERS, []):
            report.sections.append((f"log of {server.folder.name}", server.log_text[-6000:]))
    return report


def show_log(request: pytest.FixtureRequest, server: RunningServer) -> None:
    request.node.stash.setdefault(_SERVERS, []).append(server)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with the packaged defaults, for tests that change nothing that others look at. Its log holds all
    that any level lets through."""
    with RunningServer(tmp_path_factory.mktemp("server"), variables={"TILORES_LOG_LEVEL": "debug"}) as server:
        yield server


@pytest.fixture
def server(shared: RunningServer, request: pytest.FixtureRequest) -> RunningServer:
    show_log(request, shared)
    return shared


@pytest.fixture
def http(server: RunningServer) -> Iterator[httpx.Client]:
    """A client with the admin key, which the chat routes of a server without chat keys ignore."""
    with httpx.Client(base_url=server.url, timeout=30, headers=server.admin) as client:
        yield client


@pytest.fixture
def start_server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StartServer]:
    """`start_server("--workers", "2", toml=…, variables=…, expects=…)`: a server for this test alone."""
    names = (tmp_path / f"server-{number}" for number in count())
    with ExitStack() as stack:

        def start(*arguments: str, **options: Any) -> RunningServer:
            server = RunningServer(next(names), *arguments, **options)
            show_log(request, server)
            return stack.enter_context(server)

        yield start


@pytest.fixture
def start_gated(start_server: StartServer, tmp_path: Path) -> StartGated:
    """`start_gated(toml=…)`: a server for this test alone whose model waits for the gate that comes with it."""
    numbers = count()

    def start(
        *arguments: str, toml: str = "", variables: dict[str, str] | None = None, **options: Any
    ) -> tuple[RunningServer, Gate]:
        gate = Gate(tmp_path / f"gate-{next(numbers)}")
        variables = {**gate.variables, **(variables or {})}
        return start_server(*arguments, toml=TOML + toml, variables=variables, **options), gate

    return start


@pytest.fixture(scope="session")
def shared_gated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Gate]]:
    gate = Gate(tmp_path_factory.mktemp("gate"))
    folder = tmp_path_factory.mktemp("gated")
    # One of its models has a fault, which has to be in the log, with its traceback and without its message.
    with RunningServer(folder, toml=TOML, variables=gate.variables, expects="ZeroDivisionError") as server:
        yield server, gate


@pytest.fixture
def gated(shared_gated: tuple[RunningServer, Gate], request: pytest.FixtureRequest) -> RunningServer:
    """A server whose model waits in the middle of each answer until `gate.open()`."""
    show_log(request, shared_gated[0])
    return shared_gated[0]


@pytest.fixture
def gate(shared_gated: tuple[RunningServer, Gate]) -> Iterator[Gate]:
    shared_gated[1].close()
    yield shared_gated[1]
    shared_gated[1].open()  # whoever still waits may go


KEYS_TOML = """
[chat]
cors_origins = ["https://desk.example"]
failed_authentications = "1000000/minute"
[keys.bot]
search = false
[keys.elsewhere]
scope = "elsewhere"
"""
KEYS = {
    "TILORES_API_KEYS": "desk:desk-secret,colleague:colleague-secret,bot:bot-secret,elsewhere:elsewhere-secret",
    "TILORES_ADMIN_KEYS": "root:root-secret",
}


@pytest.fixture(scope="session")
def shared_keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("keyed"), toml=KEYS_TOML, variables=KEYS, worker=True) as server:
        yield server
        assert "-secret" not in server.log_text


@pytest.fixture
def keyed(shared_keyed: RunningServer, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client of a server with chat and admin keys, named after their secrets: `Bearer desk-secret` is `desk`."""
    show_log(request, shared_keyed)
    with httpx.Client(base_url=shared_keyed.url, timeout=30) as client:
        yield client
