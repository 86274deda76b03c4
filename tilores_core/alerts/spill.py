"""Files of alerts that the store did not take: one for each process, whole at any moment, for its owner only."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog
from pydantic import TypeAdapter

from tilores_core.files import replace_file
from tilores_core.resilience.presence import machine, process_exists
from tilores_core.store.topics import AlertReport

log = structlog.get_logger(part="alerts")

_SUFFIX: Final = ".alerts.json"
_OLD_SECONDS: Final = 60.0
_REPORTS: Final = TypeAdapter(list[AlertReport])


class SpillFile:
    """The file of this process in `folder`. Both methods raise `OSError`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _name()

    def write(self, reports: Sequence[AlertReport]) -> None:
        """Replace what the file holds; it is on the disk when this returns."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = _REPORTS.dump_json([*reports], fallback=dict, warnings=False)  # other mappings than dicts
        replace_file(self.path, written)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def take_over(folder: Path, own: SpillFile) -> list[tuple[Path, list[AlertReport]]]:
    """What processes that are gone have left, under names of this process. Remove each file when done.

    A process that waits for the store writes its file once a second, so an old file has no process: its id may be
    another's by now.

    Raises `OSError`.
    """
    found: list[tuple[Path, list[AlertReport]]] = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        if path == own.path:
            continue
        mine = folder / _name()
        with suppress(FileNotFoundError):  # another process was faster
            if _is_used(path):
                continue
            path.rename(mine)
            try:
                found.append((mine, _REPORTS.validate_json(mine.read_bytes())))
            except ValueError as error:
                log.error("alerts.spill_damaged", file=mine.name, error=type(error).__name__)
                mine.rename(mine.with_suffix(".damaged"))
    return found


def _name() -> str:
    return f"{_host()}~{os.getpid()}~{uuid.uuid4().hex[:8]}{_SUFFIX}"


def _host() -> str:
    return machine().replace("~", "-").replace("/", "-")


def _is_used(path: Path) -> bool:
    if time.time() - path.stat().st_mtime > _OLD_SECONDS:
        return False
    host, pid, _ = path.name.removesuffix(_SUFFIX).rsplit("~", 2)
    return host != _host() or (pid != str(os.getpid()) and process_exists(int(pid)))
