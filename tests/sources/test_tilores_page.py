"""docs/tilores.md says what is so: its commands and its settings are tried on an instance."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from textwrap import dedent

import pytest

from tests.e2e.running_server import TILORES, clean_environment
from tests.processes.forked import run
from tests.processes.on_path import commands_folder
from tests.sources.tilores_client import connected, in_thread
from tests.tilores_instance import TiloresInstance
from tilores_plugins.sources.tilores import register_customer_sources
from tilores_plugins.sources.tilores.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "tilores.md").read_text(encoding="utf-8")
TOML = [dedent(block) for block in re.findall(r"(?:^    .+\n|^\n(?=    ))+", PAGE, re.MULTILINE)]
SHELL = list[str](re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))


def test_its_variables_are_those_of_the_plugin() -> None:
    (spec,) = register_customer_sources()
    assert set(re.findall(r"`(TILORES_[A-Z_]+)`", PAGE)) == set(spec.environment.values())


def test_the_settings_it_speaks_of_are_there() -> None:
    spoken = set(re.findall(r"`(\w+_(?:fields?|seconds|hours|share|flight|depth))`", PAGE))
    assert len(spoken) > 10
    assert spoken <= set(Settings.model_fields)
    for name, default in re.findall(r"`(\w+)`\D{0,20}, default ([\d.]+)", PAGE):
        assert str(Settings.model_fields[name.lower().removeprefix("tilores_")].default) == default


async def test_its_configuration_works(tmp_path: Path) -> None:
    first, second = (tomllib.loads(block) for block in TOML)
    assert first["use"] == {"source": "tilores"}
    table = second["plugins"]["tilores"]
    given = {**first["plugins"]["tilores"], "parameters": {"customer_id": table["parameters"]["customer_id"]}}
    Settings.model_validate(table)
    async with TiloresInstance() as instance, connected(instance, tmp_path, **given) as source:
        customer = await source.get("ACC-70010130")
        assert customer is not None
        assert customer.name == "Bartholomew Quill"


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.splitlines()[0])
def test_its_commands_work(block: str, tmp_path: Path) -> None:
    (tmp_path / "plugins.toml").write_text(f"schema = 1\n{TOML[0]}".replace("[use]", "[use]\ncache = ['memory']"))
    with in_thread(TiloresInstance()) as instance:
        environment = clean_environment(
            PATH=os.pathsep.join((str(commands_folder(TILORES)), str(TILORES.parent), os.environ["PATH"])),
            TILORES_DATA_DIR=str(tmp_path / "data"),
            TILORES_API_URL=instance.api_url,
            TILORES_TOKEN_URL=instance.token_url,
            TILORES_CLIENT_ID=instance.client_id,
            TILORES_CLIENT_SECRET=instance.client_secret,
        )
        done = subprocess.run(
            ["bash", "-ec", block], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    assert instance.client_secret not in done.stdout + done.stderr
    if "doctor" in block:
        assert "tilores: 20 fields" in done.stdout
        assert "88000" in done.stdout.replace(",", "")


def test_the_doctor_is_not_content_with_a_schema_from_an_earlier_start(tmp_path: Path) -> None:
    (tmp_path / "plugins.toml").write_text('[use]\nsource = "tilores"\ncache = ["memory"]\n')
    said = []
    with in_thread(TiloresInstance()) as instance:
        for secret in (instance.client_secret, "another"):
            environment = clean_environment(
                TILORES_DATA_DIR=str(tmp_path / "data"),
                TILORES_API_URL=instance.api_url,
                TILORES_TOKEN_URL=instance.token_url,
                TILORES_CLIENT_ID=instance.client_id,
                TILORES_CLIENT_SECRET=secret,
            )
            done = run([TILORES, "doctor"], cwd=tmp_path, env=environment)
            said.append((done.returncode, done.stdout))
    (well, found), (ill, problem) = said
    assert (well, ill) == (0, 1), said
    assert "ok       source: tilores: 20 fields" in found
    assert "problem  source: the token endpoint does not know the client" in problem
