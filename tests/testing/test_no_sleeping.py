"""Tests wait for conditions. Where one sleeps all the same, a comment beside it says why."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]
# A fake that hangs sleeps for longer than any test runs.
FOREVER = 20


def test_every_sleep_in_a_test_has_a_reason_beside_it() -> None:
    bare = [
        f"{path.relative_to(TESTS)}:{call.lineno}"
        for path in sorted(TESTS.rglob("*.py"))
        for call in _sleeps(path.read_text())
        if not _has_reason(path.read_text().splitlines(), call)
    ]
    assert bare == [], "wait with `eventually` or `wait_until`, pass a clock in, or say why nothing but time will do"


def test_sleep_without_a_reason_is_found() -> None:
    text = "import time\ntime.sleep(1)\ntime.sleep(1)  # it expires\n# it expires\ntime.sleep(1)\ntime.sleep(0)\n"
    found = [call.lineno for call in _sleeps(text) if not _has_reason(text.splitlines(), call)]
    assert found == [2]


def _sleeps(text: str) -> list[ast.Call]:
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [
        call for call in calls if ast.unparse(call.func) in {"asyncio.sleep", "time.sleep"} and not _is_exempt(call)
    ]


def _is_exempt(call: ast.Call) -> bool:
    seconds = call.args[0]
    value = seconds.value if isinstance(seconds, ast.Constant) else None
    return isinstance(value, int | float) and (value == 0 or value >= FOREVER)


def _has_reason(lines: list[str], call: ast.Call) -> bool:
    above = lines[call.lineno - 2].strip() if call.lineno > 1 else ""
    return " # " in lines[(call.end_lineno or call.lineno) - 1] or above.startswith("# ")
