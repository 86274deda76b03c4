"""The catalogue on disk, so that a start while the instance is down still knows it. Blocking: call it in a thread."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import structlog

from tilores_plugins.sources.tilores.catalogue import Catalogue, from_json, to_json

_log = structlog.get_logger(part="source")

_MOST_BYTES = 8 * 1024 * 1024


class SchemaFile:
    """One file for one instance, told apart by its address."""

    def __init__(self, data_dir: Path, api_url: str) -> None:
        name = hashlib.sha256(api_url.encode()).hexdigest()[:16]
        self._path = data_dir / "tilores" / f"schema-{name}.json"

    def load(self) -> Catalogue | None:
        """What was kept last; None when there is nothing, or nothing that can be read."""
        try:
            with self._path.open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
            return None if len(data) > _MOST_BYTES else from_json(data)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.warning("tilores.schema_file_unusable", error=type(error).__name__)
            return None

    def save(self, catalogue: Catalogue) -> None:
        """Replace the file as a whole. That it cannot be written is only logged."""
        data = to_json(catalogue)
        if len(data) > _MOST_BYTES:
            _log.warning("tilores.schema_file_too_large", bytes=len(data))
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".schema-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                os.replace(name, self._path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name)
                raise
        except OSError as error:
            _log.warning("tilores.schema_file_not_written", error=error.strerror)
