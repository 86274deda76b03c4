"""What commands that promise to be quick may import. No times: those are benchmarks/cli."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.command import Command

HEAVY = {
    "fastapi",
    "starlette",
    "uvicorn",
    "langchain_core",
    "langsmith",
    "phonenumbers",
    "redis",
    "hiredis",
    "limits",
}
SCRIPT = """
import sys
from tilores_core.cli import main
sys.argv = ["tilores", *{words!r}]
try:
    main()
except SystemExit as ended:
    code = ended.code
print("CODE", code, *sorted({{name.partition(".")[0] for name in sys.modules}}), file=sys.stderr)
"""


def imported(tilores: Command, *words: str) -> set[str]:
    """The top-level modules that a call of the command has imported."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(words=words)],
        cwd=tilores.folder,
        env=tilores.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    code, *names = done.stderr.rpartition("CODE ")[2].split()
    assert code in {"0", "None"}, done.stderr
    return set(names)


@pytest.mark.parametrize("words", [("--help",), ("--version",)], ids=" ".join)
def test_help_imports_no_settings_and_nothing_heavy(tilores: Command, words: tuple[str, ...]) -> None:
    assert not imported(tilores, *words) & (HEAVY | {"pydantic", "structlog", "orjson", "tilores_plugins"})


@pytest.mark.parametrize("group", ["plugins", "cache", "ask", "serve", "doctor"])
def test_help_of_a_command_imports_nothing_heavy(tilores: Command, group: str) -> None:
    assert not imported(tilores, group, "--help") & (HEAVY | {"tilores_plugins"})


def test_listing_plugins_imports_no_plugin_and_nothing_heavy(tilores: Command) -> None:
    assert not imported(tilores, "plugins", "list") & (HEAVY | {"pydantic_settings", "structlog", "tilores_plugins"})


def test_models_needs_no_web_server_and_no_model_library(tilores: Command) -> None:
    assert not imported(tilores, "models") & (HEAVY - {"phonenumbers"})
