"""Step five of the engine: one outcome per turn, for observers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from tilores_core.cache.tiered import Hit
from tilores_core.chat.answer_lookup import AnswerLookup, KeyMemo
from tilores_core.chat.answers import answer_from_hit
from tilores_core.chat.codes import error_code
from tilores_core.chat.customer_lookup import CustomerLookup
from tilores_core.chat.models import Models
from tilores_core.chat.observe import Observers
from tilores_core.chat.turn_context import TurnContext
from tilores_core.contracts import Answer, CustomerOutcome, Outcome, PromptSource, Turn


class OutcomeReporter:
    """Makes the outcome of a turn and queues it for observers. Never waits."""

    def __init__(
        self,
        *,
        observers: Observers,
        known: AnswerLookup,
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

    def report(self, context: TurnContext, answer: Answer | None, error: BaseException | None) -> None:
        """Report a turn that has ended."""
        if not self._observers:
            return
        context.timings["total"] = time.perf_counter() - context.started
        match = context.match
        self._observers.tell(
            Outcome(
                turn=context.turn,
                answer=answer,
                timings=context.timings,
                attempts=tuple(context.attempts),
                customer=context.customer,
                error=None if error is None else error_code(error),
                started_at=time.time() - context.timings["total"],
                customer_tier=None if match is None else match.tier,
                customer_records=None if match is None else len(match.record_ids),
                tools=tuple(context.tools),
            )
        )

    def outcome_of_hit(self, turn: Turn, recall: KeyMemo, hit: Hit, seconds: float) -> Outcome:
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

    def report_rejected(self, turn: Turn, error: BaseException) -> None:
        """Report a turn that was rejected before the engine worked on it."""
        if self._observers:
            self._observers.tell(
                Outcome(turn=turn, answer=None, timings={}, error=error_code(error), started_at=time.time())
            )
