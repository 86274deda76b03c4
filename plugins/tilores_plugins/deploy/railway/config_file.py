"""railway.json: is it what Railway's parser takes, and does it start and end the program as it should?

https://docs.railway.com/reference/config-as-code; where the page and the parser disagree, as the parser does.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError

from tilores_core import DeployFinding, DeployProject

_finding: Final = DeployFinding
NAMES: Final = ("railway.json", "railway.toml")
REGIONS: Final = frozenset(("us-west2", "us-east4-eqdc4a", "europe-west4-drams3a", "asia-southeast1-eqsg3a"))
_MOST_BYTES: Final = 256 * 1024
_LEAST_READY_SECONDS: Final = 30


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Build(_Part):
    builder: Literal["RAILPACK", "DOCKERFILE"] | None = None
    buildCommand: str | None = None  # the file's own names
    dockerfilePath: str | None = None
    watchPatterns: list[str] | None = None
    railpackVersion: str | None = None


class Region(_Part):
    numReplicas: StrictInt | None = Field(None, ge=1, le=50)


class Deploy(_Part):
    startCommand: str | None = None
    preDeployCommand: list[str] | str | None = None
    healthcheckPath: str | None = None
    healthcheckTimeout: StrictInt | None = Field(None, ge=1)
    restartPolicyType: Literal["ON_FAILURE", "ALWAYS", "NEVER"] | None = None
    restartPolicyMaxRetries: StrictInt | None = Field(None, ge=0)
    numReplicas: StrictInt | None = Field(None, ge=1, le=50)
    multiRegionConfig: dict[str, Region] | None = None
    region: str | None = None
    overlapSeconds: StrictInt | None = Field(None, ge=0)
    drainingSeconds: StrictInt | None = Field(None, ge=0)
    cronSchedule: str | None = None
    sleepApplication: StrictBool | None = None


class Parts(_Part):
    build: Build = Build()
    deploy: Deploy = Deploy()


class ConfigFile(Parts):
    schema_url: str | None = Field(None, alias="$schema")
    environments: dict[str, Parts] = {}


def read(project: DeployProject) -> tuple[ConfigFile | None, list[DeployFinding]]:
    """The file, None without a usable one, and what is wrong with its form."""
    path = next((project.folder / name for name in NAMES if (project.folder / name).is_file()), None)
    if path is None:
        detail = "there is no railway.json, so Railway starts and ends the program as it guesses"
        return None, [_finding("config.missing", detail, "tilores deploy files .", "warning")]
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode()
        data: Any = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        detail = f"{path.name} cannot be read: {str(error).splitlines()[0]}"
        return None, [_finding("config.syntax", detail, "correct it, or tilores deploy files .")]
    try:
        return ConfigFile.model_validate(data), []
    except ValidationError as error:
        return None, [_problem(path, item) for item in error.errors(include_url=False, include_input=False)]


def check(config: ConfigFile, project: DeployProject) -> Iterator[DeployFinding]:
    """What a well-formed file says that does not fit this program."""
    yield from _starting(config, project)
    deploy = config.deploy
    if deploy.healthcheckPath != project.health_path:
        detail = f"healthcheckPath is not {project.health_path}, which says whether calls can be answered"
        yield _finding("config.health_path", detail, f'"healthcheckPath": "{project.health_path}"')
    if deploy.healthcheckTimeout is not None and deploy.healthcheckTimeout < _LEAST_READY_SECONDS:
        detail = f"healthcheckTimeout is {deploy.healthcheckTimeout} s; a first start may take longer"
        yield _finding("config.health_timeout", detail, '"healthcheckTimeout": 120', "warning")
    if (deploy.drainingSeconds or 0) < project.draining_seconds:
        detail = (
            f"drainingSeconds is {deploy.drainingSeconds or 'not set, which is 0'}: "
            f"answers that take up to {project.draining_seconds} s are cut off when a deployment ends"
        )
        yield _finding("config.draining", detail, f'"drainingSeconds": {project.draining_seconds + 5}')
    if not deploy.overlapSeconds:
        detail = "without overlapSeconds the old deployment may end before calls reach the new one"
        yield _finding("config.overlap", detail, '"overlapSeconds": 20', "warning")
    if deploy.restartPolicyType == "NEVER":
        yield _finding("config.restart", "a server that ends stays away", '"restartPolicyType": "ON_FAILURE"')
    if deploy.cronSchedule:
        yield _finding("config.cron", "with cronSchedule the service is stopped between runs", "remove it")
    if deploy.sleepApplication:
        detail = "the service sleeps when it is not used, and the first caller waits for its start"
        yield _finding("config.sleep", detail, '"sleepApplication": false', "warning")
    for region in (*(deploy.multiRegionConfig or ()), *([deploy.region] if deploy.region else ())):
        if region not in REGIONS:
            yield _finding("config.region", f"there is no region '{region}'", f"one of: {', '.join(sorted(REGIONS))}")


def replicas(config: ConfigFile | None, instance: int | None) -> int:
    """How many servers there will be."""
    if config is not None and config.deploy.multiRegionConfig:
        return sum(region.numReplicas or 1 for region in config.deploy.multiRegionConfig.values())
    return (config.deploy.numReplicas if config is not None else None) or instance or 1


def _starting(config: ConfigFile, project: DeployProject) -> Iterator[DeployFinding]:
    build, command, start = config.build, config.deploy.startCommand, f'"startCommand": "{START_COMMAND}"'
    dockerfile = build.dockerfilePath or "Dockerfile"
    if (build.dockerfilePath or build.builder == "DOCKERFILE") and not (project.folder / dockerfile).is_file():
        yield _finding("config.dockerfile", f"there is no file '{dockerfile}'", "tilores deploy files .")
    if command is None:
        if build.builder != "DOCKERFILE" and not (project.folder / "Dockerfile").is_file():
            detail = "without startCommand Railway guesses how the program is started"
            yield _finding("config.start_command", detail, start)
        return
    if "tilores" not in command:
        yield _finding("config.start_command", "startCommand does not start tilores", start)
        return
    in_shell = re.match(r"\s*(/bin/)?(ba)?sh\s+-c\b", command)
    if "PORT" in command and not in_shell:
        detail = "startCommand uses $PORT outside of a shell, where it is not replaced"
        yield _finding("config.start_shell", detail, start)
    elif in_shell and "exec " not in command:
        detail = "startCommand's shell gets SIGTERM, and the program does not: it is killed with its requests"
        yield _finding("config.start_exec", detail, start)
    if re.search(r"--host[ =](127\.0\.0\.1|localhost|::1)", command):
        detail = "startCommand listens on loopback, where Railway cannot reach it"
        yield _finding("config.start_host", detail, start)
    if re.search(r"--port[ =]\d", command):
        detail = "startCommand has a port of its own, and Railway asks the one in PORT"
        yield _finding("config.start_port", detail, start)


START_COMMAND: Final = "sh -c 'exec tilores serve --host 0.0.0.0 --port ${PORT:-8080}'"


def _problem(path: Path, item: Any) -> DeployFinding:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "int_type":
        return _finding(
            "config.number", f"{path.name}: {where} must be a number without quotes", f'"{item["loc"][-1]}": 30'
        )
    if item["type"] == "extra_forbidden":
        return _finding("config.unknown_key", f"{path.name}: Railway knows no key {where}", "correct or remove it")
    return _finding("config.value", f"{path.name}: {where}: {item['msg']}", "correct it")
