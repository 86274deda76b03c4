"""Stored answers: found in memory, in the shared tiers or with the source's help, and stored.

The way to an answer is always the same: the conversation leads to a customer (unless the turn names one), the
customer to a fingerprint of the records, the fingerprint to the answer's key. `get_from_memory` uses entries in this
process, `get_from_tiers` reads those it lacks from the shared tiers, `resolve` asks the customer source as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

from tilores_core.cache.keys import answer_key
from tilores_core.cache.tiered import Hit, TieredCache
from tilores_core.chat.customer_lookup import CustomerLookup
from tilores_core.chat.customer_match import NO_CUSTOMER, CustomerMatch
from tilores_core.chat.routing.health import Holds
from tilores_core.chat.stored import answer_to_bytes, is_cacheable
from tilores_core.chat.turn_context import TurnContext
from tilores_core.contracts import Answer, Turn, current_purpose
from tilores_core.settings import CacheTable

_MODELS_KEPT = 256  # callers may name models that are in no list
_ENTRIES_PER_ANSWER = 3  # the mention, the fingerprint, the answer


class AnswerLookup:
    """Finds and stores answers, and decides whether a turn may have a stored one.

    `model_key_part`: a model's full name -> that name with the settings that this model's answers depend on.
    """

    def __init__(
        self,
        *,
        customers: CustomerLookup,
        cache: TieredCache,
        table: CacheTable,
        model_key_part: Callable[[str], str] = str,
        clock: Callable[[], float],
    ) -> None:
        self._customers = customers
        self._cache = cache
        self._life = table.answers
        self._life_by_spectrum = table.spectrums
        self._model_key_part = lru_cache(maxsize=_MODELS_KEPT)(model_key_part)
        self._clock = clock
        self._distrusted: dict[str, dict[str, tuple[float, float]]] = {}
        self._has_shared = cache.has_shared

    # --- finding -----------------------------------------------------------------------------------------

    def find_key(self, context: TurnContext) -> str | None:
        """The answer's key, or None when entries in memory do not tell the customer; see `find_key_part`."""
        turn = context.turn
        policy = turn.cache
        if policy.no_cache or policy.no_store or (turn.customer_id is None and not turn.caller.search):
            return None
        part = self._customers.find_key_part(context)
        return None if part is None else self._key(context, part)

    def get_from_memory(self, context: TurnContext) -> Hit | None:
        """The answer in this process, if the turn may have it and it is fresh. Nothing is awaited.

        Else `context.missing_key` is that of the first entry on the way that memory does not have.
        """
        key = self.find_key(context)
        return None if key is None else self.get_by_key(context, key)

    def get_by_key(self, context: TurnContext, key: str) -> Hit | None:
        """The same, when `find_key` was just asked."""
        hit = context.entries.get(key) or self._cache.get_from_memory(key)
        if hit is None:
            context.missing_key = context.missing_key or key
            return None
        return hit if self.is_good(context, hit) else None

    async def get_from_tiers(self, context: TurnContext) -> Hit | None:
        """The same with the tiers outside this process, after `get_from_memory` has found nothing.

        What the same request read the last time is read at once: one round trip instead of three. So is the answer
        to a conversation that names no customer, as most end there that were not asked before.
        """
        if not self._has_shared or context.missing_key is None:
            return None
        entries, memo = context.entries, context.memo
        hit: Hit | None = None
        keys = memo.keys
        if not keys and context.turn.customer_id is None:
            keys = (context.missing_key, self._key(context, ""))
        if keys:
            stored = await self._cache.get_many(keys, skip_local=not memo.keys)
            entries |= {key: stored.get(key) for key in keys}
            if not stored and context.missing_key in keys:
                return None
            hit = self.get_from_memory(context)
        while hit is None and (key := context.missing_key) is not None and key not in entries:
            entries[key] = await self._cache.get_from_tiers(key)
            hit = self.get_from_memory(context)
        if hit is not None:
            found = [key for key, entry in entries.items() if entry is not None]
            memo.keys = tuple(dict.fromkeys((*found, *memo.keys)))[:_ENTRIES_PER_ANSWER]
        return hit

    async def resolve(self, context: TurnContext) -> tuple[CustomerMatch, str, Hit | None]:
        """The customer, if need be from the source, the answer's key, and the stored answer: also a stale one, or one
        too old.

        Sets `context.match`. Raises `SourceError`, `PermissionDeniedError`.
        """
        turn = context.turn
        context.match = match = await self.find_customer(context)
        context.timings["customer"] = time.perf_counter() - context.started
        context.missing_key = None
        key = self.key_of(context)
        if match.unclear or turn.cache.no_store or turn.cache.no_cache:
            return match, key, None
        if key in context.entries or not self._has_shared:
            hit = self._cache.get_from_memory(key) or context.entries.get(key)
        else:  # another turn may have stored it while the tiers were asked
            hit = await self._cache.get(key) or self._cache.get_from_memory(key)
        if hit is not None and match is NO_CUSTOMER:
            await self._customers.store_unnamed(context)
        return match, key, None if hit is None or self._is_distrusted(context, hit) else hit

    async def find_customer(self, context: TurnContext) -> CustomerMatch:
        """The customer, with the turn's purpose visible to the source, which may let live calls go first."""
        if current_purpose.get() == context.turn.purpose:
            return await self._customers.resolve(context)
        before = current_purpose.set(context.turn.purpose)
        try:
            return await self._customers.resolve(context)
        finally:
            current_purpose.reset(before)

    def is_good(self, context: TurnContext, hit: Hit) -> bool:
        """Fresh, no older than the turn accepts, and not of a model that is distrusted."""
        now, max_age = self._clock(), context.turn.cache.max_age
        return (
            hit.fresh_until > now
            and (max_age is None or now - hit.stored_at <= max_age)
            and (context.missing_key is None or now - hit.stored_at <= self._customers.unnamed_seconds)
            and not (self._distrusted and self._is_distrusted(context, hit))
        )

    def is_young(self, turn: Turn, hit: Hit) -> bool:
        """No older than the turn accepts; perhaps stale."""
        max_age = turn.cache.max_age
        return max_age is None or hit.age(self._clock()) <= max_age

    def distrust(self, models: Holds) -> None:
        """Serve no answers that these models gave since their time, while they are held; and those of all others."""
        now = self._clock()
        self._distrusted = {}
        for (model, spectrum), hold in models.items():
            self._distrusted.setdefault(model, {})[spectrum] = (hold.since, now + hold.seconds)

    def _is_distrusted(self, context: TurnContext, hit: Hit) -> bool:
        held = self._distrusted.get(context.model)
        if held is None:
            return False
        now = self._clock()
        found = (held.get(""), held.get(context.spectrum))
        return any(one is not None and one[0] <= hit.stored_at and now < one[1] for one in found)

    # --- storing -----------------------------------------------------------------------------------------

    async def store(self, context: TurnContext, answer: Answer) -> None:
        """Store the answer to a turn whose customer is known, if it may be stored."""
        match = context.match
        if match is None or context.turn.cache.no_store:
            return
        if is_cacheable(context.turn, answer, asked_model=context.model):
            await self._cache.set(
                self.key_of(context),
                answer_to_bytes(answer),
                ttl=self._life_by_spectrum.get(answer.spectrum, self._life.ttl_seconds),
                grace=self._life.stale_seconds,
                tags=match.tags,
                since=context.revision,
                behind=True,
            )

    # --- keys --------------------------------------------------------------------------------------------

    def key_of(self, context: TurnContext) -> str:
        """The answer's key, of a turn whose customer is known."""
        return self._key(context, "" if context.match is None else context.match.cache_key_part)

    def _key(self, context: TurnContext, customer_part: str) -> str:
        turn, memo = context.turn, context.memo
        schema_hash = self._customers.schema_hash
        basis = (context.model, context.prompt.version, customer_part, turn.caller.scope, schema_hash)
        if basis != memo.basis:
            memo.key = answer_key(
                conversation=context.conversation,
                model=self._model_key_part(context.model),
                parameters=turn.parameters,
                prompt_version=context.prompt.version,
                fingerprint=customer_part or self._customers.unnamed_mark,
                scope=turn.caller.scope,
                schema_hash=schema_hash,
            )
            memo.basis = basis
        return memo.key
