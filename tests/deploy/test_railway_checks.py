"""`tilores deploy check` on Railway: a sound project passes; each of many faults, one at a time, is found."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from tests.deploy.projects import RAILWAY_JSON, VALUES, sound_project, write_config
from tests.deploy.railway_server import RailwayServer
from tilores_core import DeployFinding, DeployProject
from tilores_plugins.deploy.railway.settings import Settings
from tilores_plugins.deploy.railway.target import RailwayTarget

DATABASE = "postgresql://user:secret-of-the-database@postgres.railway.internal/app"
REDIS = "redis://default:secret-of-redis@redis.railway.internal:6379"

Fault = Callable[[RailwayServer, DeployProject], dict[str, Any] | DeployProject | None]


@pytest_asyncio.fixture
async def railway() -> AsyncIterator[RailwayServer]:
    async with RailwayServer() as server:
        server.services = {"service-1": "web", "service-2": "Postgres", "service-3": "Redis"}
        server.variables |= {"DATABASE_URL": DATABASE, "REDIS_URL": REDIS}
        yield server


@pytest.fixture
def project(tmp_path: Path) -> DeployProject:
    return sound_project(tmp_path)


async def found(railway: RailwayServer, project: DeployProject, **settings: Any) -> list[DeployFinding]:
    given = {"api_url": railway.url, "token": SecretStr(railway.token), "service_id": "service-1"} | settings
    target = RailwayTarget(Settings.model_validate(given), wait_unit=0.001)
    try:
        return await target.check(project)
    finally:
        await target.aclose()


async def test_sound_project_has_nothing_but_ok(railway: RailwayServer, project: DeployProject) -> None:
    assert [(one.check, one.state) for one in await found(railway, project)] == [("railway", "ok")]
    assert "SetVariables" not in railway.calls
    assert "Deploy" not in railway.calls


def _config(**changes: Any) -> Fault:
    """A key of `deploy` in railway.json with another value; None removes it."""

    def spoil(_railway: RailwayServer, project: DeployProject) -> None:
        config = copy.deepcopy(RAILWAY_JSON)
        for key, value in changes.items():
            if value is None:
                config["deploy"].pop(key, None)
            else:
                config["deploy"][key] = value
        write_config(project.folder, config)

    return spoil


def _build(**changes: Any) -> Fault:
    def spoil(_railway: RailwayServer, project: DeployProject) -> None:
        config = copy.deepcopy(RAILWAY_JSON)
        config["build"] |= changes
        write_config(project.folder, config)

    return spoil


def _there(**changes: str) -> Fault:
    """Variables on Railway."""
    return lambda railway, _project: railway.variables.update(changes)


def _set(**changes: Any) -> Fault:
    return lambda _railway, _project: changes


def _without(name: str) -> Fault:
    """A variable that neither this machine nor Railway has."""

    def spoil(_railway: RailwayServer, project: DeployProject) -> DeployProject:
        one = dataclasses.replace(project.variables[name], value=None)
        return dataclasses.replace(project, variables={**project.variables, name: one})

    return spoil


def _not_there(name: str) -> Fault:
    def spoil(railway: RailwayServer, _project: DeployProject) -> None:
        del railway.variables[name]

    return spoil


def _file(name: str, text: str | None) -> Fault:
    def spoil(_railway: RailwayServer, project: DeployProject) -> None:
        path = project.folder / name
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)

    return spoil


def _railway(**changes: Any) -> Fault:
    def spoil(railway: RailwayServer, _project: DeployProject) -> None:
        for name, value in changes.items():
            setattr(railway, name, value)

    return spoil


def _too_large(_railway: RailwayServer, project: DeployProject) -> dict[str, Any]:
    (project.folder / "recordings.bin").write_bytes(bytes(2048))
    return {"source": "upload", "most_upload_bytes": 2000}


def _in_progress(railway: RailwayServer, _project: DeployProject) -> None:
    railway.deploy()


def _last_failed(railway: RailwayServer, _project: DeployProject) -> None:
    railway.deploy().states = ["CRASHED"]


def _config_elsewhere(_railway: RailwayServer, project: DeployProject) -> DeployProject:
    return dataclasses.replace(project, config=project.folder.parent / "elsewhere" / "plugins.toml")


def _no_file_and_no_health_check(railway: RailwayServer, project: DeployProject) -> None:
    (project.folder / "railway.json").unlink()
    railway.instance |= {"healthcheckPath": None}


def _no_file_and_no_draining(railway: RailwayServer, project: DeployProject) -> None:
    (project.folder / "railway.json").unlink()
    railway.instance |= {"drainingSeconds": None}


SH = "sh -c 'exec tilores serve --host {host} --port {port}'"

FAULTS: dict[str, tuple[Fault, str]] = {
    "no token": (_set(token=None), "token.missing"),
    "dead token": (_set(token=SecretStr("of yesterday")), "token.rejected"),
    "token of another project": (_set(project_id="project-2"), "token.project"),
    "token of another environment": (_set(environment_id="environment-2"), "token.environment"),
    "no such service": (_set(service_id="service-9"), "service.unknown"),
    "which service": (_set(service_id=None), "service.ambiguous"),
    "Railway cannot be reached": (_set(api_url="http://127.0.0.1:9"), "api.unreachable"),
    "nothing to build": (_railway(instance={"source": None}), "service.source"),
    "no railway.json": (_file("railway.json", None), "config.missing"),
    "railway.json is not JSON": (_file("railway.json", "{"), "config.syntax"),
    "seconds in quotes": (_config(drainingSeconds="35"), "config.number"),
    "misspelt key": (_config(drainSeconds=35), "config.unknown_key"),
    "unknown builder": (_build(builder="NIXPACKS"), "config.value"),
    "no Dockerfile": (_file("Dockerfile", None), "config.dockerfile"),
    "no health path": (_config(healthcheckPath=None), "config.health_path"),
    "alive is not ready": (_config(healthcheckPath="/health"), "config.health_path"),
    "impatient health check": (_config(healthcheckTimeout=5), "config.health_timeout"),
    "no draining": (_config(drainingSeconds=None), "config.draining"),
    "little draining": (_config(drainingSeconds=10), "config.draining"),
    "no overlap": (_config(overlapSeconds=0), "config.overlap"),
    "never restarted": (_config(restartPolicyType="NEVER"), "config.restart"),
    "cron": (_config(cronSchedule="0 * * * *"), "config.cron"),
    "sleeps": (_config(sleepApplication=True), "config.sleep"),
    "unknown region": (_config(region="moon-1"), "config.region"),
    "another program": (_config(startCommand="python app.py"), "config.start_command"),
    "port outside of a shell": (_config(startCommand="tilores serve --port $PORT"), "config.start_shell"),
    "shell without exec": (_config(startCommand="sh -c 'tilores serve --port $PORT'"), "config.start_exec"),
    "listens on loopback": (_config(startCommand=SH.format(host="127.0.0.1", port="$PORT")), "config.start_host"),
    "port of its own": (_config(startCommand=SH.format(host="0.0.0.0", port="8000")), "config.start_port"),
    "old Python": (_file(".python-version", "3.9\n"), "python.version"),
    "plugins.toml elsewhere": (_config_elsewhere, "files.config"),
    "too large": (_too_large, "files.size"),
    "provider key missing": (_without("OPENAI_API_KEY"), "variables.missing.OPENAI_API_KEY"),
    "chat keys missing": (_without("TILORES_API_KEYS"), "variables.missing.TILORES_API_KEYS"),
    "admin keys missing": (_without("TILORES_ADMIN_KEYS"), "variables.missing.TILORES_ADMIN_KEYS"),
    "empty variable": (_set(send=False), "variables.empty"),
    "Redis on loopback": (_there(REDIS_URL="redis://localhost:6379"), "variables.local"),
    "reference to no service": (_there(REDIS_URL="${{Cache.REDIS_URL}}"), "variables.reference"),
    "host is loopback": (_set(variables={"TILORES_HOST": "127.0.0.1"}), "variables.host"),
    "chat without keys": (_there(TILORES_ALLOW_ANONYMOUS="true"), "variables.anonymous"),
    "debug log": (_there(TILORES_LOG_LEVEL="debug"), "variables.debug"),
    "database over the public network": (
        _there(DATABASE_URL="postgresql://u:p@a.proxy.rlwy.net:1/app"),
        "variables.public",
    ),
    "database is a file": (_not_there("DATABASE_URL"), "state.ephemeral"),
    "no Redis": (_not_there("REDIS_URL"), "redis.missing"),
    "no domain": (_railway(domains=[]), "domain.missing"),
    "domain leads elsewhere": (_there(PORT="9000"), "domain.port"),
    "domain is not verified": (
        _railway(custom_domains=[{"domain": "a.example", "targetPort": None, "status": {"verified": False}}]),
        "domain.unverified",
    ),
    "deployment in progress": (_in_progress, "deployment.in_progress"),
    "last deployment crashed": (_last_failed, "deployment.last_failed"),
    "no file, no health check": (_no_file_and_no_health_check, "service.health_path"),
    "no file, no draining": (_no_file_and_no_draining, "service.draining"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_fault_is_found_with_what_mends_it(railway: RailwayServer, project: DeployProject, name: str) -> None:
    spoil, check = FAULTS[name]
    if name == "empty variable":
        railway.variables |= VALUES | {"OPENAI_API_KEY": ""}
    if name == "domain leads elsewhere":
        railway.domains[0]["targetPort"] = 8080
    changed = spoil(railway, project)
    settings = changed if isinstance(changed, dict) else {}
    findings = await found(railway, changed if isinstance(changed, DeployProject) else project, **settings)
    [finding] = [one for one in findings if one.check == check]
    assert finding.state in ("warning", "problem")
    assert finding.fix
    secrets = [DATABASE, "secret-of-redis", *(value for key, value in VALUES.items() if key != "TILORES_HOST")]
    assert not any(
        secret in f"{one.detail} {one.fix}" for one in findings for secret in secrets if secret != "0.0.0.0"
    )


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"DATABASE_URL": None}, "state.replicas"),
        ({"REDIS_URL": None}, "redis.missing"),
        ({"RAILWAY_VOLUME_MOUNT_PATH": "/data"}, "state.volume"),
    ],
)
async def test_replicas_need_shared_state(
    railway: RailwayServer, project: DeployProject, changes: dict[str, str | None], check: str
) -> None:
    config = copy.deepcopy(RAILWAY_JSON)
    config["deploy"]["numReplicas"] = 2
    write_config(project.folder, config)
    for name, value in changes.items():
        if value is None:
            del railway.variables[name]
        else:
            railway.variables[name] = value
    findings = await found(railway, project)
    assert [one.state for one in findings if one.check == check] == ["problem"]
