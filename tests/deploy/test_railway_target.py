"""The Railway target against a server that executes its documents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from graphql import parse, validate
from pydantic import SecretStr

from tests.deploy.projects import VALUES, sound_project
from tests.deploy.railway_server import SCHEMA, RailwayServer
from tilores_core import DeployError, DeployProject
from tilores_core.deploy.rollout import Journal
from tilores_plugins.deploy.railway import documents
from tilores_plugins.deploy.railway.settings import Settings
from tilores_plugins.deploy.railway.target import RailwayTarget

STEPS = ("Scope", "Project", "Variables", "SetVariables", "Deployments", "Deploy", "Poll", "Instance")


@pytest_asyncio.fixture
async def railway() -> AsyncIterator[RailwayServer]:
    async with RailwayServer() as server:
        yield server


@pytest.fixture
def project(tmp_path: Path) -> DeployProject:
    folder = tmp_path / "project"
    folder.mkdir()
    return sound_project(folder)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "data", "railway")


Make = Callable[..., RailwayTarget]


@pytest_asyncio.fixture
async def target(railway: RailwayServer) -> AsyncIterator[Make]:
    """Makes targets, each as a process of its own would, and closes them."""
    made: list[RailwayTarget] = []

    def make(**settings: object) -> RailwayTarget:
        given = {"api_url": railway.url, "token": SecretStr(railway.token), "timeout_seconds": 5.0} | settings
        made.append(RailwayTarget(Settings.model_validate(given), wait_unit=0.001))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


def quiet(_line: str) -> None:
    return None


@pytest.mark.parametrize("document", documents.ALL)
def test_document_fits_the_schema(document: str) -> None:
    assert validate(SCHEMA, parse(document)) == []


async def test_up_sets_variables_without_deployments_and_deploys_once(
    railway: RailwayServer, target: Make, project: DeployProject, journal: Journal
) -> None:
    railway.variables |= {"OPENAI_API_KEY": "${{shared.OPENAI_API_KEY}}", "KEPT": "as it was"}
    lines: list[str] = []
    made = await target().up(project, journal, lines.append)
    assert (made.state, made.url) == ("running", "https://web.example.com")
    assert [one.kind for one in railway.deployments] == ["deploy"]
    assert railway.deployments[0].variables == {
        **VALUES,
        "OPENAI_API_KEY": "${{shared.OPENAI_API_KEY}}",
        "KEPT": "as it was",
    }
    assert not any(value in line for line in lines for name, value in VALUES.items() if name != "TILORES_HOST")


async def test_up_without_changed_variables_writes_none(
    railway: RailwayServer, target: Make, project: DeployProject, journal: Journal
) -> None:
    railway.variables |= VALUES
    await target().up(project, journal, quiet)
    assert railway.upserts == []


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_up_killed_at_a_step_and_repeated_deploys_once(
    railway: RailwayServer, target: Make, project: DeployProject, journal: Journal, step: str, moment: str
) -> None:
    """The server's hook ends the connection of the call; the client is dropped there, with its state."""
    first = target(timeout_seconds=1.0)
    dead = False

    def kill(name: str) -> None:
        nonlocal dead
        if name == step:
            dead = True
        if dead:
            raise ConnectionResetError

    setattr(railway, moment, kill)
    with pytest.raises(DeployError):
        await first.up(project, journal, quiet)
    railway.before = railway.after = None
    made = await target().up(project, journal, quiet)
    assert made.state == "running"
    assert [one.kind for one in railway.deployments] == ["deploy"]
    assert railway.deployments[0].variables == VALUES


async def test_deploy_whose_answer_is_lost_is_found_and_not_repeated(
    railway: RailwayServer, target: Make, project: DeployProject, journal: Journal
) -> None:
    lost = ["Deploy"]

    def lose(name: str) -> None:
        if name in lost:
            lost.remove(name)
            raise ConnectionResetError

    railway.after = lose
    made = await target().up(project, journal, quiet)
    assert made.id == "deployment-1"
    assert len(railway.deployments) == 1


async def test_rate_limit_is_waited_for(
    railway: RailwayServer, target: Make, project: DeployProject, journal: Journal
) -> None:
    railway.throttle = 3
    assert (await target().up(project, journal, quiet)).state == "running"


async def test_up_shows_each_line_of_the_logs_once_as_it_comes(
    railway: RailwayServer, target: Make, project: DeployProject, journal: Journal
) -> None:
    lines: list[str] = []
    await target().up(project, journal, lines.append)
    shown = [line.strip() for line in lines[-5:]]
    assert shown == ["build: built", "building", "run: listening", "deploying", "success"]


async def test_failed_build_shows_the_end_of_its_log(
    railway: RailwayServer, target: Make, project: DeployProject, journal: Journal
) -> None:
    railway.outcomes = ["FAILED"]
    lines: list[str] = []
    made = await target().up(project, journal, lines.append)
    assert (made.state, made.url) == ("failed", None)
    assert lines.count("  build: built") == 1


async def test_upload_sends_the_files_but_no_env_file(
    railway: RailwayServer, target: Make, project: DeployProject, journal: Journal
) -> None:
    (project.folder / ".env").write_text("OPENAI_API_KEY=key-of-openai\n")
    await target(source="upload").up(project, journal, quiet)
    assert railway.deployments[0].files == ("Dockerfile", "plugins.toml", "railway.json", "requirements.txt")


async def test_rollback_makes_an_earlier_deployment_active(
    railway: RailwayServer, target: Make, project: DeployProject, journal: Journal
) -> None:
    one = target()
    await one.up(project, journal, quiet)
    journal.write({})
    await one.up(project, journal, quiet)
    earlier = next(item for item in await one.status() if not item.active)
    active = await one.rollback(project, earlier, quiet)
    assert (active.id, active.state) == ("deployment-3", "running")
    assert railway.deployments[-1].kind == "rollback"


async def test_logs_give_build_before_run(
    railway: RailwayServer, target: Make, project: DeployProject, journal: Journal
) -> None:
    one = target()
    await one.up(project, journal, quiet)
    assert [(line.part, line.text) async for line in one.logs()] == [("build", "built"), ("run", "listening")]


async def test_refused_values_are_not_quoted(
    railway: RailwayServer, target: Make, project: DeployProject, journal: Journal
) -> None:
    one = target(variables={"A": "1"})
    with pytest.raises(DeployError) as refused:
        await one._api().call(documents.SET_VARIABLES, input={"variables": {"X": "secret-value"}})
    assert "secret-value" not in str(refused.value)


async def test_variables_of_the_settings_win_and_send_off_leaves_the_others(
    railway: RailwayServer, target: Make, project: DeployProject, journal: Journal
) -> None:
    await target(send=False, variables={"REDIS_URL": "${{Redis.REDIS_URL}}"}).up(project, journal, quiet)
    assert railway.deployments[0].variables == {"REDIS_URL": "${{Redis.REDIS_URL}}"}


async def test_account_token_is_sent_as_such_and_needs_both_ids(
    railway: RailwayServer, target: Make, project: DeployProject, journal: Journal
) -> None:
    with pytest.raises(DeployError, match="says neither project nor environment"):
        await target(account_token=True).status()
    one = target(account_token=True, project_id=railway.project, environment_id=railway.environment)
    assert await one.status() == []
    assert railway.schemes[-1] == "Bearer"


async def test_railway_that_hangs_is_given_up(railway: RailwayServer, target: Make) -> None:
    railway.hanging = True
    with pytest.raises(DeployError, match="did not answer"):
        await target(timeout_seconds=0.1).status()


async def test_railway_that_never_ends_a_deployment_is_given_up(
    railway: RailwayServer, target: Make, project: DeployProject, journal: Journal
) -> None:
    railway.outcomes = ["BUILDING"]
    with pytest.raises(DeployError, match="still building after"):
        await target(deploy_seconds=20).up(project, journal, quiet)
