"""A cache tier in Redis: shared by all workers and replicas, and kept over restarts.

Nothing here imports redis-py; the factory does, when `[use] cache` names `redis`.
"""

from __future__ import annotations

from tilores_core import CacheBackendSpec, SupportsBroadcast, SupportsLease, SupportsTagKeys, hookimpl


@hookimpl
def register_cache_backends() -> list[CacheBackendSpec]:
    return [
        CacheBackendSpec(
            name="redis",
            factory="tilores_plugins.cache.redis.build:build",
            settings="tilores_plugins.cache.redis.settings:RedisSettings",
            requires={"redis": "tilores-core[redis]", "hiredis": "tilores-core[redis]"},
            environment={"url": "REDIS_URL"},
            abilities=(SupportsLease, SupportsBroadcast, SupportsTagKeys),
            summary="Redis: redis://, rediss://, unix://, cluster, or an embedded server",
        )
    ]
