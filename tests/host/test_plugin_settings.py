from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tests.host.throwaway_plugins import Examine, Site, good
from tilores_core import ConfigError
from tilores_core.host.roles import CACHE
from tilores_core.settings.references import redact, resolve_references

SECRET = "hunter2-very-secret"
SETTINGS = """
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

class Deep(BaseModel):
    model_config = ConfigDict(extra="forbid")
    keys: list[SecretStr] = []
    level: int = 1

class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")
    weight: int = 1

class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    url: SecretStr = SecretStr("")
    size: int = Field(10, ge=1)
    on: bool = False
    deep: Deep = Deep()
    rows: list[Row] = []
    named: dict[str, Row] = {}

    @field_validator("url")
    @classmethod
    def _check(cls, value):
        if value.get_secret_value().startswith("bad"):
            raise ValueError(f"cannot use {value.get_secret_value()}")
        return value
"""


@pytest.fixture
def plugin(site: Site) -> Site:
    """A plugin `alpha` with a settings model in a module of its own."""
    spec = "factory=Tier, settings='alpha_settings:Settings', environment={'url': 'ALPHA_URL', 'size': 'ALPHA_SIZE'}"
    code = {"alpha.py": good("alpha").replace("factory=Tier", spec), "alpha_settings.py": SETTINGS}
    site.install("alpha", code)
    return site


def settings(examine: Examine, toml: str = "", **variables: str) -> dict[str, object]:
    host = examine(toml, variables=variables)
    for problem in host.problems:
        raise problem
    model = host.settings("alpha").model
    assert model is not None
    return model.model_dump()


def secret(value: object) -> str:
    return value.get_secret_value()  # type: ignore[attr-defined,no-any-return]


def test_defaults_then_file_then_reference(plugin: Site, examine: Examine) -> None:
    assert settings(examine)["size"] == 10
    assert settings(examine, "[plugins.alpha]\nsize = 20")["size"] == 20
    toml = '[plugins.alpha]\nsize = { env = "SIZE", default = 30 }\non = { env = "ON" }'
    resolved = settings(examine, toml, ON="true")
    assert (resolved["size"], resolved["on"]) == (30, True)
    assert settings(examine, toml, ON="true", SIZE="40")["size"] == 40
    assert settings(examine, toml, ON="true", SIZE="")["size"] == 30


def test_the_hosts_keys_do_not_reach_the_plugin(plugin: Site, examine: Examine) -> None:
    assert settings(examine, "[plugins.alpha]\nenabled = true\norder = 3\nrequired = true\nsize = 5")["size"] == 5


def test_the_specs_variables_fill_what_the_file_does_not_say(plugin: Site, examine: Examine) -> None:
    assert secret(settings(examine, ALPHA_URL="redis://x")["url"]) == "redis://x"
    assert secret(settings(examine, ALPHA_URL="")["url"]) == ""
    toml = '[plugins.alpha]\nurl = "redis://file"'
    assert secret(settings(examine, toml, ALPHA_URL="redis://x")["url"]) == "redis://file"


def test_references_at_any_depth_and_in_files_beside_plugins_toml(
    plugin: Site, examine: Examine, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(f"{SECRET}\n")
    toml = '[plugins.alpha.deep]\nkeys = [{ file = "key" }, { env = "KEY" }]\nlevel = { env = "LEVEL" }'
    deep = settings(examine, toml, KEY="two", LEVEL="7")["deep"]
    assert isinstance(deep, dict)
    assert [secret(key) for key in deep["keys"]] == [SECRET, "two"]
    assert deep["level"] == 7


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ('url = { env = "NOT_THERE" }', ["plugin 'alpha'", "plugins.alpha.url", "variable NOT_THERE is not set"]),
        ('url = { env = "EMPTY" }', ["plugins.alpha.url", "variable EMPTY is empty"]),
        ('deep = { keys = ["a", { env = "NOT_THERE" }] }', ["plugins.alpha.deep.keys.1", "NOT_THERE"]),
        ('url = { file = "nowhere.txt" }', ["plugins.alpha.url", "nowhere.txt", "No such file"]),
        ('url = { env = "A", other = 1 }', ["plugins.alpha.url", "'other'"]),
        ('url = { env = "A", file = "b" }', ["plugins.alpha.url", "'file'"]),
        ('url = { file = "b", default = "c" }', ["plugins.alpha.url", "'default'"]),
        ("url = { env = 3 }", ["plugins.alpha.url", "'env' must be a string"]),
        ("siez = 3", ["plugins.alpha.siez", "did you mean 'size'?"]),
        ("requird = true", ["plugins.alpha.requird", "did you mean 'required'?"]),
        ("deep = { levle = 3 }", ["plugins.alpha.deep.levle", "did you mean 'level'?"]),
        ("rows = [{}, { wieght = 1 }]", ["plugins.alpha.rows.1.wieght", "did you mean 'weight'?"]),
        ("named = { x = { wieght = 1 } }", ["plugins.alpha.named.x.wieght", "did you mean 'weight'?"]),
        ("size = 0", ["plugins.alpha.size", "greater than or equal to 1"]),
        ('size = "many"', ["plugins.alpha.size", "integer"]),
        ("deep = 3", ["plugins.alpha.deep"]),
    ],
)
def test_what_the_operator_wrote_wrongly_is_named(
    plugin: Site, examine: Examine, tmp_path: Path, line: str, parts: list[str]
) -> None:
    host = examine(f"[plugins.alpha]\n{line}", variables={"A": "a", "EMPTY": ""})
    (problem,) = host.problems
    assert isinstance(problem, ConfigError)
    for part in (str(tmp_path / "plugins.toml"), *parts):
        assert part in str(problem)


def test_several_problems_are_told_together(plugin: Site, examine: Examine) -> None:
    (problem,) = examine('[plugins.alpha]\nsize = 0\non = "perhaps"\nlevel = 1').problems
    for key in ("plugins.alpha.size", "plugins.alpha.on", "plugins.alpha.level"):
        assert key in str(problem)


def test_no_secret_in_a_problem(plugin: Site, examine: Examine, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"bad-{SECRET}\n")
    for line, variables in (
        ('url = { env = "URL" }', {"URL": f"bad-{SECRET}"}),
        ('url = { file = "key" }', {}),
        ("on = true", {"ALPHA_URL": f"bad-{SECRET}"}),
        ('size = { env = "URL" }', {"URL": SECRET}),
    ):
        host = examine(f"[plugins.alpha]\n{line}", variables=variables)
        (problem,) = host.problems
        assert SECRET not in str(problem)
        assert problem.__suppress_context__ or SECRET not in repr(problem.__context__)
        assert SECRET not in json.dumps([record.as_row() for record in host.plugins])
        assert SECRET not in "".join(host.warnings)


def test_a_wrong_variable_of_the_spec_is_named(plugin: Site, examine: Examine) -> None:
    (problem,) = examine("[plugins.alpha]\non = true", variables={"ALPHA_SIZE": "0"}).problems
    assert "variable ALPHA_SIZE" in str(problem)


def test_a_missing_variable_of_a_plugin_that_is_off_does_not_matter(plugin: Site, examine: Examine) -> None:
    assert not examine('[plugins.alpha]\nenabled = false\nurl = { env = "NOT_THERE" }').problems


def test_the_settings_module_is_imported_only_when_it_is_needed(plugin: Site, examine: Examine) -> None:
    host = examine()
    assert "alpha_settings" not in sys.modules
    host.settings("alpha")
    assert "alpha_settings" in sys.modules


def test_a_plugin_without_settings_takes_the_hosts_keys_only(site: Site, examine: Examine) -> None:
    site.install("alpha", good("alpha"))
    assert examine("[plugins.alpha]\norder = 1").settings("alpha").model is None
    (problem,) = examine("[plugins.alpha]\nsize = 1\nenable = true").problems
    assert "plugins.alpha.size: unknown key" in str(problem)
    assert "did you mean 'enabled'?" in str(problem)


@pytest.mark.parametrize(
    ("settings_code", "state", "reason"),
    [
        ("import nowhere_sdk", "missing-dependency", "nowhere_sdk"),
        ("raise ValueError('x')", "failed", "ValueError"),
        ("x = 1", "failed", "has no 'Settings'"),
        ("Settings = dict", "failed", "not a pydantic model"),
        ("from pydantic import BaseModel\nclass Settings(BaseModel): pass", "failed", "unknown keys"),
        (SETTINGS.replace("url:", "uri:").replace('"url"', '"uri"'), "failed", "fills 'url' from ALPHA_URL"),
    ],
)
def test_a_settings_model_that_cannot_be_had_is_the_plugins_problem(
    plugin: Site, examine: Examine, settings_code: str, state: str, reason: str
) -> None:
    (plugin.path / "alpha_settings.py").write_text(settings_code)
    host = examine("[plugins.alpha]\non = true")
    (record,) = host.plugins
    assert record.state == state
    assert reason in record.reason
    assert host.names(CACHE) == ()


trees = st.recursive(
    st.integers() | st.text() | st.booleans(),
    lambda children: st.lists(children) | st.dictionaries(st.sampled_from(["a", "b", "default"]), children),
    max_leaves=8,
)


@given(tree=st.dictionaries(st.text(min_size=1), trees).filter(lambda t: not {"env", "file"} & t.keys()))
def test_a_table_without_references_is_copied_as_it_is(tree: dict[str, object]) -> None:
    resolved = resolve_references(tree, plugin="p", path=Path("plugins.toml"), variables={})
    assert resolved.values == tree
    assert resolved.values is not tree
    assert resolved.secrets == frozenset()


@given(keys=st.lists(st.sampled_from(["a", "b", 0]), min_size=1, max_size=6), value=st.text(min_size=1))
def test_a_reference_is_found_however_deep_it_is(keys: list[str | int], value: str) -> None:
    table: object = {"env": "NAME"}
    for key in keys:
        table = [table] if key == 0 else {key: table}
    resolved: object = resolve_references(
        {"top": table}, plugin="p", path=Path("plugins.toml"), variables={"NAME": value}
    ).values["top"]
    for key in reversed(keys):
        resolved = resolved[key]  # type: ignore[index]
    assert resolved == value


def test_a_file_is_bounded_and_loses_one_newline(tmp_path: Path) -> None:
    path = tmp_path / "plugins.toml"
    (tmp_path / "windows").write_bytes(b"value \r\n")
    (tmp_path / "huge").write_bytes(b"x" * 70_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert resolve_references({"a": {"file": "windows"}}, plugin="p", path=path, variables={}).values == {
        "a": "value "
    }
    for name, reason in (("huge", "larger than"), ("binary", "not UTF-8")):
        with pytest.raises(ConfigError, match=reason):
            resolve_references({"a": {"file": name}}, plugin="p", path=path, variables={})


def test_redacting_takes_the_longest_first() -> None:
    assert redact("secret-part and secret", ["secret", "secret-part"]) == "*** and ***"
