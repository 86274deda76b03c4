"""Throw-away distributions: real packages with real metadata, found by the real scan."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tilores_core.host.host import PluginHost
from tilores_core.host.plugin import Plugin, scan

GOOD = """
from tilores_core import CacheBackendSpec, hookimpl

class Tier:
    def __init__(self, context):
        self.context = context
        self.closed = False
    async def get_many(self, keys): return {}
    async def set_many(self, entries): pass
    async def delete(self, keys): return 0
    async def delete_tag(self, tag): return 0
    async def clear(self, namespace=None): return 0
    async def stats(self): return None
    async def aclose(self): self.closed = True

@hookimpl
def register_cache_backends():
    return [CacheBackendSpec(name="NAME", factory=Tier)]
"""


def good(name: str) -> str:
    """A module that registers a cache tier `name`."""
    return GOOD.replace("NAME", name)


@dataclass
class Site:
    """A folder on sys.path that distributions are installed into."""

    path: Path
    modules: set[str] = field(default_factory=set)

    def install(
        self,
        plugin: str,
        code: str | Mapping[str, str],
        *,
        distribution: str | None = None,
        version: str = "1.2.3",
        requires: Sequence[str] = (),
        target: str | None = None,
        folder: str = "",
    ) -> str:
        """A distribution with one plugin: `code` is its module, or file name -> text. Returns the module's name."""
        name = distribution or f"dist-{plugin}"
        module = target or plugin.replace("-", "_")
        root = self.path / folder
        root.mkdir(exist_ok=True)
        files = {f"{module}.py": code} if isinstance(code, str) else code
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
            self.modules.add(path.partition("/")[0].removesuffix(".py"))
        info = root / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {line}" for line in requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        (info / "entry_points.txt").write_text(f"[tilores_core.plugins]\n{plugin} = {module}\n")
        importlib.invalidate_caches()
        return module


def scanned() -> tuple[Plugin, ...]:
    """What the real scan finds of the throw-away distributions, whatever else is installed."""
    return tuple(found for found in scan() if found.version == "unknown" or found.distribution.startswith("dist-"))


Examine = Callable[..., PluginHost]


def states(host: PluginHost) -> dict[str, str]:
    return {record.id: record.state for record in host.plugins}
