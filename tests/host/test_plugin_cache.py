"""The cache that a running process offers to its plugins, and the settings that it obeys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tilores_core import CacheError
from tilores_core.services import load_host, open_services
from tilores_core.settings import Environment

CONFIG = """
schema = 1
[use]
cache = ["memory"]
source = "demo"
model = "demo:simulated-1"
[cache.schemas]
ttl_seconds = 0.05
"""


def environment(tmp_path: Path, secret: str | None = None) -> Environment:
    config = tmp_path / "plugins.toml"
    config.write_text(CONFIG)
    secrets = {} if secret is None else {"TILORES_SECRET_KEY": secret}
    return Environment.model_validate({"TILORES_CONFIG": config, "TILORES_DATA_DIR": tmp_path, **secrets})


@pytest.mark.parametrize("secret", [None, "a long random text"])
async def test_plugin_s_cache_pickles_only_with_the_secret_key(tmp_path: Path, secret: str | None) -> None:
    settings = environment(tmp_path, secret)
    async with open_services(load_host(settings), settings) as services:
        cache = services.host.services.of("acme").cache("notes", 60.0, pickle=True)
        await cache.set("plain", [1, 2])
        assert await cache.get("plain") == [1, 2]
        if secret is None:
            with pytest.raises(CacheError) as caught:
                await cache.set("pair", (1, 2))
            assert "TILORES_SECRET_KEY" in str(caught.value.fix)
        else:
            await cache.set("pair", (1, 2))
        assert await cache.get("pair") == (None if secret is None else (1, 2))
        assert await services.host.services.of("other").cache("notes", 60.0).get("plain") is None


async def test_plugin_s_values_live_as_long_as_the_namespace_s_settings_say(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    async with open_services(load_host(settings), settings) as services:
        schemas = services.host.services.of("acme").cache("schemas")
        loads = 0

        async def load() -> int:
            nonlocal loads
            loads += 1
            return loads

        while await schemas.get_or_load("x", load) < 3:
            pass
        assert loads == 3, "an hour by default, a twentieth of a second here"
