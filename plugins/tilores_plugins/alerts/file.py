"""Notices as lines of JSON in a file, for its owner only."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from tilores_core import AlertChannelError, AlertChannelSpec, AlertNotice, PluginContext, hookimpl
from tilores_plugins.alerts.wording import as_json

_MOST_ALERTS: Final = 1000


class Settings(BaseModel):
    """`[plugins.alert-file]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(
        "", max_length=1000, description="the file; a relative path starts at the data folder; empty: alerts.jsonl"
    )
    max_bytes: int = Field(
        20_000_000, ge=10_000, description="size from which the file is renamed to PATH.1 and begun again"
    )


class FileChannel:
    """A line is on the disk when `send` returns."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._writing = asyncio.Lock()

    async def send(self, notice: AlertNotice) -> None:
        line = json.dumps(as_json(notice, _MOST_ALERTS), ensure_ascii=False) + "\n"
        async with self._writing:
            try:
                await asyncio.to_thread(self._append, line.encode())
            except OSError as error:
                raise AlertChannelError(
                    f"the file cannot be written: {error.strerror}", fix="make room, or correct [plugins.alert-file]"
                ) from None

    async def aclose(self) -> None:
        return None

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        with os.fdopen(handle, "ab") as file:
            if file.tell() and file.tell() + len(line) > self._max_bytes:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                return self._append(line)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        return None


def build(context: PluginContext) -> FileChannel:
    settings: Settings = context.settings
    return FileChannel(context.data_dir / (settings.path or "alerts.jsonl"), settings.max_bytes)


@hookimpl
def register_alert_channels() -> list[AlertChannelSpec]:
    return [
        AlertChannelSpec(
            name="file", factory=build, settings=Settings, summary="Lines of JSON in a file of the data folder"
        )
    ]
