"""Step five of the engine: what observers are told of a turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from tilores_core.cache.tiered import Hit
from tilores_core.chat.answers import answer_from_hit
from tilores_core.chat.codes import error_code
from tilores_core.chat.journey import Journey
from tilores_core.chat.known import KnownAnswers, Recall
from tilores_core.chat.lookup import CustomerLookup
from tilores_core.chat.models import Models
from tilores_core.chat.observe import Observers
from tilores_core.contracts import Answer, CustomerOutcome, Outcome, PromptSource, Turn


class Telling:
    """Makes the outcome of a turn; nothing here is waited for."""

    def __init__(
        self,
        *,
        observers: Observers,
        known: KnownAnswers,
        lookup: CustomerLookup,
        models: Models,
        prompts: PromptSource,
        clock: Callable[[], float],
    ) -> None:
        self._observers = observers
        self._known = known
        self._lookup = lookup
        self._models = models
        self._prompts = prompts
        self._clock = clock

    def tell(self, journey: Journey, answer: Answer | None, error: BaseException | None) -> None:
        """Tell the observers of a turn that is over."""
        if not self._observers:
            return
        journey.timings["total"] = time.perf_counter() - journey.started
        located = journey.located
        self._observers.tell(
            Outcome(
                turn=journey.turn,
                answer=answer,
                timings=journey.timings,
                attempts=tuple(journey.attempts),
                customer=journey.customer,
                error=None if error is None else error_code(error),
                started_at=time.time() - journey.timings["total"],
                customer_tier=None if located is None else located.tier,
                customer_records=None if located is None else len(located.record_ids),
                tools=tuple(journey.tools),
            )
        )

    def outcome_of_hit(self, turn: Turn, recall: Recall, hit: Hit, seconds: float) -> Outcome:
        """What observers may be told of an answer that was served from the cache without this engine.

        `hit`: what was served, in whatever form. Made for few of them: it costs as much as serving one.
        """
        key = self._known.peek_key(turn, recall)
        stored = None if key is None else self._known.peek(turn, key)
        model, prompt = self._models.resolve(turn.model), self._prompts.choose(turn)
        if stored is not None:
            answer = replace(answer_from_hit(stored, self._clock()), cache_tier=hit.tier)
        else:  # its bytes for the wire outlived it
            answer = Answer(
                text="",
                model=model,
                cost=0.0,
                cache_tier=hit.tier,
                age=hit.age(self._clock()),
                prompt_version=prompt.version,
                customer=CustomerOutcome(kind="unnamed" if turn.customer_id is None else "one"),
            )
        customer_id = answer.customer.customer_id
        return Outcome(
            turn=turn,
            answer=answer,
            timings={"customer": 0.0, "cache": seconds, "total": seconds},
            started_at=time.time() - seconds,
            customer_tier=hit.tier,
            customer_records=None if customer_id is None else self._lookup.count_records(customer_id),
        )

    def refuse(self, turn: Turn, error: BaseException) -> None:
        """Tell the observers of a turn that was refused before anything was done for it."""
        if self._observers:
            self._observers.tell(
                Outcome(turn=turn, answer=None, timings={}, error=error_code(error), started_at=time.time())
            )
