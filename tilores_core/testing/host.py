"""A plugin host that knows nothing of what is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tilores_core.host.host import PluginHost
from tilores_core.host.plugin import Plugin
from tilores_core.settings.loader import LoadedConfig, validate_config


def isolated_host(
    plugins: Mapping[str, object],
    config: Mapping[str, Any] | None = None,
    *,
    data_dir: Path,
    variables: Mapping[str, str] | None = None,
) -> PluginHost:
    """A started host with exactly `plugins`: id -> the module (or object) that has the hooks.

    Entry points are not looked at, nor is the process's environment: references see `variables` alone. `config` has
    the tables of plugins.toml as a dictionary. `[use]` is checked only when it is there, so that a single plugin can
    be tested. Close the host with `await host.aclose()` when something was built.

    Raises `ConfigError` and `PluginError` as start-up does.

        from tilores_core.testing import CACHE, isolated_host

        host = isolated_host({"acme-cache": acme_cache.plugin}, data_dir=tmp_path)
        tier = host.build(CACHE, "acme")
    """
    tables = dict(config or {})
    path = Path("plugins.toml")
    loaded = LoadedConfig(config=validate_config(tables, path), path=path, packaged=False)
    discovered = [
        Plugin(id=name, target=getattr(plugin, "__name__", name), distribution=name, version="0", module=plugin)
        for name, plugin in plugins.items()
    ]
    host = PluginHost.start(
        loaded,
        variables=variables or {},
        data_dir=data_dir,
        only=None if "use" in tables else tuple(plugins),
        discovered=discovered,
    )
    for record in host.plugins:
        if record.error is not None:
            raise record.error
    return host
