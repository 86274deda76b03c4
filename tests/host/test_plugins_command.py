from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from typer.testing import CliRunner, Result

from tests.host.throwaway_plugins import Site, good
from tilores_core.cli.command import app
from tilores_core.settings.loader import PACKAGED

BOOM = "import os\nos._exit(77)  # an import would end the tests\n"
CONFIG = """# the operator's own words
[host]
autoload = "all"   # everything

[plugins.alpha]    # near
# size is in entries
max_entries = 10000
url = { env = "URL", default = "" }
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, no variables of ours."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("TILORES_")]:
        monkeypatch.delenv(name)
    return folder


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["plugins", *words])


def rows(*words: str) -> dict[str, dict[str, Any]]:
    result = run(*words, "--json")
    assert result.exit_code in {0, 1}, result.output
    return {row["id"]: row for row in json.loads(result.stdout)}


def test_list_shows_every_plugin_and_imports_none(site: Site, here: Path) -> None:
    site.install("alpha", BOOM)
    site.install("beta", BOOM, requires=["tilores-core>=99"])
    (here / "plugins.toml").write_text("[plugins.alpha]\nenabled = false\norder = 7")
    result = run("list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["ID", "STATE", "VERSION", "DISTRIBUTION", "ORDER", "LOAD", "PROVIDES"]
    table = {line.split()[0]: line for line in lines[1:]}
    assert re.fullmatch(r"alpha +disabled +1\.2\.3 +dist-alpha +7 +- +\(plugins\.toml\)", table["alpha"])
    assert re.match(r"beta +incompatible .*\(it needs tilores-core>=99, this is", table["beta"])
    assert set(rows("list")) == set(table)
    assert rows("list")["alpha"] == {
        "id": "alpha",
        "state": "disabled",
        "reason": "plugins.toml",
        "fix": "",
        "version": "1.2.3",
        "distribution": "dist-alpha",
        "target": "alpha",
        "builtin": False,
        "order": 7,
        "required": False,
        "load_ms": None,
        "provides": [],
    }


def test_list_honours_the_variables(site: Site, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("alpha", BOOM)
    monkeypatch.setenv("TILORES_PLUGINS_DISABLE", "alpha,nobody")
    assert rows("list")["alpha"]["reason"] == "TILORES_PLUGINS_DISABLE"
    assert "no plugin 'nobody' is installed" in run("list").stderr
    (here / ".env").write_text("TILORES_CONFIG=elsewhere.toml\n")
    (here / "elsewhere.toml").write_text("[plugins.alpha]\norder = 42")
    assert rows("list")["alpha"]["order"] == 42


def test_disable_and_enable_keep_every_word(site: Site, here: Path) -> None:
    site.install("alpha", BOOM)
    path = here / "plugins.toml"
    path.write_text(CONFIG)
    path.chmod(0o600)
    assert run("disable", "alpha").exit_code == 0
    disabled = path.read_text()
    assert tomlkit.parse(disabled)["plugins"]["alpha"]["enabled"] is False
    assert set(CONFIG.splitlines()) < set(disabled.splitlines())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert rows("list")["alpha"]["state"] == "disabled"
    assert run("enable", "alpha").exit_code == 0
    assert path.read_text() == disabled.replace("enabled = false", "enabled = true")
    assert rows("list")["alpha"]["state"] == "enabled"
    assert [item.name for item in here.iterdir()] == ["plugins.toml"]


def test_a_plugin_without_a_table_gets_one(site: Site, here: Path) -> None:
    site.install("alpha", BOOM)
    for text in ("", "[host]\nstrict = false\n", "[plugins.other]\norder = 3\n", "plugins = {}\n"):
        (here / "plugins.toml").write_text(text)
        assert run("disable", "alpha").exit_code == 0, text
        written = tomlkit.parse((here / "plugins.toml").read_text()).unwrap()
        assert written["plugins"]["alpha"] == {"enabled": False}
        assert (here / "plugins.toml").read_text().startswith(text.rstrip("}\n"))


def test_without_a_file_the_packaged_one_is_copied_first(site: Site, here: Path) -> None:
    site.install("alpha", BOOM)
    before = PACKAGED.read_text()
    result = run("disable", "alpha")
    assert result.exit_code == 0
    assert "plugins.toml" in result.stdout
    written = (here / "plugins.toml").read_text()
    assert written.startswith(before.rstrip())
    assert "[plugins.alpha]\nenabled = false" in written
    assert PACKAGED.read_text() == before


def test_a_symbolic_link_stays_one(site: Site, here: Path, tmp_path: Path) -> None:
    site.install("alpha", BOOM)
    (tmp_path / "real.toml").write_text("")
    (here / "plugins.toml").symlink_to(tmp_path / "real.toml")
    assert run("disable", "alpha").exit_code == 0
    assert (here / "plugins.toml").is_symlink()
    assert "enabled = false" in (tmp_path / "real.toml").read_text()


def test_enable_and_disable_work_on_a_file_with_a_wrong_key(site: Site, here: Path) -> None:
    site.install("alpha", BOOM)
    (here / "plugins.toml").write_text("[host]\nautolod = 1\n")
    result = run("disable", "alpha")
    assert result.exit_code == 0
    assert "did you mean 'autoload'?" in result.stderr


def test_enable_says_when_something_else_still_holds_it_back(
    site: Site, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("alpha", BOOM)
    monkeypatch.setenv("TILORES_PLUGINS_DISABLE", "alpha")
    assert "disabled all the same: TILORES_PLUGINS_DISABLE" in run("enable", "alpha").stderr


@pytest.mark.parametrize("command", ["enable", "disable", "show", "check", "schema"])
def test_an_unknown_id_is_answered_with_the_nearest(site: Site, here: Path, command: str) -> None:
    site.install("alpha", BOOM)
    result = run(command, "alhpa")
    assert result.exit_code == 1
    assert "did you mean 'alpha'?" in result.stderr
    assert not list(here.iterdir())


@pytest.mark.parametrize("text", ["a =", "[plugins]\nalpha = 3"])
def test_a_file_that_cannot_be_edited_is_left_alone(site: Site, here: Path, text: str) -> None:
    site.install("alpha", BOOM)
    (here / "plugins.toml").write_text(text)
    result = run("disable", "alpha")
    assert result.exit_code == 1
    assert "plugins.toml" in result.stderr
    assert (here / "plugins.toml").read_text() == text


SETTINGS = """
from pydantic import BaseModel, ConfigDict, Field, SecretStr

class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    url: SecretStr = Field(SecretStr(""), description="where it is")
    size: int = Field(description="how large")
    mode: str | None = None
"""


def with_settings(site: Site) -> None:
    spec = "factory=Tier, settings='alpha_settings:Settings', environment={'url': 'ALPHA_URL'}"
    code = {"alpha.py": good("alpha").replace("factory=Tier", spec), "alpha_settings.py": SETTINGS}
    site.install("alpha", code)


def test_show_says_everything_but_values(site: Site, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_settings(site)
    monkeypatch.setenv("ALPHA_URL", "redis://:hunter2-very-secret@here")
    (here / "plugins.toml").write_text("[plugins.alpha]\nsize = 12345")
    result = run("show", "alpha")
    assert result.exit_code == 0, result.output
    for part in (
        "active",
        "dist-alpha 1.2.3",
        "cache:alpha",
        "size = (needed)  # whole number. how large",
        "ALPHA_URL",
    ):
        assert part in result.stdout
    assert "hunter2" not in result.output + run("show", "alpha", "--json").output
    settings = {row["key"]: row for row in rows("show", "alpha")["alpha"]["settings"]}
    assert settings["mode"] == {"key": "mode", "type": "string", "default": "(none)", "description": ""}


def test_show_of_a_broken_plugin_fails_and_has_the_traceback_on_request(site: Site, here: Path) -> None:
    site.install("alpha", "def deep():\n    raise ValueError('at the bottom')\n\ndeep()\n")
    site.install("beta", BOOM)
    short, long = run("show", "alpha"), run("show", "alpha", "--traceback")
    assert short.exit_code == long.exit_code == 1
    assert "ValueError: at the bottom" in short.stdout
    assert "Traceback" not in short.output
    assert 'line 2, in deep\n    raise ValueError("at' in long.stdout.replace("'at", '"at')
    assert rows("show", "alpha", "--traceback")["alpha"]["state"] == "failed"


def test_show_of_a_disabled_plugin_does_not_import_it(site: Site, here: Path) -> None:
    site.install("alpha", BOOM)
    (here / "plugins.toml").write_text("[plugins.alpha]\nenabled = false")
    result = run("show", "alpha")
    assert result.exit_code == 0
    assert "disabled" in result.stdout


def test_schema_is_json_schema(site: Site, here: Path) -> None:
    with_settings(site)
    (here / "plugins.toml").write_text("[plugins.alpha]\nsize = 1")
    schema = json.loads(run("schema", "alpha").stdout)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["size"]
    site.install("plain", good("plain"))
    assert json.loads(run("schema", "plain").stdout)["additionalProperties"] is False
    (here / "plugins.toml").write_text("[plugins.alpha]\nenabled = false")
    result = run("schema", "alpha")
    assert result.exit_code == 1
    assert "tilores plugins enable alpha" in result.stderr


SERVICES = """
from tilores_core import CustomerSourceSpec, LLMProviderSpec, hookimpl

@hookimpl
def register_customer_sources(): return [CustomerSourceSpec(name="people", factory=print)]
@hookimpl
def register_llm_providers(): return [LLMProviderSpec(name="talk", factory=print)]
"""
USE = '[host]\nautoload = "none"\n[use]\ncache = ["alpha"]\nsource = "people"\nmodel = "talk:big"\n'
ON = "[plugins.services]\nenabled = true\n[plugins.alpha]\nenabled = true\n"


def test_check_of_everything(site: Site, here: Path) -> None:
    site.install("services", SERVICES)
    site.install("alpha", good("alpha"))
    (here / "plugins.toml").write_text(USE + ON)
    result = run("check")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert re.search(r"alpha +active +1\.2\.3 +dist-alpha +100 +\d+ ms +cache:alpha", result.stdout)
    (here / "plugins.toml").write_text(USE.replace('"alpha"', '"alhpa"') + ON + "size = 3")
    result = run("check")
    assert result.exit_code == 1
    assert "use.cache[0]: there is no cache tier 'alhpa'; did you mean 'alpha'?" in result.stderr
    assert "plugins.alpha.size: unknown key" in result.stderr
    report = json.loads(run("check", "--json").stdout)
    assert set(report) == {"plugins", "problems", "warnings"}
    assert len(report["problems"]) == 2


def test_check_fails_on_a_broken_plugin_that_nobody_uses(site: Site, here: Path) -> None:
    site.install("services", SERVICES)
    site.install("alpha", good("alpha"))
    site.install("gamma", "import nowhere_sdk", requires=["nowhere-sdk; extra == 'all'"])
    (here / "plugins.toml").write_text(USE + ON + "[plugins.gamma]\nenabled = true")
    result = run("check")
    assert result.exit_code == 1
    assert "plugin 'gamma' (dist-gamma 1.2.3) not loaded: missing-dependency" in result.stderr
    assert "fix:  pip install 'dist-gamma[all]'    more:  tilores plugins show gamma --traceback" in result.stderr


def test_check_of_one_loads_that_one(site: Site, here: Path) -> None:
    site.install("alpha", good("alpha"))
    site.install("beta", BOOM)
    result = run("check", "alpha")
    assert result.exit_code == 0, result.output
    assert "beta" not in result.stdout


def test_a_wrong_configuration_is_one_sentence_and_exit_code_1(here: Path) -> None:
    (here / "plugins.toml").write_text("[host]\nautolod = 1")
    for command in ("list", "check"):
        result = run(command)
        assert result.exit_code == 1
        assert "plugins.toml: host.autolod: unknown key" in result.stderr
        assert "Traceback" not in result.output


def test_wrong_use_is_exit_code_2(here: Path) -> None:
    assert run("show").exit_code == 2
    assert run("list", "--nonsense").exit_code == 2


def test_new_refuses_what_will_not_do(here: Path) -> None:
    for name in ("Acme", "acme_cache", "-acme", "acme--cache", "../acme", "a" * 80):
        result = run("new", "--", name)
        assert result.exit_code == 1, name
        assert "lower case letters" in result.stderr
    (here / "acme-cache").mkdir()
    assert "there already" in run("new", "acme-cache").stderr
    assert list((here / "acme-cache").iterdir()) == []


HEAVY = {"fastapi", "starlette", "uvicorn", "langchain_core", "pydantic_settings", "limits", "phonenumbers", "httpx"}


@pytest.mark.parametrize(
    "words", [["plugins", "list"], ["plugins", "list", "--json"], ["plugins", "disable", "alpha"], ["--help"]]
)
def test_what_is_imported_is_within_the_budget(site: Site, here: Path, words: list[str]) -> None:
    """Metadata alone: no plugin, no web framework, no model library. In a process of its own, by `sys.modules`."""
    site.install("alpha", BOOM)
    code = f"""
import sys
sys.argv = ["tilores", *{words!r}]
from tilores_core.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("\\n".join(["MODULES", *sys.modules]))
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(site.path)},
        cwd=here,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    modules = {name.partition(".")[0] for name in result.stdout.partition("MODULES\n")[2].split()}
    assert "typer" in modules
    assert not modules & (HEAVY | {"alpha", "tilores_plugins"})
