"""The failed lines of a finished batch, as an input that can be run again."""

from __future__ import annotations

from pathlib import Path

import orjson

from tilores_core.errors import TiloresError
from tilores_core.jobs.batch_input import Reading, read_batch
from tilores_core.jobs.batch_output import written
from tilores_core.jobs.batch_rows import input_row


def failures_path(output: Path) -> Path:
    """`answers.jsonl` -> `answers.jsonl.failed.jsonl`."""
    return output.with_name(f"{output.name}.failed.jsonl")


def write_failures(source: Path, output: Path, reading: Reading) -> int:
    """How many there are; without any a file of an earlier run is taken away.

    Both files are read side by side, one line of each in memory: so it is right after any number of interruptions.
    Raises `InvalidRequestError`, `TiloresError`.
    """
    path = failures_path(output)
    fresh = path.with_name(f"{path.name}.new")
    count = 0
    try:
        with fresh.open("wb") as file:
            for line, row in zip(read_batch(source, reading), written(output), strict=False):
                if "error" in row:
                    file.write(orjson.dumps(input_row(line), option=orjson.OPT_APPEND_NEWLINE))
                    count += 1
        if count:
            fresh.replace(path)
        elif path != source:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise TiloresError(
            f"{path} cannot be written: {error.strerror}", fix="make room; --resume writes it again"
        ) from error
    finally:
        fresh.unlink(missing_ok=True)
    return count
