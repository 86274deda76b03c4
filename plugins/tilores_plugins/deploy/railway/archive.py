"""The files of a project, as Railway takes them: a tar archive, compressed."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from tilores_core import DeployError, DeployProject

_SECONDS: Final = 60.0
_NEVER: Final = frozenset(
    (".git", ".venv", "__pycache__", "node_modules", ".mypy_cache", ".ruff_cache", ".pytest_cache")
)


def files(folder: Path) -> list[Path]:
    """What git knows or does not ignore; without git all files but those of tools. Never a `.env`.

    Raises `DeployError`.
    """
    try:
        command = ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True)  # noqa: S603  # git
        found = [Path(name) for name in done.stdout.decode("utf-8", "surrogateescape").split("\0") if name]
    except (OSError, subprocess.SubprocessError):
        found = [path.relative_to(folder) for path in folder.rglob("*") if not _NEVER & set(path.parts)]
    return sorted(
        path
        for path in found
        if (folder / path).is_file()
        and ((path.name != ".env" and not path.name.startswith(".env.")) or path.name == ".env.template")
    )


def size(folder: Path) -> int:
    """Bytes of all files together, before compression."""
    return sum((folder / path).stat().st_size for path in files(folder))


def pack(project: DeployProject, most_bytes: int) -> bytes:
    """The same bytes for the same files. Raises `DeployError` when it is too large."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for path in files(project.folder):
            info = tar.gettarinfo(str(project.folder / path), str(path))
            info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
            if info.isfile():
                with (project.folder / path).open("rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
            if buffer.tell() > most_bytes:
                raise DeployError(
                    f"the project's files are more than {most_bytes} bytes, compressed",
                    fix="keep data out by .gitignore, or raise [plugins.railway] most_upload_bytes",
                )
    return buffer.getvalue()
