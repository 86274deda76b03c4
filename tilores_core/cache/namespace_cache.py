"""A part of the cache for a plugin's own values."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from tilores_core.cache.codec import Codec, UnreadableError
from tilores_core.cache.keys import WIRE, customer_tags
from tilores_core.cache.tiered import TieredCache
from tilores_core.cache.values import MakerResult
from tilores_core.settings import CacheTable, NamespaceTable

RESERVED_NAMESPACES = ("answers", WIRE, "customers", "fingerprints", "mentions")
"""Namespaces that plugins cannot use."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class NamespaceCache:
    """One namespace of the tiered cache, for the values of one plugin. For one event loop.

        cache = context.services.cache("rates", ttl=300)
        rates = await cache.get_or_load("EUR", load_rates)

    Values are what JSON holds exactly: dict with str keys, list, str, int, finite float, bool, None. With `pickle`
    any other value is pickled and signed with `secret` (TILORES_SECRET_KEY); without that key none is pickled or
    unpickled. A tier that fails costs a miss, never an error.

    `owner`: the plugin's id; two plugins do not see each other's values. `ttl`: life in seconds, by default that of
    `[cache.NAMESPACE]`. `tilores cache invalidate --namespace NAMESPACE` removes all values.
    """

    def __init__(
        self,
        cache: TieredCache,
        namespace: str,
        *,
        owner: str,
        table: CacheTable,
        ttl: float | None = None,
        pickle: bool = False,
        secret: str | None = None,
    ) -> None:
        """Raises `ValueError` for a namespace that is reserved or has no ttl."""
        if namespace in RESERVED_NAMESPACES or not _NAME.fullmatch(namespace):
            raise ValueError(
                f"{namespace!r} cannot be a plugin's cache namespace; "
                "use another name of at most 40 characters a-z, 0-9, _ and -"
            )
        configured = getattr(table, namespace, None)
        if not isinstance(configured, NamespaceTable):
            if ttl is None:
                raise ValueError(f"the cache namespace {namespace!r} needs a ttl, in seconds")
            configured = NamespaceTable(ttl_seconds=ttl)
        self._cache = cache
        self._namespace = namespace
        self._owner = owner
        self._ttl = configured.ttl_seconds if ttl is None else ttl
        self._grace = configured.stale_seconds
        self._codec = Codec(pickle=pickle, secret=secret.encode() if secret else None)

    async def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default` when there is none."""
        name = self._name(key)
        hit = await self._cache.get(name)
        if hit is None:
            return default
        try:
            return self._codec.decode(name, hit.value)
        except UnreadableError:  # of another version, or signed with another key
            return default

    async def set(self, key: str, value: Any, *, ttl: float | None = None, customer_id: str | None = None) -> None:
        """Store in all tiers, for `ttl` seconds.

        `customer_id`: the value is about this customer and is removed when that customer is forgotten. Raises
        `TypeError` or `ValueError` for a value that is not exact as JSON, `CacheError` for one that would have to be
        pickled while TILORES_SECRET_KEY is not set.
        """
        name = self._name(key)
        data = self._codec.encode(name, value)
        life = self._ttl if ttl is None else ttl
        await self._cache.set(name, data, ttl=life, grace=self._grace, tags=customer_tags(customer_id, ()))

    async def delete(self, key: str) -> None:
        """Remove in all tiers and replicas."""
        await self._cache.invalidate(keys=[self._name(key)])

    async def get_or_load(
        self,
        key: str,
        load: Callable[[], Awaitable[Any]],
        *,
        ttl: float | None = None,
        customer_id: str | None = None,
    ) -> Any:
        """The value, loaded and stored when there is none; callers at the same time share one `load`.

        None is kept only briefly, as "there is nothing" (`negative_ttl_seconds`). An expired value is served for
        `stale_seconds` more while it is loaded again, and while `load` fails. Otherwise what `load` raises reaches
        all who wait. Raises as `set`.
        """
        name = self._name(key)
        tags = customer_tags(customer_id, ())

        async def make() -> MakerResult:
            value = await load()
            return MakerResult(self._codec.encode(name, value), tags, negative=value is None)

        for no_cache in (False, True):
            hit = await self._cache.fetch(
                name, make, ttl=self._ttl if ttl is None else ttl, grace=self._grace, no_cache=no_cache
            )
            try:
                return self._codec.decode(name, hit.value)
            except UnreadableError:  # of another version, or signed with another key: load it
                continue
        raise RuntimeError("a value that was just encoded cannot be decoded")

    def _name(self, key: str) -> str:
        digest = sha256(f"{self._owner}\0{key}".encode()).hexdigest()
        return f"{self._namespace}:{digest}"
