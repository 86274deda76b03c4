"""The targets `docker` and `compose`, with a program that stands in for docker (see docker_program.py)."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import docker_program
from tests.deploy.projects import VALUES, sound_project
from tilores_core import DeployError, DeployProject
from tilores_core.deploy.rollout import Journal
from tilores_plugins.deploy.docker import engine as engine_module
from tilores_plugins.deploy.docker.container import ContainerTarget
from tilores_plugins.deploy.docker.settings import Settings
from tilores_plugins.deploy.docker.stack import ComposeTarget

TAGS = ["20260101-000001", "20260101-000002", "20260101-000003"]


class Docker:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.program = folder / "docker"
        text = Path(docker_program.__file__).read_text().splitlines(keepends=True)
        self.program.write_text("".join([f"#!{sys.executable} -IS\n", *text[1:]]))
        self.program.chmod(0o700)

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return found

    def fail(self, command: str) -> None:
        (self.folder / "fail").write_text(command)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    tags = iter(TAGS)
    monkeypatch.setattr("tilores_plugins.deploy.docker.engine.new_tag", lambda: next(tags))
    return Docker(tmp_path / "docker")


@pytest.fixture
def project(tmp_path: Path) -> DeployProject:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "deploy").mkdir()
    (tmp_path / "project" / "deploy" / "compose.yaml").write_text("services: {}\n")
    return sound_project(tmp_path / "project")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "data", "docker")


def settings(docker: Docker, **more: Any) -> Settings:
    return Settings(engine=str(docker.program), **more)


def quiet(_line: str) -> None:
    return None


async def test_up_builds_and_runs_one_container_whose_secrets_are_not_arguments(
    docker: Docker, project: DeployProject, journal: Journal
) -> None:
    made = await ContainerTarget(settings(docker)).up(project, journal, quiet)
    assert (made.id, made.state, made.url) == (TAGS[0], "running", "http://127.0.0.1:8000")
    container = docker.state["containers"][f"tilores-{TAGS[0]}"]
    assert container["env"] == VALUES | {
        "PORT": "8000",
        "TILORES_DATA_DIR": "/data",
        "TILORES_DEPLOYMENT": TAGS[0],
    }
    arguments = json.dumps(docker.state["calls"])
    assert not any(value in arguments for name, value in VALUES.items() if name != "TILORES_HOST")


@pytest.mark.parametrize("step", ["build", "image", "ps", "create"])
async def test_up_that_failed_at_a_step_goes_on_with_the_same_tag(
    docker: Docker, project: DeployProject, journal: Journal, step: str
) -> None:
    target = ContainerTarget(settings(docker))
    docker.fail(step)
    with pytest.raises(DeployError, match="is not possible"):
        await target.up(project, journal, quiet)
    assert (await target.up(project, journal, quiet)).id == TAGS[0]
    assert docker.state["images"] == [f"tilores:{TAGS[0]}"]
    assert [one["state"] for one in docker.state["containers"].values()] == ["running"]


async def test_container_that_does_not_start_has_failed_and_the_one_before_can_be_started(
    docker: Docker, project: DeployProject, journal: Journal
) -> None:
    target = ContainerTarget(settings(docker))
    await target.up(project, journal, quiet)
    journal.write({})
    docker.fail("start")
    failed = await target.up(project, journal, quiet)
    assert (failed.id, failed.state) == (TAGS[1], "failed")
    before = next(one for one in await target.status() if one.id == TAGS[0])
    assert (await target.rollback(project, before, quiet)).state == "running"


async def test_container_that_restarts_over_and_over_is_stopped_before_another_gets_its_port(
    docker: Docker, project: DeployProject, journal: Journal
) -> None:
    target = ContainerTarget(settings(docker))
    await target.up(project, journal, quiet)
    state = docker.state
    state["containers"][f"tilores-{TAGS[0]}"]["state"] = "restarting"
    (docker.folder / "state.json").write_text(json.dumps(state))
    assert [(one.state, one.active) for one in await target.status()] == [("in progress", False)]
    journal.write({})
    assert (await target.up(project, journal, quiet)).state == "running"


async def test_rollback_starts_the_container_before_again(
    docker: Docker, project: DeployProject, journal: Journal
) -> None:
    target = ContainerTarget(settings(docker))
    await target.up(project, journal, quiet)
    journal.write({})
    await target.up(project, journal, quiet)
    [new, old] = await target.status()
    assert (new.id, new.active, old.id, old.can_rollback) == (TAGS[1], True, TAGS[0], True)
    assert (await target.rollback(project, old, quiet)).id == TAGS[0]
    states = {name: one["state"] for name, one in docker.state["containers"].items()}
    assert states == {f"tilores-{TAGS[0]}": "running", f"tilores-{TAGS[1]}": "exited"}


async def test_compose_runs_a_tag_and_goes_back_to_another(
    docker: Docker, project: DeployProject, journal: Journal
) -> None:
    (project.folder / ".env").write_text("STACK_KEYS=the stack's own\nTILORES_API_KEYS=not:these\n")
    target = ComposeTarget(settings(docker))
    await target.up(project, journal, quiet)
    journal.write({})
    await target.up(project, journal, quiet)
    assert [(one.id, one.active) for one in await target.status()] == [(TAGS[1], True), (TAGS[0], False)]
    back = await target.rollback(project, (await target.status())[1], quiet)
    assert (back.id, back.state) == (TAGS[0], "running")
    web = docker.state["containers"]["tilores-web-1"]
    assert web["env"]["TILORES_API_KEYS"] == VALUES["TILORES_API_KEYS"]
    assert web["env"]["STACK_KEYS"] == "the stack's own"
    assert docker.state["folder"] == str(project.folder)
    names = ["tilores-web-1", "tilores-web-2"]
    assert [line.text async for line in target.logs()] == [f"{name}: log of {name}" for name in names]


async def test_compose_replaces_servers_one_after_the_other_and_says_that_one_failed(
    docker: Docker, project: DeployProject, journal: Journal
) -> None:
    target = ComposeTarget(settings(docker))
    await target.up(project, journal, quiet)
    journal.write({})
    made = len(docker.state["calls"])
    await target.up(project, journal, quiet)
    words = [call[9:] for call in docker.state["calls"][made:] if call[0] == "compose"]
    assert words == [["--no-deps", "web-1"], ["--no-deps", "web-2"], ["--remove-orphans"]]
    journal.write({})
    docker.fail("compose")
    failed = await target.up(project, journal, quiet)
    assert (failed.id, failed.state) == (TAGS[2], "failed")
    assert [one.id for one in await target.status() if one.active] == [TAGS[1]]


@pytest.mark.parametrize("kind", [ContainerTarget, ComposeTarget])
async def test_old_images_are_removed(
    docker: Docker, project: DeployProject, journal: Journal, kind: type[ContainerTarget | ComposeTarget]
) -> None:
    target = kind(settings(docker, keep=2))
    for _ in TAGS:
        await target.up(project, journal, quiet)
        journal.write({})
    assert docker.state["images"] == [f"tilores:{tag}" for tag in TAGS[1:]]
    assert f"tilores-{TAGS[0]}" not in docker.state["containers"]


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lambda docker, project: docker.fail("version"), "engine.version"),
        (lambda docker, project: (project.folder / "Dockerfile").unlink(), "files.missing"),
    ],
)
async def test_check_finds_what_is_missing(docker: Docker, project: DeployProject, spoil: Any, check: str) -> None:
    target = ContainerTarget(settings(docker))
    assert [(one.check, one.state) for one in await target.check(project)] == [("engine", "ok")]
    spoil(docker, project)
    assert [(one.check, one.state) for one in await target.check(project)] == [(check, "problem")]


async def test_check_without_an_engine_says_what_to_install(
    project: DeployProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_ENGINES", ())
    [finding] = await ContainerTarget(Settings()).check(project)
    assert (finding.check, finding.state) == ("engine.missing", "problem")


@pytest.mark.skipif(shutil.which("docker") is None, reason="no docker on PATH")
async def test_real_program_understands_what_it_is_asked() -> None:
    try:
        await engine_module.Engine.of(Settings()).call("version")
    except DeployError:
        pytest.skip("docker is installed, but its service does not answer")
    assert isinstance(await ContainerTarget(Settings(name="tilores-none")).status(), list)


async def test_each_setting_reaches_the_program(docker: Docker, project: DeployProject, journal: Journal) -> None:
    (project.folder / "Other").write_text("FROM scratch\n")
    (project.folder / "stack.yaml").write_text("services: {}\n")
    given = settings(
        docker,
        name="desk",
        address="10.0.0.1",
        port=9000,
        dockerfile="Other",
        network="inner",
        volume="",
        compose_file="stack.yaml",
    )
    made = await ContainerTarget(given).up(project, journal, quiet)
    assert made.url == "http://10.0.0.1:9000"
    calls = {call[0]: call for call in docker.state["calls"]}
    assert calls["build"][2] == "Other"
    assert "10.0.0.1:9000:8000" in calls["create"]
    assert "inner" in calls["create"]
    assert "--volume" not in calls["create"]
    assert calls["create"][-1] == f"desk:{TAGS[0]}"
    with pytest.raises(DeployError, match="does not run"):  # the program that stands in runs one called tilores
        await ComposeTarget(given).up(project, Journal(project.folder, "other"), quiet)
    calls = {call[0]: call for call in docker.state["calls"]}
    assert "stack.yaml" in calls["compose"]


@pytest.mark.parametrize(
    ("limit", "word"), [({"build_seconds": 0.05}, "build"), ({"call_seconds": 0.05}, "image")], ids=["build", "call"]
)
async def test_program_that_hangs_is_ended(
    tmp_path: Path, project: DeployProject, journal: Journal, limit: dict[str, float], word: str
) -> None:
    program = tmp_path / "hangs"
    program.write_text(f'#!/bin/sh\n[ "$1" = {word} ] && exec sleep 60\nexit 0\n')
    program.chmod(0o700)
    with pytest.raises(DeployError, match=r"did not end within 0\.05 s"):
        await ContainerTarget(Settings(engine=str(program), **limit)).up(project, journal, quiet)
