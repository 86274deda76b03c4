"""The built-in targets, and the one that tests use, pass the suite that others' targets pass."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr

from tests.deploy.projects import sound_project
from tests.deploy.railway_server import RailwayServer
from tests.deploy.test_docker_targets import Docker
from tilores_core import DeployProject
from tilores_core.testing.deploy import DeployTargetSuite, MakeTarget
from tilores_plugins.deploy.docker.container import ContainerTarget
from tilores_plugins.deploy.docker.settings import Settings as DockerSettings
from tilores_plugins.deploy.railway.settings import Settings as RailwaySettings
from tilores_plugins.deploy.railway.target import RailwayTarget


@pytest.fixture
def deploy_project(tmp_path: Path) -> DeployProject:
    (tmp_path / "project").mkdir()
    return sound_project(tmp_path / "project")


class TestRailwayTarget(DeployTargetSuite):
    @pytest.fixture
    def deploy_project(self, deploy_project: DeployProject) -> DeployProject:
        return deploy_project

    @pytest_asyncio.fixture
    async def railway(self) -> AsyncIterator[RailwayServer]:
        async with RailwayServer() as server:
            yield server

    @pytest.fixture
    def make_target(self, railway: RailwayServer) -> MakeTarget:
        settings = RailwaySettings(api_url=railway.url, token=SecretStr(railway.token))
        return lambda: RailwayTarget(settings, wait_unit=0.0001)

    @pytest.fixture
    def deployed(self, railway: RailwayServer) -> Callable[[], int]:
        return lambda: len(railway.deployments)

    @pytest.fixture
    def fail_after(self, railway: RailwayServer) -> Callable[[int | None], None]:
        def fail(calls: int | None) -> None:
            left = calls

            def hook(_name: str) -> None:
                nonlocal left
                if left is not None:
                    if left <= 0:
                        raise ConnectionResetError
                    left -= 1

            railway.before = hook

        return fail


class TestContainerTarget(DeployTargetSuite):
    @pytest.fixture
    def deploy_project(self, deploy_project: DeployProject) -> DeployProject:
        return deploy_project

    @pytest.fixture
    def docker(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Docker]:
        numbers = iter(range(10**6))
        name = "tilores_plugins.deploy.docker.engine.new_tag"
        monkeypatch.setattr(name, lambda: f"20260101-{next(numbers):06d}")
        docker = Docker(tmp_path / "docker")
        yield docker
        shutil.rmtree(docker.folder)

    @pytest.fixture
    def make_target(self, docker: Docker) -> MakeTarget:
        return lambda: ContainerTarget(DockerSettings(engine=str(docker.program)))

    @pytest.fixture
    def deployed(self, docker: Docker) -> Callable[[], int]:
        return lambda: len(docker.state["images"])
