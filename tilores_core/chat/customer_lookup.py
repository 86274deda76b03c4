"""Which customer a turn is about, and the fingerprint of that customer's records.

Three things are remembered in the cache, so that a known conversation needs neither parsing nor the source:
what a conversation names (`mentions:`), a customer's fingerprint with the stable record ids (`fingerprints:`), and
the records themselves (`customers:`). On a hit only the first two are read; the records are not.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import replace

from cachetools import TTLCache

from tilores_core.cache.codec import decode, encode
from tilores_core.cache.invalidation import Invalidation
from tilores_core.cache.keys import customer_key, customer_tags, fingerprint_key, mention_key
from tilores_core.cache.tiered import Hit, Made, TieredCache
from tilores_core.chat.context.estimate import estimate_tokens
from tilores_core.chat.context.quality import is_weak
from tilores_core.chat.customer.finder import CustomerFinder
from tilores_core.chat.customer_match import NO_CUSTOMER, WEAK_MATCH_SUFFIX, CustomerMatch, CustomerRecords
from tilores_core.chat.notes import SourceNotes
from tilores_core.chat.records import fingerprint, render
from tilores_core.chat.source_calls import SourceCalls
from tilores_core.chat.stored import customer_from_bytes, customer_to_bytes, outcome_from_bytes, outcome_to_bytes
from tilores_core.contracts import (
    Customer,
    CustomerOutcome,
    CustomerSource,
    Turn,
)
from tilores_core.errors import PermissionDeniedError, SourceError
from tilores_core.settings import CacheTable

Read = Callable[[str], Awaitable[Hit | None]]

_FINGERPRINT_LENGTH = 64
_UNNAMED = b"-"
_ONE = b"1"
_WEAK = b"w"  # one, whom the search fits only poorly
_CUSTOMERS_KEPT = 256


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
        clock: Callable[[], float] = time.time,
        notes: SourceNotes | None = None,
    ) -> None:
        """`notes` is told of every look-up in the source."""
        self.calls = SourceCalls(source, name=name, seconds=seconds, notes=notes)
        self._source = source
        self._name = name
        self._finder = finder
        self._cache = cache
        self._region = region
        self._clock = clock
        self._life = table.customers
        # That no customer, or several, fit a conversation is a statement about customers and an answer as well.
        self._mention_negative_ttl = min(self._life.negative_ttl_seconds, table.answers.negative_ttl_seconds)
        # A fingerprint is served stale for as long as answers live, and renewed behind the request.
        longest = max(table.answers.ttl_seconds, *table.spectrums.values(), 0.0)
        self._grace = max(longest + table.answers.stale_seconds, self._life.stale_seconds)
        self._known: TTLCache[str, CustomerRecords] = TTLCache(_CUSTOMERS_KEPT, self._life.ttl_seconds, timer=clock)
        self._located: TTLCache[int, tuple[Customer | None, CustomerMatch]] = TTLCache(
            _CUSTOMERS_KEPT, self._life.ttl_seconds, timer=clock
        )
        self.schema_hash = ""
        cache.on_invalidation(self._on_invalidation)

    @property
    def source(self) -> CustomerSource:
        """Where customers come from."""
        return self._source

    @property
    def region(self) -> str:
        """Where phone numbers without a country code belong (ISO 3166)."""
        return self._region

    def _on_invalidation(self, what: Invalidation) -> None:
        """Drop the records kept in this object as well, so that a forgotten customer is not in memory either."""
        for fingerprint_, records in tuple(self._known.items()):
            customer = records.customer
            if what.matches(customer_key(self._name, customer.id), _tags_of(customer)):
                del self._known[fingerprint_]
        self._located.clear()

    async def refresh_schema(self) -> None:
        """Learn the source's schema; its hash is part of every key."""
        self.schema_hash = (await self.calls.in_time(self._source.schema())).hash

    # --- without I/O -------------------------------------------------------------------------------------

    def peek(self, turn: Turn, conversation: bytes, now: float) -> str | None:
        """The fingerprint ("" when nobody is named) if memory alone can tell, else None."""
        named, weakly = turn.customer_id, ""
        if named is None:
            named, weakly = _named_in(self._cache.peek(self._mention_key(conversation)), turn, now)
            if not named:
                return named
        known = _fingerprint_in(self._cache.peek(fingerprint_key(self._name, named)), turn, now)
        return known + weakly if known and weakly else known

    def remembered(self, fingerprint: str) -> Customer | None:
        """The customer with these very records, if they are still at hand in this process."""
        known = self._known.get(fingerprint)
        return None if known is None else known.customer

    def count_records(self, customer_id: str) -> int | None:
        """How many records the customer has, if memory alone can tell."""
        hit = self._cache.peek(fingerprint_key(self._name, customer_id))
        return None if hit is None or not hit.value else len(_located(hit).record_ids)

    # --- with I/O ----------------------------------------------------------------------------------------

    async def recall(self, turn: Turn, conversation: bytes, now: float, read: Read) -> str | None:
        """As `peek`, from the tiers below memory too, which `read` asks; nobody else is asked."""
        named, weakly = turn.customer_id, ""
        if named is None:
            named, weakly = _named_in(await read(self._mention_key(conversation)), turn, now)
            if not named:
                return named
        known = _fingerprint_in(await read(fingerprint_key(self._name, named)), turn, now)
        return known + weakly if known and weakly else known

    async def locate(
        self, turn: Turn, conversation: bytes, spectrum: str, absent: Collection[str] = ()
    ) -> CustomerMatch:
        """Whom the turn is about; keys in `absent` were just found in no tier.

        Raises `SourceError`, or `PermissionDeniedError` for a caller who may not search.
        """
        if not self.schema_hash:  # the source did not answer at the start
            with suppress(SourceError):  # whoever needs more of it than that will be told
                await self.refresh_schema()
        if turn.customer_id is not None:
            return await self._by_id(turn, turn.customer_id, absent)
        if not turn.caller.search:
            raise PermissionDeniedError(
                "this key may not search for customers", fix="name the customer with customer_id in the request"
            )

        just_found: CustomerMatch | None = None

        keep = not turn.cache.no_store
        renew = turn.cache.no_cache or turn.cache.max_age is not None

        async def make() -> Made:
            nonlocal just_found
            since = self._cache.mark()
            resolving = self._finder.resolve(turn.messages, None, spectrum=spectrum)
            found = await self.calls.noted(resolving, asked=lambda found: found.outcome.kind != "unnamed")
            await self.refresh_schema()
            if found.customer is not None:
                weak = is_weak(found.customer.quality)
                match = self._locate(found.customer)
                just_found = replace(match, weak=True) if weak else match
                if keep and (renew or not self._is_stored(match)):
                    await self._store_records(found.customer, match, since)
                    await self._store_fingerprint(match, since)
                if match.fingerprint not in self._known:
                    self._remember(match, found.customer)
                return Made((_WEAK if weak else _ONE) + found.customer.id.encode(), match.tags, store=keep)
            if found.outcome.kind == "unnamed":
                return Made(_UNNAMED, store=keep)
            return self._nobody(outcome_to_bytes(found.outcome), keep, self._mention_negative_ttl)

        key = self._mention_key(conversation)

        async def read(*, again: bool) -> Hit:
            return await self._cache.fetch(
                key,
                make,
                # As a fingerprint: whom a name fits may change as well, a namesake may have come.
                ttl=self._life.ttl_seconds,
                grace=self._grace,
                max_age=turn.cache.max_age,
                no_cache=again or turn.cache.no_cache or turn.cache.no_store,
                looked=key in absent,
            )

        hit = await read(again=False)
        if just_found is None and hit.value[:1] in (_ONE, _WEAK):
            match = await self._by_id(turn, hit.value[1:].decode(), absent)
            if match.outcome.kind == "one":
                return replace(match, weak=True) if hit.value[:1] == _WEAK else match
            hit = await read(again=True)  # merged into another, perhaps
        if just_found is not None:
            return just_found
        outcome = NO_CUSTOMER.outcome if hit.value == _UNNAMED else outcome_from_bytes(hit.value)
        return CustomerMatch(outcome=outcome, tier=hit.tier)

    async def _by_id(self, turn: Turn, customer_id: str, absent: Collection[str]) -> CustomerMatch:
        keep = not turn.cache.no_store
        key = fingerprint_key(self._name, customer_id)

        async def make() -> Made:
            since = self._cache.mark()
            customer = await self._load(customer_id)
            await self.refresh_schema()
            if customer is None:
                return self._nobody(b"", keep, self._life.negative_ttl_seconds)
            match = self._locate(customer)
            if keep:
                await self._store_records(customer, match, since)
            self._remember(match, customer)
            return Made(_fingerprint_value(match), match.tags, store=keep)

        hit = await self._cache.fetch(
            key,
            make,
            ttl=self._life.ttl_seconds,
            grace=self._grace,
            max_age=turn.cache.max_age,
            no_cache=turn.cache.no_cache or turn.cache.no_store,
            looked=key in absent,
        )
        match = _located(hit)
        max_age = turn.cache.max_age
        return match if max_age is None or hit.age(self._clock()) <= max_age else replace(match, overdue=True)

    async def records(
        self, match: CustomerMatch, *, keep: bool = True
    ) -> tuple[CustomerMatch, CustomerRecords | None]:
        """The records behind a fingerprint; with another fingerprint when they have changed meanwhile, and None when
        the customer is no longer there. Without `keep` nothing of it is stored."""
        customer_id = match.outcome.customer_id
        if customer_id is None:
            raise LookupError("no customer was matched")
        known = self._known.get(match.fingerprint)
        if known is not None:
            return match, known
        hit = await self._cache.get(customer_key(self._name, customer_id))
        if hit is not None:
            stored = customer_from_bytes(hit.value)
            if fingerprint(stored) == match.fingerprint:
                return match, self._remember(match, stored)
        since = self._cache.mark()
        customer = await self._load(customer_id)
        if customer is None:
            return CustomerMatch(outcome=CustomerOutcome(kind="none")), None
        found = self._locate(customer)
        if keep:
            await self._store_records(customer, found, since)
            await self._store_fingerprint(found, since)
        return replace(found, weak=match.weak), self._remember(found, customer)

    def _locate(self, customer: Customer) -> CustomerMatch:
        # A source with its customers in memory hands out the same object again and again.
        customer_before, match = self._located.get(id(customer), (None, NO_CUSTOMER))
        if customer_before is not customer:
            match = CustomerMatch(
                outcome=CustomerOutcome(kind="one", customer_id=customer.id),
                fingerprint=fingerprint(customer),
                record_ids=tuple(record.id for record in customer.records),
            )
            self._located[id(customer)] = customer, match  # holding the object keeps its id its own
        return match

    def _remember(self, match: CustomerMatch, customer: Customer) -> CustomerRecords:
        text = render(customer)
        if (quality := customer.quality) is not None and quality.hit_score is not None:
            customer = replace(customer, quality=replace(quality, hit_score=None))  # it was one search's
        known = self._known[match.fingerprint] = CustomerRecords(customer, text, estimate_tokens(text))
        return known

    # --- the source and what is stored of it -------------------------------------------------------------

    async def _load(self, customer_id: str) -> Customer | None:
        return await self.calls.noted(self._source.get(customer_id))

    def _nobody(self, value: bytes, keep: bool, ttl: float) -> Made:
        return Made(value, negative=True, ttl=ttl, store=keep)

    def _is_stored(self, match: CustomerMatch) -> bool:
        """Whether memory holds just this, fresh: another conversation about the customer has seen to it."""
        held = self._cache.peek(fingerprint_key(self._name, str(match.outcome.customer_id)))
        return held is not None and held.fresh_until > self._clock() and held.value == _fingerprint_value(match)

    async def _store_records(self, customer: Customer, match: CustomerMatch, since: int) -> None:
        await self._cache.set(
            customer_key(self._name, customer.id),
            customer_to_bytes(customer),
            ttl=self._life.ttl_seconds,
            tags=match.tags,
            since=since,
            behind=True,
        )

    async def _store_fingerprint(self, match: CustomerMatch, since: int) -> None:
        await self._cache.set(
            fingerprint_key(self._name, str(match.outcome.customer_id)),
            _fingerprint_value(match),
            ttl=self._life.ttl_seconds,
            grace=self._grace,
            tags=match.tags,
            since=since,
            behind=True,
        )

    def _mention_key(self, conversation: bytes) -> str:
        return mention_key(
            conversation=conversation, source=self._name, region=self._finder.mark, schema_hash=self.schema_hash
        )


def _tags_of(customer: Customer) -> tuple[str, ...]:
    return customer_tags(customer.id, (record.id for record in customer.records))


def _named_in(hit: Hit | None, turn: Turn, now: float) -> tuple[str | None, str]:
    """The customer's id in a mention, "" when nobody is named, None when it does not say or is too old; and what goes
    behind the fingerprint."""
    if hit is None or not _is_young(hit, turn, now):
        return None, ""
    kind = hit.value[:1]
    if kind == _ONE:
        return hit.value[1:].decode(), ""
    return (hit.value[1:].decode(), WEAK_MATCH_SUFFIX) if kind == _WEAK else ("" if kind == _UNNAMED else None, "")


def _fingerprint_in(hit: Hit | None, turn: Turn, now: float) -> str | None:
    if hit is None or not hit.value or not _is_young(hit, turn, now):
        return None
    return hit.value[:_FINGERPRINT_LENGTH].decode()


def _is_young(hit: Hit, turn: Turn, now: float) -> bool:
    max_age = turn.cache.max_age
    return hit.fresh_until >= now and (max_age is None or now - hit.stored_at <= max_age)


def _fingerprint_value(match: CustomerMatch) -> bytes:
    return match.fingerprint.encode() + encode([match.outcome.customer_id, *match.record_ids])


def _located(hit: Hit) -> CustomerMatch:
    if not hit.value:
        return CustomerMatch(outcome=CustomerOutcome(kind="none"), tier=hit.tier)
    customer_id, *record_ids = decode(hit.value[_FINGERPRINT_LENGTH:])
    return CustomerMatch(
        outcome=CustomerOutcome(kind="one", customer_id=customer_id),
        fingerprint=hit.value[:_FINGERPRINT_LENGTH].decode(),
        record_ids=tuple(record_ids),
        tier=hit.tier,
    )
