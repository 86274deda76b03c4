"""Answers that are there already: in memory, found without waiting, or in the cache tiers below.

Neither the source nor a model is asked here, and nothing is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tilores_core.cache.keys import answer_key, conversation_digest
from tilores_core.cache.tiered import Hit, TieredCache
from tilores_core.chat.answers import answer_from_hit
from tilores_core.chat.customer_lookup import CustomerLookup
from tilores_core.chat.models import Models
from tilores_core.contracts import Answer, Prompt, PromptSource, Turn


@dataclass(slots=True)
class KeyMemo:
    """The keys that a request led to, kept with the decoded request: making them anew is a fifth of a known answer.

    Only for turns with the same messages and parameters, which the request they are kept with sees to. `key` is the
    answer's, made from `basis`; `keys` are all that were read below memory when it was found there.
    """

    basis: tuple[str, ...] = ()
    key: str = ""
    keys: tuple[str, ...] = ()
    _conversation: bytes | None = None

    def digest(self, turn: Turn) -> bytes:
        """The conversation's."""
        if self._conversation is None:
            self._conversation = conversation_digest(turn.messages)
        return self._conversation


class AnswerLookup:
    """Finds stored answers and says whether a turn may have them."""

    def __init__(
        self,
        *,
        lookup: CustomerLookup,
        models: Models,
        prompts: PromptSource,
        cache: TieredCache,
        clock: Callable[[], float],
        mark: Callable[[str], str] = str,
    ) -> None:
        """`mark`: a model's full name -> that name with the settings that answers of this model depend on."""
        self._lookup = lookup
        self._models = models
        self._prompts = prompts
        self._cache = cache
        self._clock = clock
        self._mark = mark
        self.watched: dict[str, int] = {}
        """Answers by key that somebody wants live hits counted of; whoever serves one counts it."""

    def peek_key(self, turn: Turn, recall: KeyMemo | None = None) -> str | None:
        """The key under which memory may hold the answer, or None when finding it out takes I/O.

        Raises `UnknownModelError`.
        """
        if not _may_be_known(turn):
            return None
        model = self._models.resolve(turn.model)
        recall = recall or KeyMemo()
        conversation = recall.digest(turn)
        fingerprint = self._lookup.peek(turn, conversation, self._clock())
        return None if fingerprint is None else self._key_of(turn, recall, model, conversation, fingerprint)

    def _key_of(self, turn: Turn, recall: KeyMemo, model: str, conversation: bytes, fingerprint: str) -> str:
        prompt = self._prompts.choose(turn)
        basis = (model, prompt.version, fingerprint, turn.caller.scope, self._lookup.schema_hash)
        if basis != recall.basis:
            recall.key = self.key(turn, model, prompt, conversation, fingerprint)
            recall.basis = basis
        return recall.key

    def peek(self, turn: Turn, key: str) -> Hit | None:
        """What memory holds under a key from `peek_key` (or made from one), if this turn may have it, fresh."""
        hit = self._cache.peek(key)
        return hit if hit is not None and self.is_good(turn, hit) else None

    def at_hand(self, turn: Turn) -> Answer | None:
        """The answer, if memory has one that this turn may have. Nothing is awaited. Raises `UnknownModelError`."""
        key = self.peek_key(turn)
        hit = None if key is None else self.peek(turn, key)
        return None if hit is None else answer_from_hit(hit, self._clock())

    async def recall(self, turn: Turn, recall: KeyMemo) -> tuple[str, Hit] | frozenset[str]:
        """The answer's key and hit, from the tiers below memory too; else the keys that were found in no tier.

        What the same request read the last time is read at once, in one round trip where it takes three otherwise.
        """
        if not _may_be_known(turn):
            return frozenset()
        conversation = recall.digest(turn)
        at_hand: dict[str, Hit | None] = dict.fromkeys(recall.keys)
        if at_hand:
            at_hand.update(await self._cache.get_many(recall.keys))
        seen: dict[str, Hit | None] = {}

        async def read(key: str) -> Hit | None:
            hit = at_hand.get(key) or self._cache.peek(key)
            if hit is None and key not in at_hand:
                hit = await self._cache.get(key, peeked=True)
            seen[key] = hit
            return hit

        fingerprint = await self._lookup.recall(turn, conversation, self._clock(), read)
        if fingerprint is not None:
            key = self._key_of(turn, recall, self._models.resolve(turn.model), conversation, fingerprint)
            hit = await read(key)
            if hit is not None and self.is_good(turn, hit):
                recall.keys = tuple(seen)
                return key, hit
        return frozenset(key for key, hit in seen.items() if hit is None)

    def key(self, turn: Turn, model: str, prompt: Prompt, conversation: bytes, fingerprint: str) -> str:
        """The key of an answer: all that it depends on."""
        return answer_key(
            conversation=conversation,
            model=self._mark(model),
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
