"""What was finished before its turn when a batch was ended early: kept beside the output for the next run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from tilores_core.jobs.batch_output import Row


def early_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.early")


def keep_early(output: Path, rows: Mapping[int, Row]) -> None:
    """In place of what was kept before. Raises `OSError`."""
    path = early_path(output)
    if not rows:
        path.unlink(missing_ok=True)
        return
    lines = [orjson.dumps([place, row], option=orjson.OPT_APPEND_NEWLINE) for place, row in sorted(rows.items())]
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(b"".join(lines))
    fresh.replace(path)


def take_early(output: Path) -> dict[int, dict[str, Any]]:
    """What was kept, by place; empty when nothing was, or when it cannot be read."""
    with suppress(OSError, ValueError, TypeError):
        lines = early_path(output).read_bytes().splitlines()
        return {int(place): row for place, row in map(orjson.loads, lines) if isinstance(row, dict)}
    return {}
