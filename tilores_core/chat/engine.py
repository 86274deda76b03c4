"""The chat engine: the whole story of a question, readable top to bottom.

1. customer  given id, or identifiers found in the conversation; none, one or several (lookup, customer/)
2. prompt    which version
3. cache     an answer to just this, for just this customer, prompt, model and scope (known)
4. model     the provider, then its fallbacks; shared by all who ask the same now (flight, making)
5. observe   one outcome into a bounded queue, never waited for (telling)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

import structlog
from cachetools import TTLCache

from tilores_core.cache.keys import conversation_digest
from tilores_core.cache.tiered import TieredCache
from tilores_core.chat.answer_lookup import AnswerLookup
from tilores_core.chat.answers import answer_from_hit, pieces_of
from tilores_core.chat.codes import error_code
from tilores_core.chat.context.fitting import Fitting
from tilores_core.chat.customer_lookup import CustomerLookup
from tilores_core.chat.customer_match import CustomerMatch
from tilores_core.chat.generator import AnswerGenerator
from tilores_core.chat.grounding.guard import Guard
from tilores_core.chat.messages import last_question
from tilores_core.chat.model_router import ModelRouter
from tilores_core.chat.models import Models
from tilores_core.chat.notes import ModelNotes
from tilores_core.chat.observe import Observers
from tilores_core.chat.reporter import OutcomeReporter
from tilores_core.chat.routing.delivery import Emit
from tilores_core.chat.routing.filler import with_filler
from tilores_core.chat.turn_context import TurnContext
from tilores_core.contracts import (
    Answer,
    Customer,
    CustomerOutcome,
    Delta,
    PromptSource,
    Turn,
    current_purpose,
)
from tilores_core.errors import (
    DeadlineExceededError,
    OverloadedError,
    ProviderAuthError,
    ProviderError,
    SourceError,
    TiloresError,
    UnknownModelError,
)
from tilores_core.resilience import Condition, InFlightCall, InFlightCalls
from tilores_core.settings import CacheTable, ChatTable, RoutingTable
from tilores_core.spectrums import classify

log = structlog.get_logger(part="chat")

# What may pass by itself: then an old answer is better than none.
_PASSING = (ProviderError, SourceError, DeadlineExceededError, OverloadedError)
_REFRESH_SECONDS = 60.0
_REFRESH_PAUSE = 1.0
_SharedCall = InFlightCall[Answer, Delta]


class ChatEngine:
    """Answers turns. `answer` and `stream` may be called concurrently from one event loop."""

    def __init__(
        self,
        *,
        lookup: CustomerLookup,
        models: Models,
        prompts: PromptSource,
        cache: TieredCache,
        table: CacheTable,
        observers: Observers,
        routing: RoutingTable | None = None,
        chat: ChatTable | None = None,
        deadline_seconds: float = 60.0,
        clock: Callable[[], float] = time.time,
        notes: ModelNotes | None = None,
    ) -> None:
        """`deadline_seconds`: for turns without a deadline of their own. `notes` is told of the calls of models."""
        self.models = models
        self.cache = cache
        self.observers = observers
        chat = chat or ChatTable()
        self.guard = Guard(chat.grounding)
        self._routing = routing or RoutingTable()
        self._router = ModelRouter(models, self._routing, deadline_seconds=deadline_seconds, notes=notes)
        self._maker = AnswerGenerator(
            lookup=lookup,
            models=models,
            router=self._router,
            fitting=Fitting(
                models,
                share=chat.records_share,
                window=chat.default_context_window,
                windows=self._routing.context_windows,
            ),
            guard=self.guard,
            cache=cache,
            table=table,
            chat=chat,
        )
        self.known = AnswerLookup(
            lookup=lookup, models=models, prompts=prompts, cache=cache, clock=clock, mark=self._maker.mark
        )
        self.reporter = OutcomeReporter(
            observers=observers, known=self.known, lookup=lookup, models=models, prompts=prompts, clock=clock
        )
        self._lookup = lookup
        self._prompts = prompts
        self._clock = clock
        self.coalesced = 0
        """Turns that waited for the answer to another that asked the same."""
        self._calls: InFlightCalls[Answer, Delta] = InFlightCalls()
        self._refreshed: TTLCache[str, None] = TTLCache(1024, _REFRESH_PAUSE, timer=clock)

    async def warm_up(self) -> None:
        """Import what the models of `[use]` need, so that the first caller does not wait for it. Never raises."""
        try:
            await asyncio.to_thread(import_module, "phonenumbers")
        except Exception as error:  # whoever needs it will be told; starting goes on
            log.warning("chat.phone_library_failed", error=type(error).__name__)
        for name in dict.fromkeys((self.models.default, *self.models.fallbacks)):
            await self._warm_up(name)

    async def _warm_up(self, name: str) -> None:
        info = self.models.info(name)
        missing = info.unavailable if info is not None else None
        try:
            if missing is None:
                await self.models.warm_up(name)
        except ProviderAuthError as error:
            missing = error.fix or error.message
        except Exception as error:
            log.warning("chat.model_not_ready", model=name, error=type(error).__name__)
        if missing is not None and name == self.models.default:
            log.warning("chat.default_model_not_ready", model=name, fix=missing)

    def routes(self) -> Mapping[str, Mapping[str, Any]]:
        """What is known of each model that was asked, by full name: its breaker's state, how soon it speaks."""
        return self._router.report()

    def conditions(self) -> Mapping[str, Condition]:
        """By model that was asked: whether its last call worked, since when it is so, and the last error."""
        return self._router.conditions()

    async def probe_source(self, seconds: float) -> bool:
        """Ask the customer source, unless it is known to have worked a moment ago; False when it takes longer."""
        return await self._lookup.calls.probe(seconds)

    @property
    def source_condition(self) -> Condition:
        """The same of the customer source."""
        return self._lookup.calls.condition

    # --- any answer --------------------------------------------------------------------------------------

    async def answer(self, turn: Turn, absent: Collection[str] = ()) -> Answer:
        """The answer; `absent`: what `recall` has just found in no tier.

        Raises `RequestError`, `SourceError`, `ProviderError`; a deadline is the caller's to set.
        """
        context = self._begin_turn(turn)
        try:
            found = await self._find(context, streamed=False, absent=absent)
            answer = found if isinstance(found, Answer) else await found.result()
        except _PASSING as error:
            answer = self._stale_answer(context, error)
        except BaseException as error:
            self.reporter.report(context, None, error)
            raise
        self.reporter.report(context, answer, None)
        return answer

    async def look_up(self, turn: Turn) -> tuple[CustomerOutcome, Customer | None]:
        """Whom a turn is about, with the records, from the cache or the source. No model is asked, nobody is told.

        Raises `RequestError`, `SourceError`.
        """
        match = await self._locate(turn, conversation_digest(turn.messages), "general")
        if match.outcome.kind != "one":
            return match.outcome, None
        before = current_purpose.set(turn.purpose)
        try:
            match, known = await self._lookup.records(match, keep=not turn.cache.no_store)
        finally:
            current_purpose.reset(before)
        return match.outcome, None if known is None else known.customer

    def stream(self, turn: Turn) -> AsyncGenerator[Delta | Answer, None]:
        """Pieces as the model makes them, then the answer. What raises before the first piece is as for `answer`.

        The pieces join up to the answer's text but for those that are marked as filler.
        """
        items = self._stream(turn)
        routing = self._routing
        if not routing.filler or turn.purpose != "live":
            return items
        return with_filler(items, text=routing.filler, seconds=routing.filler_seconds)

    async def _stream(self, turn: Turn) -> AsyncGenerator[Delta | Answer, None]:
        context = self._begin_turn(turn)
        answer: Answer | None = None
        try:
            found = await self._find(context, streamed=True)
            if isinstance(found, Answer):
                for piece in pieces_of(found):
                    yield piece
                answer = found
            else:
                async with aclosing(found.follow()) as items:
                    async for item in items:
                        if isinstance(item, Answer):
                            answer = item
                        else:
                            context.timings.setdefault("first_token", time.perf_counter() - context.started)
                            yield item
                if answer is not None and "first_token" not in context.timings:
                    # It was begun by somebody who did not listen, or made by another replica.
                    for piece in pieces_of(answer):
                        yield piece
        except _PASSING as error:
            if "first_token" in context.timings:
                self.reporter.report(context, None, error)
                raise
            answer = self._stale_answer(context, error)
            for piece in pieces_of(answer):
                yield piece
        except BaseException as error:
            self.reporter.report(context, None, error)
            raise
        if answer is None:
            raise RuntimeError("a call ended without an answer")
        self.reporter.report(context, answer, None)
        yield answer

    def _begin_turn(self, turn: Turn) -> TurnContext:
        try:
            model = self.models.resolve(turn.model)
        except UnknownModelError as error:
            self.reporter.report_rejected(turn, error)
            raise
        return TurnContext(
            turn=turn,
            model=model,
            prompt=self._prompts.choose(turn),
            conversation=conversation_digest(turn.messages),
            mark=self.cache.mark(),
        )

    async def _find(
        self, context: TurnContext, *, streamed: bool, absent: Collection[str] = ()
    ) -> Answer | _SharedCall:
        """A ready answer, or the call, joined already, that will bring one."""
        turn = context.turn
        spectrum = classify(last_question(turn.messages))
        match = await self._locate(turn, context.conversation, spectrum, absent)
        context.timings["customer"] = time.perf_counter() - context.started
        context.match = match
        if match.outcome.kind in ("none", "several"):
            return self._maker.ask_back(context, match.outcome, spectrum)

        key = self._key(context, match)
        if turn.cache.no_store or turn.cache.no_cache:
            # Somebody who asked for a fresh answer shares with nobody.
            return self._take_off(key, context, match, spectrum, streamed=streamed, shared=False)
        # Somebody may have stored it since; whoever did so in this process has left it in memory.
        looked = key in absent and self.cache.has_memory
        hit = self.cache.peek(key) if looked else await self.cache.get(key)
        if hit is None and not looked and key not in self._calls:
            hit = self.cache.peek(key)  # a call may have ended while the tiers below were asked
        if hit is not None and self.known.is_acceptable(turn, hit):
            if key in self.known.watched and turn.purpose == "live":
                self.known.watched[key] += 1
            if self.known.is_stale(hit) and key not in self._calls:
                self._refresh(key, context, match, spectrum)
            answer = answer_from_hit(hit, self._clock())
            return replace(answer, stale=True) if match.overdue else answer
        if hit is not None:
            context.stale_fallback = answer_from_hit(hit, self._clock())
        return self._take_off(key, context, match, spectrum, streamed=streamed)

    def _key(self, context: TurnContext, match: CustomerMatch) -> str:
        return self.known.key(context.turn, context.model, context.prompt, context.conversation, match.cache_key_part)

    async def _locate(
        self, turn: Turn, conversation: bytes, spectrum: str, absent: Collection[str] = ()
    ) -> CustomerMatch:
        """With the turn's purpose known to the source, which may let live calls go first."""
        before = current_purpose.set(turn.purpose)
        try:
            return await self._lookup.locate(turn, conversation, spectrum, absent)
        finally:
            current_purpose.reset(before)

    def _stale_answer(self, context: TurnContext, error: TiloresError) -> Answer:
        """The stored answer that was too old, now that there is none better (RFC 5861's stale-if-error)."""
        if context.stale_fallback is None:
            self.reporter.report(context, None, error)
            raise error
        log.warning("chat.stale_answer_served", error=error_code(error), age_s=round(context.stale_fallback.age))
        return replace(context.stale_fallback, stale=True)

    # --- the model ---------------------------------------------------------------------------------------

    def _refresh(self, key: str, context: TurnContext, match: CustomerMatch, spectrum: str) -> None:
        """Renew a stale answer behind the request that it was served to. Its context is another, as that one ends."""
        if key in self._refreshed:  # and has failed, or it would not be stale
            return
        self._refreshed[key] = None
        own = replace(context, timings={}, attempts=[], tools=[], customer=None)
        self._take_off(key, own, match, spectrum, streamed=False).leave_after(_REFRESH_SECONDS)

    def _take_off(
        self,
        key: str,
        context: TurnContext,
        match: CustomerMatch,
        spectrum: str,
        *,
        streamed: bool,
        shared: bool = True,
    ) -> _SharedCall:
        """Start or join the call for this key. Not `shared`: no other turn joins it."""
        name = key if shared else f"{key}#{id(context)}"
        budget = self._router.budget(context.turn)
        call = self._calls.get(name)
        if call is not None:
            self.coalesced += 1
        else:

            async def work(emit: Emit) -> Answer:
                current_purpose.set(context.turn.purpose)
                said = emit if streamed else None
                accept = partial(self.known.is_good, context.turn)
                async with self.cache.lease(name, accept=accept) as hit:
                    if hit is not None:  # another replica asked the same meanwhile
                        return answer_from_hit(hit, self._clock())
                    rekey = partial(self._key, context)
                    return await self._maker.make(key, rekey, context, match, spectrum, said, budget)

            call = self._calls.start(name, work, budget=budget)
        call.join(budget)
        return call

    async def aclose(self) -> None:
        await self._calls.aclose()
        await self.observers.aclose()
