"""Deployment: what is deployed (`DeployProject`), and what a platform offers for it (`DeployTarget`)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

if TYPE_CHECKING:  # a command would otherwise import pydantic before it can end quietly
    from pydantic import SecretStr

_LOCAL: Final = re.compile(
    r"^(unix|sqlite)[+\w]*://|(//|@)(localhost|127\.\d+\.\d+\.\d+|\[::1\]|0\.0\.0\.0)(?=[:/]|$)"
)

FindingState = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class DeployFinding:
    """The result of one check. `check`: its name, stable, such as `variables.missing`. `fix`: what to do when it is
    not ok. Neither text ever holds the value of a variable."""

    check: str
    detail: str
    fix: str = ""
    state: FindingState = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployVariable:
    """A variable that the deployed program reads.

    `needed_by`: plugins or parts, for people. `required`: the program does not work as configured without it.
    `value`: what the machine that deploys has for it; None: nothing.
    """

    name: str
    needed_by: tuple[str, ...] = ()
    required: bool = False
    secret: bool = True
    value: SecretStr | None = None

    @property
    def is_local(self) -> bool:
        """Whether the value is an address of the machine that deploys, which means another machine once deployed."""
        return self.value is not None and _LOCAL.search(self.value.get_secret_value()) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployProject:
    """What is deployed: the program in `folder` with the active settings.

    `config`: the plugins.toml in use, which may lie outside of `folder`. `model`: the default one. `python`: the
    lowest version that works. `draining_seconds`: how long a server that ends may take to finish its requests.
    `uses_redis`: a cache tier is shared between servers. `chat_open`: requests are answered without a key. `extras`:
    of the distribution, that the enabled plugins need.
    """

    folder: Path
    config: Path
    model: str
    python: str = "3.11"
    health_path: str = "/health/ready"
    draining_seconds: int = 30
    uses_redis: bool = False
    chat_open: bool = False
    variables: Mapping[str, DeployVariable] = field(default_factory=dict)
    extras: tuple[str, ...] = ()


DeploymentState = Literal["in progress", "running", "failed", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One deployment on the platform, whose own `id` it has.

    `url`: where it answers, None without a public address. `created`: ISO 8601, empty when the platform does not say.
    `detail`: the platform's word for its state, or why it failed. `can_rollback`: the platform can go back to it.
    """

    id: str
    state: DeploymentState
    url: str | None = None
    created: str = ""
    detail: str = ""
    active: bool = False
    can_rollback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployLog:
    """One line of a log, the platform's time and severity as they are. `part`: `build` or `run`."""

    text: str
    time: str = ""
    severity: str = "info"
    part: Literal["build", "run"] = "run"


class DeployJournal(Protocol):
    """What a target remembers of a deployment that was begun, so that the same command goes on after an interruption.

    What `write` has returned from survives `kill -9`. It never holds the value of a secret. The key `rollout` is the
    caller's: a target leaves it as it is.
    """

    def read(self) -> dict[str, Any]: ...

    def write(self, entry: Mapping[str, Any]) -> None: ...


Progress = Callable[[str], None]
"""Gets one line of text for each step, to be shown at once."""


class SupportsFiles(Protocol):
    """An ability of a target that works through files in the project's folder: `tilores deploy files` uses it."""

    def write(self, project: DeployProject, folder: Path, *, overwrite: bool) -> list[Path]:
        """Write what is missing; with `overwrite` also what is there with another text. The paths that were written.

        Raises `DeployError` before anything is written when something is there and may not be replaced.
        """


class DeployTarget(Protocol):
    """A platform. All methods raise `DeployError`; none may block the event loop. Every call to the platform has a
    deadline. The caller checks health, asks a test question, and rolls back when they fail: a target does not."""

    async def check(self, project: DeployProject) -> list[DeployFinding]:
        """Everything on the platform that would make a deployment fail or misbehave. Changes nothing."""

    async def up(self, project: DeployProject, journal: DeployJournal, progress: Progress) -> Deployment:
        """Deploy, and wait until it runs or failed. After an interruption at any step the same call goes on: it
        finds what was begun, and deploys once."""

    async def status(self) -> list[Deployment]:
        """The deployments that the platform knows, the newest first; at most 20."""

    def logs(self, deployment: str | None = None, *, lines: int = 200) -> AsyncIterator[DeployLog]:
        """The last lines of a deployment, the newest one when none is named, oldest line first."""

    async def rollback(self, project: DeployProject, deployment: Deployment, progress: Progress) -> Deployment:
        """Make an earlier deployment of `status` the active one, and wait until it is."""

    async def aclose(self) -> None: ...
