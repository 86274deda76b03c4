"""Everything that would make a deployment on Railway fail or misbehave, before it happens. Nothing is changed."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import SecretStr

from tilores_core import DeployError, DeployFinding, DeployProject, DeployVariable
from tilores_plugins.deploy.railway import archive, config_file, documents
from tilores_plugins.deploy.railway.api import NotAuthorizedError, RailwayApi, UnclearError
from tilores_plugins.deploy.railway.config_file import ConfigFile
from tilores_plugins.deploy.railway.scope import Scope, ScopeError
from tilores_plugins.deploy.railway.settings import Settings

_finding: Final = DeployFinding
_REFERENCE: Final = re.compile(r"\$\{\{\s*([^}.]+)\.[^}]+\}\}")
_PYTHON_FILES: Final = (".python-version", "runtime.txt")
_IN_PROGRESS: Final = frozenset(("QUEUED", "INITIALIZING", "WAITING", "BUILDING", "DEPLOYING"))


async def run_checks(
    settings: Settings,
    project: DeployProject,
    api: Callable[[], RailwayApi],
    find_scope: Callable[[], Awaitable[Scope]],
) -> list[DeployFinding]:
    """The files first, which need no token, then what Railway says. Raises nothing of what it finds."""
    config, found = config_file.read(project)
    if config is not None:
        found += config_file.check(config, project)
    found += _files(settings, project)
    try:
        client, scope = api(), await find_scope()
        found += await _on_railway(client, scope, settings, project, config)
    except ScopeError as error:
        found.append(_finding(error.check, error.message, error.fix or ""))
    except NotAuthorizedError as error:
        found.append(_finding("token.rejected", error.message, error.fix or ""))
    except UnclearError as error:
        found.append(_finding("api.unreachable", error.message, error.fix or ""))
    except DeployError as error:
        name = "token.missing" if settings.token is None else "api.refused"
        found.append(_finding(name, error.message, error.fix or ""))
    if all(finding.state == "ok" for finding in found):
        found.append(_finding("railway", "nothing stands in the way of a deployment", "", "ok"))
    return found


def _files(settings: Settings, project: DeployProject) -> Iterator[DeployFinding]:
    for name in _PYTHON_FILES:
        version = re.search(r"(\d+)\.(\d+)", _first_line(project, name))
        lowest = tuple(int(part) for part in project.python.split("."))
        if version and (int(version[1]), int(version[2])) < lowest:
            detail = f"{name} asks for Python {version[0]}, and {project.python} is the lowest that works"
            yield _finding("python.version", detail, f"write {project.python} or newer")
    if not any((project.folder / name).is_file() for name in ("requirements.txt", "pyproject.toml", "Dockerfile")):
        detail = "there is neither a Dockerfile nor requirements.txt, so tilores-core would not be installed"
        yield _finding("files.requirements", detail, "tilores deploy files .")
    outside = not project.config.resolve().is_relative_to(project.folder.resolve())
    if outside and "tilores_core" not in project.config.parts:  # the packaged file lies in the library
        detail = f"{project.config.name} lies outside of the project's folder and is not deployed"
        yield _finding("files.config", detail, "put it into the folder, and name it by TILORES_CONFIG")
    if settings.source == "upload" and (bytes_ := archive.size(project.folder)) > settings.most_upload_bytes:
        detail = f"the project's files are {bytes_ / 1e6:.0f} MB; [plugins.railway] most_upload_bytes allows less"
        yield _finding("files.size", detail, "keep data and builds out of it by .gitignore")


async def _on_railway(
    api: RailwayApi, scope: Scope, settings: Settings, project: DeployProject, config: ConfigFile | None
) -> list[DeployFinding]:
    answer = await api.query(documents.INSTANCE, **scope.ids)
    instance, domains = answer["serviceInstance"], answer["domains"]
    values = await api.query(documents.VARIABLES, **scope.ids)
    raw: Mapping[str, str] = values["variables"]
    future = {**values["rendered"], **raw, **settings.variables_for(project)}
    count = config_file.replicas(config, instance["numReplicas"])
    found = [*_variables(future, raw, scope, project), *_state(future, count, project)]
    found += _service(instance, config, settings, project)
    found += _domains(domains, future)
    listed = await api.query(documents.DEPLOYMENTS, input=scope.ids, first=1, **scope.ids)
    for edge in listed["deployments"]["edges"]:
        status = edge["node"]["status"]
        if status in _IN_PROGRESS:
            detail = f"a deployment is {status.lower()} already"
            found.append(_finding("deployment.in_progress", detail, "wait for it: tilores deploy status", "warning"))
        elif status in ("FAILED", "CRASHED"):
            detail = f"the last deployment {status.lower()}"
            found.append(_finding("deployment.last_failed", detail, "tilores deploy logs says why", "warning"))
    return found


def _variables(
    future: Mapping[str, str], raw: Mapping[str, str], scope: Scope, project: DeployProject
) -> Iterator[DeployFinding]:
    """Check the variables. `future`: what the deployment would get. Names are said, values never."""
    for name, variable in sorted(project.variables.items()):
        if variable.required and name not in future:
            detail = f"{name} is not set, which {' and '.join(variable.needed_by)} needs"
            yield _finding(f"variables.missing.{name}", detail, f"set {name} on Railway, or here to have it sent")
        elif variable.required and not future[name].strip():
            yield _finding("variables.empty", f"{name} is empty", f"give {name} a value on Railway")
    for name in sorted(future):
        value = future[name]
        known = name in project.variables or name.endswith("_URL")
        if known and DeployVariable(name=name, value=SecretStr(value)).is_local:
            detail = f"{name} is an address of the container itself, where nothing answers"
            yield _finding("variables.local", detail, f"refer to the service: {name} = ${{{{Service.{name}}}}}")
        for service in _REFERENCE.findall(raw.get(name, "") or value):
            if service.strip() not in scope.services and service.strip() != "shared":
                detail = f"{name} refers to a service '{service.strip()}', and the project has none of that name"
                yield _finding("variables.reference", detail, f"its services: {', '.join(scope.services)}")
    if future.get("TILORES_HOST", "0.0.0.0") in ("127.0.0.1", "localhost", "::1"):  # noqa: S104  # compared with
        yield _finding("variables.host", "TILORES_HOST is loopback, where Railway cannot reach it", "set 0.0.0.0")
    if future.get("TILORES_ALLOW_ANONYMOUS", "").lower() in ("1", "true", "yes") and not project.chat_open:
        detail = "TILORES_ALLOW_ANONYMOUS lets everyone on the internet ask about your customers"
        yield _finding("variables.anonymous", detail, "remove it on Railway, and set TILORES_API_KEYS")
    if future.get("TILORES_LOG_LEVEL", "").lower() == "debug":
        yield _finding("variables.debug", "TILORES_LOG_LEVEL is debug, which is slow", "set info", "warning")


def _state(future: Mapping[str, str], count: int, project: DeployProject) -> Iterator[DeployFinding]:
    database, redis = future.get("DATABASE_URL", ""), future.get("REDIS_URL", "")
    volume = future.get("RAILWAY_VOLUME_MOUNT_PATH", "")
    on_volume = bool(volume) and future.get("TILORES_DATA_DIR", "").startswith(volume)
    has_database = database.startswith(("postgres", "${{"))
    if not has_database and not on_volume:
        detail = "durable state would be in a file of the container, and end with the deployment"
        yield _finding(
            "state.ephemeral",
            detail,
            "set DATABASE_URL = ${{Postgres.DATABASE_URL}}, or put TILORES_DATA_DIR on a volume",
        )
    if not has_database and count > 1:
        detail = f"{count} replicas would each have a database of their own"
        yield _finding("state.replicas", detail, "set DATABASE_URL to one PostgreSQL for all")
    if volume and count > 1:
        yield _finding("state.volume", "a service with a volume has one replica", "numReplicas: 1, or no volume")
    if project.uses_redis and not redis:
        detail = "without REDIS_URL answers are cached in the memory of each replica alone, and end with it"
        yield _finding(
            "redis.missing", detail, "set REDIS_URL = ${{Redis.REDIS_URL}}", "problem" if count > 1 else "warning"
        )
    for name, url in (("DATABASE_URL", database), ("REDIS_URL", redis)):
        if ".proxy.rlwy.net" in url or ".up.railway.app" in url:
            detail = f"{name} goes over the public network, which is slower and paid by volume"
            yield _finding("variables.public", detail, f"use the private one: ${{{{Service.{name}}}}}", "warning")


def _service(
    instance: Mapping[str, Any], config: ConfigFile | None, settings: Settings, project: DeployProject
) -> Iterator[DeployFinding]:
    """Settings of the service, which a file overrides."""
    source = instance["source"] or {}
    if settings.source == "connected" and not (source.get("repo") or source.get("image")):
        detail = "the service is connected to neither a repository nor an image, so there is nothing to build"
        yield _finding("service.source", detail, 'connect it on Railway, or set [plugins.railway] source = "upload"')
    if config is not None:
        return
    if instance["cronSchedule"]:
        yield _finding("service.cron", "the service runs on a schedule and is stopped between", "remove the schedule")
    if instance["healthcheckPath"] != project.health_path:
        detail = "the service has no health check, or another one: calls may reach a server that is not ready"
        yield _finding("service.health_path", detail, f"set it to {project.health_path}, or tilores deploy files .")
    if (instance["drainingSeconds"] or 0) < project.draining_seconds:
        drains, longest = instance["drainingSeconds"] or 0, project.draining_seconds
        detail = f"the service drains for {drains} s, and answers take up to {longest} s"
        yield _finding("service.draining", detail, "raise it, or tilores deploy files .")


def _domains(domains: Mapping[str, Any], future: Mapping[str, str]) -> Iterator[DeployFinding]:
    every = [*domains["serviceDomains"], *domains["customDomains"]]
    if not every:
        detail = "the service has no public address, so it cannot be asked whether it works"
        yield _finding("domain.missing", detail, "add a domain to the service on Railway", "warning")
    port = future.get("PORT")
    for domain in every:
        if domain["targetPort"] is not None and port is not None and str(domain["targetPort"]) != port:
            detail = f"the domain leads to port {domain['targetPort']}, and the server listens on PORT"
            yield _finding("domain.port", detail, "make both the same")
    for domain in domains["customDomains"]:
        if not (domain["status"] or {}).get("verified"):
            detail = f"{domain['domain']} is not verified: its DNS records are missing"
            yield _finding("domain.unverified", detail, "add the records that Railway shows", "warning")


def _first_line(project: DeployProject, name: str) -> str:
    try:
        with (project.folder / name).open(encoding="utf-8") as file:
            return file.readline(200)
    except (OSError, ValueError):
        return ""
