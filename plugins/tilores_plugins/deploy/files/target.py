"""The target `files`: what it deploys is written into the project's folder, for other tools to take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from tilores_core import (
    DeployError,
    DeployFinding,
    DeployJournal,
    DeployLog,
    Deployment,
    DeployProject,
    PluginContext,
    Progress,
)
from tilores_plugins.deploy.files.render import differing, render


class FilesTarget:
    async def check(self, project: DeployProject) -> list[DeployFinding]:
        texts = render(project)
        others = await asyncio.to_thread(differing, project.folder, texts)
        missing = [path for path in texts if not (project.folder / path).is_file()]
        found = []
        if others:
            fix = "keep them if you changed them, or tilores deploy files --force"
            detail = f"not as the settings say: {', '.join(others)}"
            found.append(DeployFinding("files.differ", detail, fix, "warning"))
        if missing:
            detail = f"missing: {', '.join(missing)}"
            found.append(DeployFinding("files.missing", detail, "tilores deploy files", "warning"))
        return found or [DeployFinding("files", f"{len(texts)} files are as the settings say", state="ok")]

    async def up(self, project: DeployProject, journal: DeployJournal, progress: Progress) -> Deployment:
        for path in self.write(project, project.folder, overwrite=False):
            progress(f"wrote {path}")
        return Deployment(id="files", state="running", detail="written", active=True)

    def write(self, project: DeployProject, folder: Path, *, overwrite: bool) -> list[Path]:
        texts = render(project)
        others = differing(folder, texts)
        if others and not overwrite:
            raise DeployError(
                f"these files are there with another text: {', '.join(others)}",
                fix="keep them if you changed them, or give --force to replace them",
            )
        written = []
        try:
            for path, text in texts.items():
                target = folder / path
                if not target.is_file() or path in others:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(text, encoding="utf-8")
                    written.append(Path(path))
        except OSError as error:
            raise DeployError(f"{error.filename} cannot be written: {error.strerror}") from None
        return written

    async def status(self) -> list[Deployment]:
        return []

    async def logs(self, deployment: str | None = None, *, lines: int = 200) -> AsyncIterator[DeployLog]:
        empty: tuple[DeployLog, ...] = ()
        for line in empty:
            yield line

    async def rollback(self, project: DeployProject, deployment: Deployment, progress: Progress) -> Deployment:
        raise DeployError("files are not rolled back", fix="use your version control")

    async def aclose(self) -> None:
        return None


def build(context: PluginContext) -> FilesTarget:
    return FilesTarget()
