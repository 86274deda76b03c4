"""Calls of the program, with a deadline; what it prints is parsed, and what it complains about is passed on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tilores_core import DeployError, DeployFinding, DeployJournal, Deployment, DeployProject, Progress
from tilores_plugins.deploy.docker.settings import Settings

_ENGINES: Final = ("docker", "podman")
_LONGEST_COMPLAINT: Final = 400
_ALWAYS: Final = {"BUILDAH_FORMAT": "docker"}
"""Podman's own format of images leaves their health check out."""


def new_tag() -> str:
    """Tags sort by time."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S")


def find_engine(settings: Settings) -> str | None:
    """The path of the program; None when there is none."""
    return next((found for name in (settings.engine, *_ENGINES) if name and (found := shutil.which(name))), None)


@dataclass(frozen=True, slots=True)
class Engine:
    program: str
    settings: Settings
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, environment: Mapping[str, str] | None = None) -> Engine:
        """Raises `DeployError` when neither program is installed."""
        program = find_engine(settings)
        if program is None:
            raise DeployError(
                "neither docker nor podman is installed here",
                fix="install one, or write files for another machine: tilores deploy files",
            )
        return cls(program, settings, environment or {})

    async def call(
        self, *arguments: str, seconds: float | None = None, folder: Path | None = None, errors: bool = False
    ) -> str:
        """What it prints. `environment` reaches it as variables, never as arguments, which everyone here can read.

        errors: with its standard error, in the order of printing; the log of a container has both.
        Raises `DeployError` with the end of what it complains about.
        """
        longest = seconds or self.settings.call_seconds
        process = await asyncio.create_subprocess_exec(
            self.program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if errors else asyncio.subprocess.PIPE,
            cwd=folder,
            env={**os.environ, **_ALWAYS, **self.environment},
        )
        try:
            async with asyncio.timeout(longest):
                out, complaint = await process.communicate()
        except TimeoutError:
            raise DeployError(f"'{self._display_command(arguments)}' did not end within {longest:g} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            lines = (complaint or out).decode(errors="replace").strip().splitlines()
            end = " ".join(lines[-3:])[-_LONGEST_COMPLAINT:] or f"exit code {process.returncode}"
            raise DeployError(
                f"'{self._display_command(arguments)}' failed: {end}",
                fix="tilores deploy check says what the engine needs",
            )
        return out.decode(errors="replace")

    async def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """Output of `--format json`: one object a line (docker) or one list (podman)."""
        text = (await self.call(*arguments, "--format", "json")).strip()
        if text.startswith("["):
            found = json.loads(text)
        else:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        return [row for row in found if isinstance(row, dict)]

    async def tags(self) -> list[str]:
        """Tags of the project's images, the newest first."""
        found = {str(row.get("Tag") or _tag_of(row)) for row in await self.rows("image", "ls", self.settings.name)}
        return sorted((tag for tag in found if _is_ours(tag)), reverse=True)

    async def image(
        self, project: DeployProject, journal: DeployJournal, known: Collection[str], progress: Progress
    ) -> str:
        """The tag of the deployment that `journal` remembers, or of a new one, built unless it is in `known`."""
        entry, settings = journal.read(), self.settings
        tag = str(entry.get("tag") or new_tag())
        journal.write(entry | {"tag": tag})
        if tag not in known:
            progress(f"building {settings.name}:{tag}")
            await self.call(
                *("build", "--file", settings.dockerfile, "--tag", f"{settings.name}:{tag}", "."),
                seconds=settings.build_seconds,
                folder=project.folder,
            )
        return tag

    async def try_call(self, *arguments: str) -> None:
        """For what may as well stay."""
        with contextlib.suppress(DeployError):
            await self.call(*arguments)

    def _display_command(self, arguments: Sequence[str]) -> str:
        words = itertools.takewhile(lambda word: not word.startswith("-"), arguments[:2])
        return " ".join([Path(self.program).name, *words])


class ImageTarget(ABC):
    """What both targets share: a deployment is an image of the project, and its id the tag of the image."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def up(self, project: DeployProject, journal: DeployJournal, progress: Progress) -> Deployment:
        engine = Engine.of(self._settings)
        tag = await engine.image(project, journal, [deployment.id for deployment in await self.status()], progress)
        made = await self._start(project, tag, progress)
        for old in (await self.status())[self._settings.keep :]:
            if not old.active:
                await self._remove(engine, old)
        return made

    @abstractmethod
    async def status(self) -> list[Deployment]:
        """Those that there are images of, the newest first."""

    @abstractmethod
    async def _start(self, project: DeployProject, tag: str, progress: Progress) -> Deployment:
        """Run the image in the place of what runs; `failed` where the caller is to go back."""

    async def _remove(self, engine: Engine, deployment: Deployment) -> None:
        await engine.try_call("image", "rm", f"{self._settings.name}:{deployment.id}")

    async def _find(self, tag: str) -> Deployment | None:
        return next((deployment for deployment in await self.status() if deployment.id == tag), None)

    def _address(self) -> str:
        return f"http://{self._settings.address}:{self._settings.port}"

    async def aclose(self) -> None:
        return None


async def check_engine(settings: Settings, project: DeployProject, file: str) -> list[DeployFinding]:
    """Is the program there, does its service answer, and is there what it is given?"""
    try:
        engine = Engine.of(settings)
    except DeployError as error:
        return [DeployFinding("engine.missing", error.message, error.fix or "")]
    found = []
    started = time.monotonic()
    try:
        await engine.call("version")
    except DeployError as error:
        fix = "start its service, and make sure that you may use it"
        if not settings.engine and Path(engine.program).name != _ENGINES[1] and shutil.which(_ENGINES[1]):
            fix += f", or set [plugins.docker] engine to '{_ENGINES[1]}', which is installed as well"
        found.append(DeployFinding("engine.version", error.message, fix))
    if not (project.folder / file).is_file():
        detail = f"there is no file '{file}' in the project's folder"
        found.append(DeployFinding("files.missing", detail, "tilores deploy files"))
    if missing := sorted(v.name for v in project.variables.values() if v.required and v.value is None):
        detail = f"not set here: {', '.join(missing)}"
        fix = "set them here or in .env; the container gets them from there"
        found.append(DeployFinding("variables.missing", detail, fix))
    if not found:
        detail = f"{Path(engine.program).name} answers ({time.monotonic() - started:.1f} s)"
        found.append(DeployFinding("engine", detail, state="ok"))
    return found


def values(project: DeployProject) -> dict[str, str]:
    return {
        name: variable.value.get_secret_value()
        for name, variable in project.variables.items()
        if variable.value is not None
    }


def container_name(row: Mapping[str, Any]) -> str:
    names = row.get("Names")
    return str(names[0]) if isinstance(names, list) and names else str(names or "")


def _is_ours(tag: str) -> bool:
    return len(tag) == 15 and tag[8] == "-" and tag.replace("-", "").isdigit()


def _tag_of(row: Mapping[str, Any]) -> str:
    return str((row.get("Names") or [""])[0]).rpartition(":")[2]
