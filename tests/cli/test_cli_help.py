"""What a person sees first: help, and what is said about wrong use."""

from __future__ import annotations

import re

import pytest
import typer

from tests.cli.command import Command
from tilores_core import __version__


def _commands() -> list[tuple[str, ...]]:
    from tilores_core.cli.command import app

    found: list[tuple[str, ...]] = []

    def walk(command: object, path: tuple[str, ...]) -> None:
        found.append(path)
        for name, child in getattr(command, "commands", {}).items():
            walk(child, (*path, name))

    walk(typer.main.get_command(app), ())
    return found


COMMANDS = _commands()


def test_the_commands_are_those_promised() -> None:
    top = {path[0] for path in COMMANDS if path}
    assert top == {
        "serve",
        "ask",
        "batch",
        "chat",
        "models",
        "doctor",
        "plugins",
        "cache",
        "prewarm",
        "questions",
        "evaluate",
        "worker",
        "state",
        "customers",
        "forget",
        "alerts",
        "deploy",
        "experiments",
        "improve",
        "learning",
        "prompts",
    }
    assert {path[1] for path in COMMANDS if len(path) == 2 and path[0] == "cache"} == {"stats", "invalidate", "clear"}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help(tilores: Command, path: tuple[str, ...]) -> None:
    done = tilores.run(*path, "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert f"Usage: tilores {' '.join(path)}".rstrip() in done.stdout
    assert not re.search(r"--[a-z-]+ <", done.stdout), "a type instead of a name for a value"
    assert not [line for line in done.stdout.splitlines() if line.endswith(" Missing help")]
    assert not re.findall(r"^  .*\.\.\.$", done.stdout, re.MULTILINE), "a summary that is cut off"


def test_help_names_the_installed_plugins(tilores: Command) -> None:
    said = " ".join(tilores.run("--help").stdout.split())
    listed = said.partition("Installed plugins: ")[2].partition(".")[0].split(", ")
    assert listed == sorted(listed)
    assert {"demo", "demo-model", "file", "memory", "openai", "redis", "tilores"} <= set(listed)


def test_version(tilores: Command) -> None:
    assert tilores.run("--version").stdout == f"{__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["asl"], "Did you mean 'ask'?"),
        (["ask"], "Missing argument"),
        (["ask", "hi", "--modl", "x"], "--model"),
        (["ask", " "], "'QUESTION': it is empty"),
        (["ask", "hi", "--verbose"], "--verbose stands before the command: tilores --verbose … ask …"),
        (["models", "--config", "x"], "--config stands before the command"),
        (["--config", "nowhere.toml", "models"], "'nowhere.toml' does not exist"),
        (["demo"], "'demo' has no commands of its own. See: tilores plugins show demo"),
        (["serve", "--port", "99999"], "--port"),
        (["serve", "--workers", "0"], "--workers"),
        (["serve", "--log-level", "loud"], "'debug', 'info', 'warning', 'error'"),
        (["cache", "invalidate"], "give exactly one of them"),
        (["cache", "invalidate", "--key", "digest"], "write it as namespace:digest"),
        (["cache", "invalidate", "--key", "a:b", "--namespace", "answers"], "give exactly one of them"),
        (["cache", "invalidate", "--customer", ""], "give exactly one of them"),
        (["cache", "invalidate", "--namespace", "answer"], "did you mean 'answers'?"),
        (["cache", "clear"], "--yes"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_exit_code_2_with_a_hint(tilores: Command, words: list[str], said: str) -> None:
    assert said in " ".join(tilores.fails(*words, code=2).split())


@pytest.mark.parametrize("group", [(), ("plugins",), ("cache",)], ids=str)
def test_a_group_alone_shows_its_help(tilores: Command, group: tuple[str, ...]) -> None:
    done = tilores.run(*group)
    assert done.returncode == 2
    assert "Commands:" in done.stderr


def test_a_wrong_variable_is_named_with_its_mend_and_without_its_value(tilores: Command) -> None:
    said = tilores.fails("models", variables={"TILORES_API_KEYS": "s3cret", "PORT": "many"})
    assert "error: environment: PORT:" in said
    assert "TILORES_API_KEYS: write each key as name:secret" in said
    assert "  fix:  " in said
    assert "s3cret" not in said


def test_a_traceback_only_when_asked_for(tilores: Command) -> None:
    tilores.config("[use]\nsource = 'nobody'\n")
    assert "there is no source 'nobody'" in tilores.fails("models")
    done = tilores.run("--verbose", "models")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.rstrip().splitlines()[-1].startswith("  fix:")
