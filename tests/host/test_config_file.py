from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tilores_core import ConfigError
from tilores_core.settings import load_config
from tilores_core.settings.loader import PACKAGED, parse_config

ROOT = Path(__file__).parents[2]


def test_where_it_is_sought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    packaged = load_config()
    assert (packaged.path, packaged.packaged) == (PACKAGED, True)
    (tmp_path / "plugins.toml").write_text("[chat]\nmax_batch = 7")
    here = load_config()
    assert (here.path, here.packaged, here.config.chat.max_batch) == (Path("plugins.toml"), False, 7)
    (tmp_path / "other.toml").write_text("[chat]\nmax_batch = 8")
    assert load_config(tmp_path / "other.toml").config.chat.max_batch == 8
    with pytest.raises(ConfigError, match=r"nowhere\.toml: there is no such file"):
        load_config(tmp_path / "nowhere.toml")


def test_the_packaged_file_is_the_one_in_the_root() -> None:
    assert PACKAGED.read_bytes() == (ROOT / "plugins.toml").read_bytes()


def test_the_packaged_file_says_what_the_defaults_say() -> None:
    from tilores_core.settings import Config

    config = load_config(PACKAGED).config
    # What the packaged file adds is done without where there is no Redis, and no key for traces.
    added = {"cache": ("memory", "redis"), "executor": "threads", "tracers": ("langsmith",), "alerts": ("log",)}
    assert config.use == Config().use.model_copy(update=added)
    assert config.host == Config().host


@pytest.mark.parametrize(
    ("toml", "parts"),
    [
        ("a =", ["not valid TOML", "line"]),
        ("[host]\nx = 1\n[host]\n", ["not valid TOML"]),
        ("[hots]\nx = 1", ["hots", "did you mean [host]?"]),
        ("[redis]\nurl = 1", ["redis", "[plugins.redis]"]),
        ("strict = true", ["strict: unknown key"]),
        ("[host]\nautolod = 1", ["host.autolod", "did you mean 'autoload'?"]),
        ('[host]\nautoload = "some"', ["host.autoload", "'all', 'builtin' or 'none'"]),
        ('[use]\ncache = "memory"', ["use.cache", "array"]),
        ("[use]\nsource = 3", ["use.source", "string"]),
        ("[use]\nsources = 3", ["use.sources", "did you mean 'source'?"]),
        ("host = 3", ["host", "table"]),
        ("[plugins]\nmemory = 3", ["plugins.memory", "table"]),
        ("[keys.desk]\nscop = 1", ["keys.desk.scop", "did you mean 'scope'?"]),
        ("[chat]\nmax_batch = 0", ["chat.max_batch", "greater than or equal to 1"]),
        ("[cache.answers]\nttl_seconds = 1\nstale_second = 1", ["cache.answers.stale_second", "'stale_seconds'"]),
        ("schema = 2", ["schema", "1"]),
        ("[chat]\nmax_batch = 0\n[host]\nx = 1", ["2 problems", "chat.max_batch", "host.x"]),
    ],
)
def test_a_mistake_is_told_with_file_key_and_what_would_be_right(toml: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(toml, Path("some/plugins.toml"))
    for part in ("some/plugins.toml", *parts):
        assert part in str(caught.value)
    assert caught.value.fix


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plugins.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 0"):
        load_config(path)
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load_config(path)
    path.unlink()
    path.mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"plugins\.toml: is a folder"):
        load_config()


@given(text=st.text())
def test_whatever_is_written_there_the_answer_is_a_config_error_or_a_config(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse_config(text, Path("plugins.toml"))
