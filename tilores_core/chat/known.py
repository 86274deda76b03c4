"""Answers that are there already: in memory, found without waiting, or in the cache tiers below.

Neither the source nor a model is asked here, and nothing is stored.
"""

from __future__ import annotations

from collections.abc import Callable

from tilores_core.cache.keys import answer_key, conversation_digest
from tilores_core.cache.tiered import Hit, TieredCache
from tilores_core.chat.lookup import CustomerLookup
from tilores_core.chat.models import Models
from tilores_core.contracts import Prompt, PromptSource, Turn


class KnownAnswers:
    """Finds stored answers and says whether a turn may have them."""

    def __init__(
        self,
        *,
        lookup: CustomerLookup,
        models: Models,
        prompts: PromptSource,
        cache: TieredCache,
        clock: Callable[[], float],
    ) -> None:
        self._lookup = lookup
        self._models = models
        self._prompts = prompts
        self._cache = cache
        self._clock = clock

    def peek_key(self, turn: Turn) -> str | None:
        """The key under which memory may hold the answer, or None when finding it out takes I/O.

        Raises `UnknownModelError`.
        """
        if not _may_be_known(turn):
            return None
        model = self._models.resolve(turn.model)
        conversation = conversation_digest(turn.messages)
        fingerprint = self._lookup.peek(turn, conversation, self._clock())
        if fingerprint is None:
            return None
        return self.key(turn, model, self._prompts.choose(turn), conversation, fingerprint)

    def peek(self, turn: Turn, key: str) -> Hit | None:
        """What memory holds under a key from `peek_key` (or made from one), if this turn may have it, fresh."""
        hit = self._cache.peek(key)
        return hit if hit is not None and self.is_good(turn, hit) else None

    async def recall(self, turn: Turn) -> tuple[str, Hit] | frozenset[str]:
        """The answer's key and hit, from the tiers below memory too; else the keys that were found in no tier."""
        if not _may_be_known(turn):
            return frozenset()
        absent: set[str] = set()
        conversation = conversation_digest(turn.messages)
        fingerprint = await self._lookup.recall(turn, conversation, self._clock(), absent)
        if fingerprint is not None:
            model = self._models.resolve(turn.model)
            key = self.key(turn, model, self._prompts.choose(turn), conversation, fingerprint)
            hit = await self._cache.get(key)
            if hit is None:
                absent.add(key)
            elif self.is_good(turn, hit):
                return key, hit
        return frozenset(absent)

    def key(self, turn: Turn, model: str, prompt: Prompt, conversation: bytes, fingerprint: str) -> str:
        """The key of an answer: all that it depends on."""
        return answer_key(
            conversation=conversation,
            model=model,
            parameters=turn.parameters,
            prompt_version=prompt.version,
            fingerprint=fingerprint,
            scope=turn.caller.scope,
            schema_hash=self._lookup.schema_hash,
        )

    def is_acceptable(self, turn: Turn, hit: Hit) -> bool:
        """Young enough for what this turn demands."""
        max_age = turn.cache.max_age
        return max_age is None or hit.age(self._clock()) <= max_age

    def is_stale(self, hit: Hit) -> bool:
        return hit.stale(self._clock())

    def is_good(self, turn: Turn, hit: Hit) -> bool:
        return self.is_acceptable(turn, hit) and not self.is_stale(hit)


def _may_be_known(turn: Turn) -> bool:
    policy = turn.cache
    return not (policy.no_cache or policy.no_store or (turn.customer_id is None and not turn.caller.search))
