from __future__ import annotations

from tests.sources.file_world import opened

__all__ = ["opened"]
