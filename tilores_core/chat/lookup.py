"""Which customer a turn is about, and the fingerprint of that customer's records.

Three things are remembered in the cache, so that a known conversation needs neither parsing nor the source:
what a conversation names (`mentions:`), a customer's fingerprint with the stable record ids (`fingerprints:`), and
the records themselves (`customers:`). On a hit only the first two are read; the records are not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cachetools import LRUCache

from tilores_core.cache.codec import decode, encode
from tilores_core.cache.keys import customer_key, fingerprint_key, mention_key
from tilores_core.cache.tiered import Hit, Made, TieredCache
from tilores_core.chat.customers import CustomerFinder
from tilores_core.chat.records import fingerprint, render
from tilores_core.chat.stored import customer_from_bytes, customer_to_bytes, outcome_from_bytes, outcome_to_bytes
from tilores_core.contracts import (
    Customer,
    CustomerOutcome,
    CustomerSource,
    Turn,
)
from tilores_core.errors import PermissionDeniedError, SourceUnavailableError
from tilores_core.settings import CacheTable

_FINGERPRINT_LENGTH = 64
_UNNAMED = b"-"
_ONE = b"1"
_CUSTOMERS_KEPT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Whom the turn is about. `fingerprint` and `record_ids` are empty unless it is one customer."""

    outcome: CustomerOutcome
    fingerprint: str = ""
    record_ids: tuple[str, ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """What a cached answer about this customer can be deleted by: record ids survive merges and splits."""
        return customer_tags(self.outcome.customer_id, self.record_ids)


@dataclass(frozen=True, slots=True)
class Known:
    """A customer's records, also as the text that a model is given; it depends on nothing but the records."""

    customer: Customer
    text: str


UNNAMED = Located(outcome=CustomerOutcome(kind="unnamed"))


def customer_tags(customer_id: str | None, record_ids: tuple[str, ...]) -> tuple[str, ...]:
    if customer_id is None:
        return ()
    return (f"customer:{customer_id}", *(f"record:{record_id}" for record_id in record_ids))


class CustomerLookup:
    """Finds and remembers customers. `name` is the source's registered name, part of every key."""

    def __init__(
        self,
        *,
        source: CustomerSource,
        name: str,
        finder: CustomerFinder,
        cache: TieredCache,
        table: CacheTable,
        region: str,
        seconds: float,
    ) -> None:
        self._source = source
        self._name = name
        self._finder = finder
        self._cache = cache
        self._region = region
        self._seconds = seconds
        self._life = table.customers
        # A fingerprint is served stale for as long as answers live, and renewed behind the request.
        self._grace = max(table.answers.ttl_seconds + table.answers.stale_seconds, self._life.stale_seconds)
        self._known: LRUCache[str, Known] = LRUCache(_CUSTOMERS_KEPT)
        self.schema_hash = ""

    async def refresh_schema(self) -> None:
        """Learn the source's schema; its hash is part of every key."""
        async with self._deadline():
            self.schema_hash = (await self._source.schema()).hash

    # --- without I/O -------------------------------------------------------------------------------------

    def peek(self, turn: Turn, conversation: bytes, now: float) -> str | None:
        """The fingerprint ("" when nobody is named) if memory alone can tell, else None."""
        customer_id = turn.customer_id
        if customer_id is None:
            named = self._cache.peek(self._mention_key(conversation))
            if named is None or named.fresh_until < now:
                return None
            kind = named.value[:1]
            if kind == _UNNAMED:
                return ""
            if kind != _ONE:
                return None
            customer_id = named.value[1:].decode()
        known = self._cache.peek(fingerprint_key(self._name, customer_id))
        if known is None or not known.value or known.fresh_until < now:
            return None
        max_age = turn.cache.max_age
        if max_age is not None and now - known.stored_at > max_age:
            return None
        return known.value[:_FINGERPRINT_LENGTH].decode()

    # --- with I/O ----------------------------------------------------------------------------------------

    async def locate(self, turn: Turn, conversation: bytes, spectrum: str) -> Located:
        """Whom the turn is about. Raises `SourceError`, or `PermissionDeniedError` for a key that may not search."""
        if turn.customer_id is not None:
            return await self._by_id(turn, turn.customer_id)
        if not turn.caller.search:
            raise PermissionDeniedError(
                "this key may not search for customers", fix="name the customer with customer_id in the request"
            )

        just_found: Located | None = None

        keep = not turn.cache.no_store

        async def make() -> Made:
            nonlocal just_found
            since = self._cache.mark()
            async with self._deadline():
                found = await self._finder.resolve(turn.messages, None, spectrum=spectrum)
            if found.customer is not None:
                just_found = located = _locate(found.customer)
                if keep:
                    await self._store_records(found.customer, located, since)
                    await self._store_fingerprint(located, since)
                self._remember(located, found.customer)
                return Made(_ONE + found.customer.id.encode(), located.tags, store=keep)
            if found.outcome.kind == "unnamed":
                return Made(_UNNAMED, store=keep)
            return self._nobody(outcome_to_bytes(found.outcome), keep)

        hit = await self._cache.fetch(
            self._mention_key(conversation),
            make,
            ttl=self._life.ttl_seconds + self._grace,
            no_cache=turn.cache.no_cache or turn.cache.no_store,
        )
        if just_found is not None:
            return just_found
        if hit.value == _UNNAMED:
            return UNNAMED
        if hit.value[:1] == _ONE:
            return await self._by_id(turn, hit.value[1:].decode())
        return Located(outcome=outcome_from_bytes(hit.value))

    async def _by_id(self, turn: Turn, customer_id: str) -> Located:
        keep = not turn.cache.no_store

        async def make() -> Made:
            since = self._cache.mark()
            customer = await self._load(customer_id)
            if customer is None:
                return self._nobody(b"", keep)
            located = _locate(customer)
            if keep:
                await self._store_records(customer, located, since)
            self._remember(located, customer)
            return Made(_fingerprint_value(located), located.tags, store=keep)

        hit = await self._cache.fetch(
            fingerprint_key(self._name, customer_id),
            make,
            ttl=self._life.ttl_seconds,
            grace=self._grace,
            max_age=turn.cache.max_age,
            no_cache=turn.cache.no_cache or turn.cache.no_store,
        )
        return _located(hit)

    async def records(self, located: Located) -> tuple[Located, Known | None]:
        """The records behind a fingerprint; with another fingerprint when they have changed meanwhile, and None when
        the customer is no longer there."""
        customer_id = located.outcome.customer_id
        if customer_id is None:
            raise LookupError("no customer was located")
        known = self._known.get(located.fingerprint)
        if known is not None:
            return located, known
        hit = await self._cache.get(customer_key(self._name, customer_id))
        if hit is not None:
            stored = customer_from_bytes(hit.value)
            if fingerprint(stored) == located.fingerprint:
                return located, self._remember(located, stored)
        since = self._cache.mark()
        customer = await self._load(customer_id)
        if customer is None:
            return Located(outcome=CustomerOutcome(kind="none")), None
        located = _locate(customer)
        await self._store_records(customer, located, since)
        await self._store_fingerprint(located, since)
        return located, self._remember(located, customer)

    def _remember(self, located: Located, customer: Customer) -> Known:
        known = self._known[located.fingerprint] = Known(customer, render(customer))
        return known

    # --- the source and what is stored of it -------------------------------------------------------------

    async def _load(self, customer_id: str) -> Customer | None:
        async with self._deadline():
            return await self._source.get(customer_id)

    def _nobody(self, value: bytes, keep: bool) -> Made:
        return Made(value, negative=True, ttl=self._life.negative_ttl_seconds, store=keep)

    async def _store_records(self, customer: Customer, located: Located, since: int) -> None:
        await self._cache.set(
            customer_key(self._name, customer.id),
            customer_to_bytes(customer),
            ttl=self._life.ttl_seconds,
            tags=located.tags,
            since=since,
        )

    async def _store_fingerprint(self, located: Located, since: int) -> None:
        await self._cache.set(
            fingerprint_key(self._name, str(located.outcome.customer_id)),
            _fingerprint_value(located),
            ttl=self._life.ttl_seconds,
            grace=self._grace,
            tags=located.tags,
            since=since,
        )

    def _mention_key(self, conversation: bytes) -> str:
        return mention_key(
            conversation=conversation, source=self._name, region=self._region, schema_hash=self.schema_hash
        )

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except TimeoutError:
            raise SourceUnavailableError(
                f"the customer source {self._name!r} did not answer within {self._seconds:g} s",
                fix="try again; [chat] source_seconds in plugins.toml sets the limit",
            ) from None


def _locate(customer: Customer) -> Located:
    return Located(
        outcome=CustomerOutcome(kind="one", customer_id=customer.id),
        fingerprint=fingerprint(customer),
        record_ids=tuple(record.id for record in customer.records),
    )


def _fingerprint_value(located: Located) -> bytes:
    return located.fingerprint.encode() + encode([located.outcome.customer_id, *located.record_ids])


def _located(hit: Hit) -> Located:
    if not hit.value:
        return Located(outcome=CustomerOutcome(kind="none"))
    customer_id, *record_ids = decode(hit.value[_FINGERPRINT_LENGTH:])
    return Located(
        outcome=CustomerOutcome(kind="one", customer_id=customer_id),
        fingerprint=hit.value[:_FINGERPRINT_LENGTH].decode(),
        record_ids=tuple(record_ids),
    )
