from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.host.throwaway_plugins import Examine, Site, scanned
from tilores_core.host.host import PluginHost
from tilores_core.settings.loader import LoadedConfig, parse_config


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    made = Site(folder)
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] in made.modules]:
        del sys.modules[name]


@pytest.fixture
def examine(tmp_path: Path) -> Examine:
    """Examine what the scan finds, under a plugins.toml given as text; `[use]` only where the text has it."""

    def run(toml: str = "", *, variables: Mapping[str, str] | None = None, **options: Any) -> PluginHost:
        path = tmp_path / "plugins.toml"
        path.write_text(toml)
        loaded = LoadedConfig(config=parse_config(toml, path), path=path, packaged=False)
        options.setdefault("discovered", scanned())
        options.setdefault("check_use", "[use]" in toml)
        return PluginHost.examine(loaded, variables=variables or {}, data_dir=tmp_path, **options)

    return run
