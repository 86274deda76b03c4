"""The log events in the code, and their table in docs/logs.md.

`python -m tests.docs.log_events` writes the table again: with rows for new events, whose meaning is then written by
hand, and without those that are gone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.docs.words import ROOT, modules

PAGE = ROOT / "docs" / "logs.md"
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*(\.[a-z][a-z0-9]*(_[a-z0-9]+)*)+")
LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
_LOGGERS = frozenset({"log", "_log", "logger"})
_ROW = re.compile(r"^\| `(?P<event>[^`|]+)` \| [^|]* \| [^|]* \| (?P<meaning>[^|]*) \|$", re.MULTILINE)
_TABLE = re.compile(r"^\| event \|.*?(?=\n\n|\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class LogCall:
    """One call of a logger. `event` is None where it is not a literal."""

    path: Path
    line: int
    level: str
    event: str | None
    values: tuple[str, ...]

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(ROOT).as_posix()}:{self.line}"


@cache
def calls() -> tuple[LogCall, ...]:
    """Every call of a logger in the product."""
    return tuple(_calls())


def _calls() -> Iterator[LogCall]:
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            if name not in _LOGGERS or node.func.attr not in LEVELS:
                continue
            first = node.args[0] if node.args else None
            event = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
            values = tuple(word.arg for word in node.keywords if word.arg not in (None, "exc_info"))
            level = "error" if node.func.attr == "exception" else node.func.attr
            yield LogCall(path, node.lineno, level, event, tuple(value for value in values if value))


def meanings() -> dict[str, str]:
    """Event -> what the page says it means."""
    return {row["event"]: row["meaning"].strip() for row in _ROW.finditer(PAGE.read_text())}


def table() -> str:
    """The table as the code and the written meanings make it."""
    written = meanings()
    levels: dict[str, set[str]] = {}
    values: dict[str, dict[str, None]] = {}
    for call in calls():
        if call.event is not None and NAME.fullmatch(call.event):
            levels.setdefault(call.event, set()).add(call.level)
            values.setdefault(call.event, {}).update(dict.fromkeys(call.values))
    rows = ["| event | level | values | meaning, and what to do |", "| --- | --- | --- | --- |"]
    for event in sorted(levels):
        shown = ", ".join(f"`{value}`" for value in values[event])
        rows.append(f"| `{event}` | {', '.join(sorted(levels[event]))} | {shown} | {written.get(event, '')} |")
    return "\n".join(rows)


def current_table() -> str:
    found = _TABLE.search(PAGE.read_text())
    assert found is not None
    return found[0].rstrip()


if __name__ == "__main__":
    text = PAGE.read_text()
    PAGE.write_text(_TABLE.sub(lambda _: table(), text).rstrip() + "\n")
