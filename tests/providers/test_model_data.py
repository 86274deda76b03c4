"""The files with the models are what the script makes of the installed packages."""

from __future__ import annotations

import importlib
import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tilores_core.llm import load_catalogue

ROOT = Path(__file__).parents[2]
PROVIDERS = ("openai", "anthropic", "google", "groq", "mistral", "deepseek", "openrouter")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module("model_data")


def written(provider: str) -> dict[str, Any]:
    path = ROOT / "plugins" / "tilores_plugins" / "providers" / provider / "models.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def test_the_files_are_what_the_script_writes(script: ModuleType) -> None:
    if missing := script.missing_packages():
        pytest.skip(f"not installed: {', '.join(missing)}")
    for provider in PROVIDERS:
        for word in written(provider)["source"].split(";")[0].split(", "):
            name, _, made_from = word.rpartition(" ")
            try:
                installed = version(name)
            except PackageNotFoundError:
                continue
            if installed != made_from:
                pytest.skip(f"{provider}: made from {name} {made_from}, installed is {installed}")
    made = script.documents()
    assert set(made) == set(PROVIDERS)
    for provider, text in made.items():
        assert json.loads(text) == written(provider), "run: python tools/model_data.py"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_model_has_what_routing_and_billing_need(provider: str) -> None:
    infos = load_catalogue(f"tilores_plugins.providers.{provider}").infos()
    assert 3 <= len(infos) <= 24
    assert len({info.id for info in infos}) == len(infos)
    for info in infos:
        assert info.context_window is not None, info.id
        assert info.context_window >= 8_000, info.id
        assert info.max_output_tokens, info.id
        assert info.input_price is not None, info.id
        assert info.output_price is not None, info.id
        assert 0 < info.input_price <= info.output_price, info.id
        assert info.tools, info.id
        assert info.created > 1_700_000_000, info.id


def teardown_module() -> None:
    sys.modules.pop("model_data", None)
