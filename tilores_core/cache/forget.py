"""Removing all that the cache holds about one customer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tilores_core.cache.keys import customer_key, customer_tags, fingerprint_key, namespace_of
from tilores_core.cache.tiered import TieredCache


@dataclass(frozen=True, slots=True)
class ForgottenCustomer:
    """What `forget_customer` removed, and where it could not.

    `removed`: entries by namespace; `other` counts those of tiers that cannot list keys by tag. `pending`: the names
    of the tiers that could not be reached. They serve none of the entries meanwhile, and remove them when they are
    back, as long as this process runs; after that the entries end with their life.
    """

    removed: Mapping[str, int]
    pending: tuple[str, ...]


async def forget_customer(
    cache: TieredCache, source: str, customer_id: str, *, record_ids: Iterable[str] = ()
) -> ForgottenCustomer:
    """Remove a customer's answers, records, fingerprint and mentions from all tiers and replicas.

    `source`: the registered name of the customer source, part of the keys. `record_ids`: of records that are known to
    be the customer's; those that the cache knows are added, so that entries are found that were made before records
    were merged. Never raises because of a tier.
    """
    keys = (fingerprint_key(source, customer_id), customer_key(source, customer_id))
    tags = set(customer_tags(customer_id, tuple(record_ids)))
    for hit in (await cache.get_many(keys)).values():
        tags.update(hit.tags)
    found = await cache.get_tagged(tags)
    removed = await cache.invalidate(keys=keys, tags=sorted(tags))
    by_namespace = Counter(namespace_of(key) for key in found)
    if removed > len(found):
        by_namespace["other"] = removed - len(found)
    return ForgottenCustomer(dict(by_namespace), cache.pending_tiers())
