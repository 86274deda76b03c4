"""What the host imports at start-up: cheap, no SDK, only the names of things."""

from tilores_core import CacheBackendSpec, hookimpl


@hookimpl
def register_cache_backends() -> list[CacheBackendSpec]:
    return [
        CacheBackendSpec(
            name="acme",
            factory="acme_cache.tier:build",
            settings="acme_cache.tier:Settings",
            summary="keeps entries in this process, the least recently used go first",
        )
    ]
