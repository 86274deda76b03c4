"""What a deploy target remembers between two runs, in the data folder, and the lock that keeps two runs apart."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tilores_core.errors import DeployError

_MOST_BYTES = 1024 * 1024


class Journal:
    """A `DeployJournal` for one target: a file that is replaced as a whole."""

    def __init__(self, data_dir: Path, target: str) -> None:
        self._path = data_dir / "deploy" / f"{target}.json"

    def read(self) -> dict[str, Any]:
        """What was written last; empty at first. Raises `DeployError` for a file that is not ours."""
        try:
            with self._path.open("rb") as file:
                entry = json.loads(file.read(_MOST_BYTES))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise DeployError(
                f"{self._path} cannot be read ({type(error).__name__})",
                fix="see `tilores deploy status`, and remove the file once nothing is being deployed",
            ) from None
        if not isinstance(entry, dict):
            raise DeployError(f"{self._path} is not a journal of deployments", fix="remove the file")
        return entry

    def write(self, entry: Mapping[str, Any]) -> None:
        """Replace what there is; on the disk when it returns. Raises `DeployError`."""
        temporary = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(dict(entry), file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise DeployError(
                f"{self._path} cannot be written: {error.strerror}",
                fix="a deployment must be able to go on; mend that",
            ) from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold it for the block, in this process alone. Raises `DeployError` when another process has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.with_suffix(".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DeployError(
                    "another `tilores deploy` is at work on this target", fix="wait until it has ended"
                ) from None
            yield
