"""Which customer a turn is about, and the fingerprint of that customer's records.

Three things are remembered in the cache, so that a known conversation needs neither parsing nor the source:
what a conversation names (`mentions:`), a customer's fingerprint with the stable record ids (`fingerprints:`), and
the records themselves (`customers:`). On a hit only the first two are read; the records are not. That a conversation
names no customer its answer says: only an old answer needs an entry for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from cachetools import TTLCache

from tilores_core.cache.codec import decode, encode
from tilores_core.cache.invalidation import Invalidation
from tilores_core.cache.keys import customer_key, customer_tags, fingerprint_key, mention_key
from tilores_core.cache.tiered import Hit, MakerResult, TieredCache
from tilores_core.chat.context.estimate import estimate_tokens
from tilores_core.chat.context.quality import is_weak
from tilores_core.chat.customer.finder import CustomerFinder, Resolution
from tilores_core.chat.customer.resolution import Resolver
from tilores_core.chat.customer_match import NO_CUSTOMER, WEAK_MATCH_SUFFIX, CustomerMatch, CustomerRecords
from tilores_core.chat.records import fingerprint, render
from tilores_core.chat.source_calls import SourceCalls, SourceNotes
from tilores_core.chat.stored import customer_from_bytes, customer_to_bytes, outcome_from_bytes, outcome_to_bytes
from tilores_core.chat.turn_context import TurnContext
from tilores_core.contracts import (
    Customer,
    CustomerOutcome,
    CustomerSource,
    Turn,
)
from tilores_core.errors import PermissionDeniedError, SourceError
from tilores_core.identity import Locale
from tilores_core.settings import CacheTable

_FINGERPRINT_LENGTH = 64
_UNNAMED = b"-"
_ONE = b"1"
_WEAK = b"w"  # one that the search fits only poorly
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
        locale: Locale,
        seconds: float,
        clock: Callable[[], float] = time.time,
        notes: SourceNotes | None = None,
    ) -> None:
        """Look customers up in one source. `notes` gets every look-up in the source."""
        self.calls = SourceCalls(source, name=name, seconds=seconds, notes=notes)
        self._source = source
        self._name = name
        self._finder = finder
        self._cache = cache
        self.locale = locale
        self._clock = clock
        self._life = table.customers
        # That no customer, or several, fit a conversation is a statement about customers and an answer as well.
        self._mention_negative_ttl = min(self._life.negative_ttl_seconds, table.answers.negative_ttl_seconds)
        # A fingerprint is served stale for as long as answers live, and renewed behind the request.
        longest = max(table.answers.ttl_seconds, *table.spectrums.values(), 0.0)
        self._grace = longest + table.answers.stale_seconds
        self._records: TTLCache[str, CustomerRecords] = TTLCache(_CUSTOMERS_KEPT, self._life.ttl_seconds, timer=clock)
        self._matches: TTLCache[int, tuple[Customer | None, CustomerMatch]] = TTLCache(
            _CUSTOMERS_KEPT, self._life.ttl_seconds, timer=clock
        )
        self.schema_hash = ""
        self.unnamed_seconds = self._life.ttl_seconds
        self.unnamed_mark = f"{name} {finder.mark}"
        """In place of a fingerprint in the key of an answer to a conversation that names no customer: by which source
        and rules that is so."""
        cache.on_invalidation(self._on_invalidation)

    @property
    def source(self) -> CustomerSource:
        """Where customers come from."""
        return self._source

    def _on_invalidation(self, what: Invalidation) -> None:
        """Drop the records kept in this object as well, so that a forgotten customer is not in memory either."""
        for fingerprint_, records in tuple(self._records.items()):
            customer = records.customer
            if what.matches(customer_key(self._name, customer.id), _tags_of(customer)):
                del self._records[fingerprint_]
        self._matches.clear()
        self._finder.forget_absent()

    async def refresh_schema(self) -> None:
        """Learn the source's schema; its hash is part of every key."""
        self.schema_hash = (await self.calls.in_time(self._source.schema())).hash

    # --- in memory ---------------------------------------------------------------------------------------

    def find_key_part(self, context: TurnContext) -> str | None:
        """The customer's part of the answer's cache key ("" when no customer is named), from entries in memory and
        those that the context has read; None when they do not tell. Sets `context.missing_key`, to None when none is
        missing.

        Where it is not known what the conversation names, it is "" as well: what it does not name is not stored, and
        an answer under that key is proof for `unnamed_seconds`.
        """
        turn, entries, now = context.turn, context.entries, self._clock()
        context.missing_key = None
        named, suffix = turn.customer_id, ""
        if named is None:
            key = self._mention_key(context)
            hit = entries.get(key) or self._cache.get_from_memory(key)
            if hit is None:
                context.missing_key = key
                return ""
            if not _is_young(hit, turn, now):
                return None
            kind = hit.value[:1]
            if kind == _UNNAMED:
                return ""
            if kind not in (_ONE, _WEAK):
                return None
            named = hit.value[1:].decode()
            suffix = WEAK_MATCH_SUFFIX if kind == _WEAK else ""
        key = fingerprint_key(self._name, named)
        hit = entries.get(key) or self._cache.get_from_memory(key)
        if hit is None:
            context.missing_key = key
            return None
        if not hit.value or not _is_young(hit, turn, now):
            return None
        context.customer_entry = hit
        return hit.value[:_FINGERPRINT_LENGTH].decode() + suffix

    def get_remembered(self, fingerprint: str) -> Customer | None:
        """The customer with these very records, if they are still in this process."""
        records = self._records.get(fingerprint)
        return None if records is None else records.customer

    # --- with I/O ----------------------------------------------------------------------------------------

    async def resolve(self, context: TurnContext) -> CustomerMatch:
        """The customer of the turn, from the cache or the source.

        Raises `SourceError`, or `PermissionDeniedError` for a caller who may not search.
        """
        turn = context.turn
        if not self.schema_hash:  # the source did not answer at the start
            with suppress(SourceError):  # a call that needs more of the source reports it
                await self.refresh_schema()
        if turn.customer_id is not None:
            return await self._by_id(context, turn.customer_id)
        if not turn.caller.search:
            raise PermissionDeniedError(
                "this key may not search for customers", fix="name the customer with customer_id in the request"
            )

        key = self._mention_key(context)
        keep = not turn.cache.no_store
        renew = turn.cache.no_cache or turn.cache.max_age is not None
        read = self._read(context, key, renew)
        begun = read if isinstance(read, Resolver) else None
        if isinstance(read, Resolution) and read.outcome.kind == "unnamed":
            return NO_CUSTOMER
        just_found: CustomerMatch | None = None

        async def make() -> MakerResult:
            nonlocal just_found, begun
            since = self._cache.revision()
            begun, search = None, self._search(turn, context.spectrum, begun, renew)  # a second search begins again
            found = await self.calls.note_outcome(search, asked=lambda found: found.outcome.kind != "unnamed")
            if found.customer is not None:
                weak = is_weak(found.customer.quality)
                match = self._match(found.customer)
                if keep and (renew or not self._is_stored(match)):
                    await self._store_records(found.customer, match, since)
                    await self._store_fingerprint(match, since)
                just_found = replace(match, weak=weak, records=self._remember(match, found.customer))
                return MakerResult((_WEAK if weak else _ONE) + found.customer.id.encode(), match.tags, store=keep)
            if found.outcome.kind == "unnamed":
                return MakerResult(_UNNAMED, store=keep)
            return self._negative_entry(outcome_to_bytes(found.outcome), keep, self._mention_negative_ttl)

        async def fetch(*, again: bool) -> Hit:
            return await self._cache.fetch(
                key,
                make,
                # As a fingerprint: the customers that a name fits may change as well, a namesake may have come.
                ttl=self._life.ttl_seconds,
                grace=self._grace,
                max_age=turn.cache.max_age,
                no_cache=again or turn.cache.no_cache or turn.cache.no_store,
                skip_tiers=context.is_missing(key),
            )

        hit = await fetch(again=False)
        if just_found is None and hit.value[:1] in (_ONE, _WEAK):
            match = await self._by_id(context, hit.value[1:].decode())
            if match.outcome.kind == "one":
                return replace(match, weak=True) if hit.value[:1] == _WEAK else match
            hit = await fetch(again=True)  # perhaps merged into another customer
        if just_found is not None:
            return just_found
        if hit.value == _UNNAMED:
            return replace(NO_CUSTOMER, tier=hit.tier)
        return CustomerMatch(outcome=outcome_from_bytes(hit.value), tier=hit.tier)

    async def store_unnamed(self, context: TurnContext) -> None:
        """Store that the conversation names no customer, where its answer is older than `unnamed_seconds`."""
        key = self._mention_key(context)
        await self._cache.set(key, _UNNAMED, ttl=self.unnamed_seconds, grace=self._grace, behind=True)

    def _read(self, context: TurnContext, key: str, renew: bool) -> Resolution | Resolver | None:
        """What a conversation tells by itself, unless the cache may know more. No call is shared for that: most that
        name no customer end here."""
        cache = self._cache
        if not context.is_missing(key) and (cache.has_shared or cache.get_from_memory(key) is not None):
            return None
        return self._finder.read(context.turn.messages, spectrum=context.spectrum, renew=renew)

    async def _by_id(self, context: TurnContext, customer_id: str) -> CustomerMatch:
        turn = context.turn
        keep = not turn.cache.no_store
        key = fingerprint_key(self._name, customer_id)
        records: CustomerRecords | None = None

        async def make() -> MakerResult:
            nonlocal records
            since = self._cache.revision()
            customer = await self._load(customer_id)
            if customer is None:
                return self._negative_entry(b"", keep, self._life.negative_ttl_seconds)
            match = self._match(customer)
            if keep:
                await self._store_records(customer, match, since)
            records = self._remember(match, customer)
            return MakerResult(_fingerprint_value(match), match.tags, store=keep)

        hit = await self._cache.fetch(
            key,
            make,
            ttl=self._life.ttl_seconds,
            grace=self._grace,
            max_age=turn.cache.max_age,
            no_cache=turn.cache.no_cache or turn.cache.no_store,
            skip_tiers=context.is_missing(key),
        )
        max_age = turn.cache.max_age
        overdue = bool(hit.value) and max_age is not None and hit.age(self._clock()) > max_age
        return replace(match_of_entry(hit), overdue=overdue, records=records)

    def names_another(self, turn: Turn, match: CustomerMatch) -> bool:
        """Whether a turn that names its customer asks about another person; see `CustomerFinder.names_another`."""
        records = match.records
        return (
            turn.customer_id is not None
            and records is not None
            and self._finder.names_another(turn.messages, records.customer, records.text)
        )

    async def load_records(self, match: CustomerMatch, *, keep: bool = True) -> CustomerMatch:
        """The match with its records. Another match when they have changed meanwhile, or when the customer is no
        longer there (`none`). Without `keep` nothing of it is stored."""
        customer_id = match.outcome.customer_id
        if customer_id is None:
            raise LookupError("no customer was matched")
        if match.records is not None:
            return match
        if (records := self._records.get(match.fingerprint)) is not None:
            return replace(match, records=records)
        hit = await self._cache.get(customer_key(self._name, customer_id))
        if hit is not None:
            stored = customer_from_bytes(hit.value)
            if fingerprint(stored) == match.fingerprint:
                return replace(match, records=self._remember(match, stored))
        since = self._cache.revision()
        customer = await self._load(customer_id)
        if customer is None:
            return CustomerMatch(outcome=CustomerOutcome(kind="none"))
        found = self._match(customer)
        if keep:
            await self._store_records(customer, found, since)
            await self._store_fingerprint(found, since)
        return replace(found, weak=match.weak, records=self._remember(found, customer))

    def _match(self, customer: Customer) -> CustomerMatch:
        # A source with its customers in memory hands out the same object again and again.
        customer_before, match = self._matches.get(id(customer), (None, NO_CUSTOMER))
        if customer_before is not customer:
            match = CustomerMatch(
                outcome=CustomerOutcome(kind="one", customer_id=customer.id),
                fingerprint=fingerprint(customer),
                record_ids=tuple(record.id for record in customer.records),
            )
            self._matches[id(customer)] = customer, match  # holding the object keeps its id its own
        return match

    def _remember(self, match: CustomerMatch, customer: Customer) -> CustomerRecords:
        records = self._records.get(match.fingerprint)
        if records is None:
            if (quality := customer.quality) is not None and quality.hit_score is not None:
                customer = replace(customer, quality=replace(quality, hit_score=None))  # it was one search's
            text = render(customer)
            records = self._records[match.fingerprint] = CustomerRecords(customer, text, estimate_tokens(text))
        return records

    # --- the source and what is stored of it -------------------------------------------------------------

    async def _search(self, turn: Turn, spectrum: str, begun: Resolver | None, renew: bool) -> Resolution:
        found = await self._finder.resolve(turn.messages, None, spectrum=spectrum, begun=begun, renew=renew)
        self.schema_hash = (await self._source.schema()).hash
        return found

    async def _load(self, customer_id: str) -> Customer | None:
        async def load() -> Customer | None:
            customer = await self._source.get(customer_id)
            self.schema_hash = (await self._source.schema()).hash
            return customer

        return await self.calls.note_outcome(load())

    def _negative_entry(self, value: bytes, keep: bool, ttl: float) -> MakerResult:
        return MakerResult(value, negative=True, ttl=ttl, store=keep)

    def _is_stored(self, match: CustomerMatch) -> bool:
        """Whether memory holds just this, fresh: another conversation about the customer has seen to it."""
        held = self._cache.get_from_memory(fingerprint_key(self._name, str(match.outcome.customer_id)))
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

    def _mention_key(self, context: TurnContext) -> str:
        found, schema = context.memo.mention, self.schema_hash
        if found is None or found[0] != schema:
            key = mention_key(
                conversation=context.conversation, source=self._name, region=self._finder.mark, schema_hash=schema
            )
            found = context.memo.mention = (schema, key)
        return found[1]


def _tags_of(customer: Customer) -> tuple[str, ...]:
    return customer_tags(customer.id, (record.id for record in customer.records))


def _is_young(hit: Hit, turn: Turn, now: float) -> bool:
    max_age = turn.cache.max_age
    return hit.fresh_until >= now and (max_age is None or now - hit.stored_at <= max_age)


def _fingerprint_value(match: CustomerMatch) -> bytes:
    return match.fingerprint.encode() + encode([match.outcome.customer_id, *match.record_ids])


def match_of_entry(hit: Hit) -> CustomerMatch:
    """The match in a stored entry of a fingerprint."""
    if not hit.value:
        return CustomerMatch(outcome=CustomerOutcome(kind="none"), tier=hit.tier)
    customer_id, *record_ids = decode(hit.value[_FINGERPRINT_LENGTH:])
    return CustomerMatch(
        outcome=CustomerOutcome(kind="one", customer_id=customer_id),
        fingerprint=hit.value[:_FINGERPRINT_LENGTH].decode(),
        record_ids=tuple(record_ids),
        tier=hit.tier,
    )
