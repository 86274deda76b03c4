"""Settings in the pages, in .env.template and in plugins.toml are those that the program has."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs import settings_reference
from tests.docs.error_reference import unnamed_errors
from tests.docs.markdown_blocks import ROOT, Block, all_toml_blocks
from tilores_core.files import read_text
from tilores_core.host.host import PluginHost
from tilores_core.host.plan import DISABLE_VARIABLE, ONLY_VARIABLE
from tilores_core.settings import Environment, load_environment
from tilores_core.settings.loader import PACKAGED, LoadedConfig, parse_config

TEMPLATE = ROOT / ".env.template"


def _problems(text: str, path: Path) -> list[str]:
    """What is wrong with a plugins.toml: its tables, and those of built-in plugins."""
    loaded = LoadedConfig(config=parse_config(text, path), path=path, packaged=False)
    host = PluginHost.examine(loaded, variables={}, data_dir=Path(), no_plugins=True, check_use=False)
    return [str(problem) for problem in host.problems]


@pytest.mark.parametrize("block", all_toml_blocks(), ids=lambda block: block.title)
def test_toml_in_the_pages_is_a_valid_configuration(block: Block) -> None:
    assert _problems(block.text, Path("plugins.toml")) == []


def test_there_is_toml_in_every_page_about_settings() -> None:
    found = {block.page for block in all_toml_blocks()}
    assert {f"docs/{name}.md" for name in ("cache", "cache-redis", "customers", "operations", "plugins")} <= found


@pytest.mark.parametrize("path", [ROOT / "plugins.toml", PACKAGED], ids=["checkout", "packaged"])
def test_plugins_toml_is_valid_and_so_is_what_it_comments_out(path: Path) -> None:
    text = read_text(path)
    assert _problems(text, path) == []
    shown = re.sub(r"^# (\[[a-z.]+\]|\w+ = )", r"\1", text, flags=re.MULTILINE)
    assert shown != text
    assert parse_config(shown, path).keys


def test_the_checkouts_plugins_toml_is_the_packaged_one() -> None:
    assert (ROOT / "plugins.toml").read_text() == PACKAGED.read_text()


def _references(table: Any) -> Iterator[str]:
    """The variables that `{ env = … }` names in a plugins.toml."""
    if isinstance(table, dict):
        if isinstance(table.get("env"), str):
            yield table["env"]
        for value in table.values():
            yield from _references(value)


def _variables() -> set[str]:
    host = settings_reference.builtin_host()
    plugins = {
        variable
        for record in host.plugins
        if (loaded := host.active_plugin(record.id))
        for registration in loaded.registrations
        for variable in registration.spec.environment.values()
    }
    referred = set(_references(tomllib.loads(PACKAGED.read_text())))
    own = {str(field.alias) for field in Environment.model_fields.values()}
    return own | plugins | referred | {DISABLE_VARIABLE, ONLY_VARIABLE}


def test_every_variable_is_in_the_template_and_no_other() -> None:
    listed = re.findall(r"^([A-Z_]+)=", TEMPLATE.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(_variables())


def test_the_template_as_it_stands_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _variables():
        monkeypatch.delenv(name, raising=False)
    assert load_environment(TEMPLATE) == load_environment(None)


def test_the_packaged_file_has_a_table_for_every_tier_it_names() -> None:
    config = tomllib.loads(PACKAGED.read_text())
    assert set(config["use"]["cache"]) <= set(config["plugins"])


def test_every_error_that_a_caller_can_meet_is_in_the_table() -> None:
    assert unnamed_errors() == set()
