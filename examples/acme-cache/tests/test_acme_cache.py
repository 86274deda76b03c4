"""The suite every cache tier has to pass, and that the host finds its way from the hook to the tier."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tilores_core import CacheTier, ConfigError
from tilores_core.testing import CACHE, isolated_host
from tilores_core.testing.cache import CacheTierSuite

from acme_cache import plugin
from acme_cache.tier import AcmeTier


class TestAcmeTier(CacheTierSuite):
    @pytest.fixture
    async def tier(self) -> AsyncIterator[CacheTier]:
        tier = AcmeTier(max_entries=1000)
        yield tier
        await tier.aclose()


async def test_the_host_builds_the_tier_with_its_settings(tmp_path: Path) -> None:
    config = {"plugins": {"acme-cache": {"max_entries": 5}}}
    host = isolated_host({"acme-cache": plugin}, config, data_dir=tmp_path)
    assert isinstance(host.build(CACHE, "acme"), AcmeTier)
    await host.aclose()


def test_a_misspelt_setting_is_refused(tmp_path: Path) -> None:
    config = {"plugins": {"acme-cache": {"max_entrys": 5}}}
    with pytest.raises(ConfigError, match="max_entries"):
        isolated_host({"acme-cache": plugin}, config, data_dir=tmp_path)
