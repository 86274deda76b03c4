"""`tilores <plugin id> …`, with throw-away distributions found by the real scan."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.host.throwaway_plugins import Site, good

GREETER = """
import typer
from pydantic import BaseModel, ConfigDict
from tilores_core import CommandSpec, hookimpl

class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = "nobody"

def build(context):
    app = typer.Typer(help="Greets.")

    @app.command()
    def hello(loud: bool = False):
        "Say hello."
        text = f"hello {context.settings.name}"
        typer.echo(text.upper() if loud else text)

    @app.command()
    def fail():
        "Fail."
        from tilores_core import TiloresError
        raise TiloresError("it did not work", fix="do it better")

    @app.command()
    def crash():
        "Crash."
        raise RuntimeError("nobody thought of this")

    return app

@hookimpl
def register_commands(): return [CommandSpec(name="greeter", factory=build, settings=Settings)]
"""
BOOM = "import os\nos._exit(77)  # an import would end the command\n"


@pytest.fixture
def site(tilores: Command, tmp_path: Path) -> Site:
    folder = tmp_path / "site"
    folder.mkdir()
    tilores.variables["PYTHONPATH"] = str(folder)
    return Site(folder)


def test_its_commands_are_run_with_its_settings_and_only_it_is_loaded(tilores: Command, site: Site) -> None:
    site.install("greeter", GREETER)
    site.install("boom", BOOM)
    listed = " ".join(tilores.run("--help").stdout.split()).partition("Installed plugins: ")[2]
    assert {"boom", "greeter"} <= set(listed.partition(".")[0].split(", "))
    listing = tilores.run("greeter", "--help").stdout
    assert "Usage: tilores greeter" in listing
    assert "Say hello." in listing
    assert tilores.run("greeter", "hello").stdout == "hello nobody\n"
    tilores.config('[plugins.greeter]\nname = "you"\n')
    done = tilores.run("greeter", "hello", "--loud")
    assert done.stdout == "HELLO YOU\n"
    assert done.stderr == ""


def test_its_wrong_use_and_its_errors_look_like_ours(tilores: Command, site: Site) -> None:
    site.install("greeter", GREETER)
    assert "Did you mean 'hello'?" in tilores.fails("greeter", "helo", code=2)
    assert tilores.fails("greeter", "fail") == "error: it did not work\n  fix:  do it better\n"
    said = tilores.fails("greeter", "crash")
    assert "error: RuntimeError: nobody thought of this" in said
    assert "tilores --verbose" in said
    assert "in crash" in tilores.run("--verbose", "greeter", "crash").stderr


def test_one_that_cannot_be_used_says_why(tilores: Command, site: Site) -> None:
    site.install("greeter", GREETER)
    site.install("broken", "import no_such_library\n")
    site.install("odd", GREETER.replace("return app", "return 3").replace("greeter", "odd"))
    site.install("quiet", good("quiet"))
    assert "disabled: --disable-plugin" in tilores.fails("--disable-plugin", "greeter", "greeter", "hello")
    assert "disabled: --no-plugins" in tilores.fails("--no-plugins", "greeter", "hello")
    assert "missing dependency 'no_such_library'" in tilores.fails("broken", "hello")
    assert "not a typer.Typer" in tilores.fails("odd", "hello") or "lacks" in tilores.fails("odd", "hello")
    assert "'quiet' has no commands of its own" in tilores.fails("quiet", "hello", code=2)
    tilores.config("[plugins.greeter]\nnme = 'x'\n")
    assert "did you mean 'name'?" in tilores.fails("greeter", "hello")
