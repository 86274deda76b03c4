from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.generated_blocks import ROOT, pages, rewrite
from tilores_core.hookspecs import HOOK_NAMES
from tilores_core.host.plan import HOST_KEYS
from tilores_core.host.roles import ROLE_OF_HOOK
from tilores_core.settings import Config
from tilores_core.settings.loader import parse_config

PAGE = (ROOT / "docs" / "plugins.md").read_text()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_generated_blocks_are_up_to_date(page: Path) -> None:
    text = page.read_text()
    assert rewrite(text) == text, "python -m tests.docs.generated_blocks"


@pytest.mark.parametrize("hook", HOOK_NAMES)
def test_every_hook_is_documented_with_its_exact_signature(hook: str) -> None:
    spec = ROLE_OF_HOOK[hook].spec.__name__
    assert f"@hookimpl\ndef {hook}() -> list[{spec}]: ..." in PAGE


def test_every_toml_block_of_the_host_is_a_valid_configuration() -> None:
    blocks = [block for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "[build-system]" not in block]
    assert len(blocks) >= 2
    for block in blocks:
        parse_config(block, Path("plugins.toml"))
        assert set(tomllib.loads(block)) <= {field.alias or name for name, field in Config.model_fields.items()}


def test_the_hosts_keys_and_variables_are_documented() -> None:
    for name in (*HOST_KEYS, "TILORES_PLUGINS_DISABLE", "TILORES_PLUGINS_ONLY", "--no-plugins", "--disable-plugin"):
        assert f"`{name}" in PAGE
