"""The lines of a batch in small groups, each line with what the batch knows of it already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tilores_core.jobs.batch_index import AnsweredIndex, line_key
from tilores_core.jobs.batch_input import BatchLine


@dataclass(frozen=True, slots=True)
class Todo:
    """`earlier`: the row of a line before it that asked the same, when that was written before this was read."""

    line: BatchLine
    key: bytes
    earlier: dict[str, Any] | None


def read_group(lines: Iterator[BatchLine], index: AnsweredIndex, count: int) -> list[Todo]:
    """The next lines, at most `count`; empty at the end. It waits for the disk."""
    group = [(line, line_key(line)) for line in islice(lines, count)]
    earlier = index.find([key for _, key in group])
    return [Todo(line, key, earlier.get(key)) for line, key in group]
