"""The chat engine: the way of a turn from question to answer, readable top to bottom.

1. customer  the given id, or identifiers found in the conversation; none, one or several (customer_lookup, customer/)
2. prompt    which version (a `PromptSource`)
3. cache     a stored answer to just this, for just this customer, prompt, model and scope (answer_lookup)
4. model     the provider and its fallbacks; one call shared by all who ask the same now (generator, routing/)
5. report    one outcome to observers, never waited for (reporter)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from importlib import import_module
from typing import Any

import structlog
from cachetools import TTLCache
from msgspec.structs import replace

from tilores_core.cache.keys import wire_key
from tilores_core.cache.tiered import Hit, TieredCache
from tilores_core.chat.answer_lookup import AnswerLookup
from tilores_core.chat.context.fitting import TokenBudgets
from tilores_core.chat.customer_lookup import CustomerLookup
from tilores_core.chat.customer_match import CustomerMatch
from tilores_core.chat.generator import AnswerGenerator
from tilores_core.chat.grounding.guard import Guard
from tilores_core.chat.model_router import ModelRouter
from tilores_core.chat.models import Models
from tilores_core.chat.reporter import OutcomeReporter
from tilores_core.chat.routing.budget import deadline_exceeded
from tilores_core.chat.routing.delivery import Emit
from tilores_core.chat.routing.fallback_chain import ModelNotes
from tilores_core.chat.routing.filler import with_filler
from tilores_core.chat.routing.health import Holds
from tilores_core.chat.stored import answer_from_hit, pieces_of
from tilores_core.chat.turn_context import KeyMemo, TurnContext
from tilores_core.contracts import Answer, Caller, Delta, PromptChoice, PromptSource, Turn, current_purpose
from tilores_core.errors import (
    DeadlineExceededError,
    OverloadedError,
    ProviderError,
    SourceError,
    TiloresError,
    error_code,
)
from tilores_core.resilience import InFlightCall, InFlightCalls
from tilores_core.settings import CacheTable, ChatTable, RoutingTable

log = structlog.get_logger(part="chat")

# Failures that may pass by themselves: then an old answer is better than none.
_TRANSIENT = (ProviderError, SourceError, DeadlineExceededError, OverloadedError)
_REFRESH_SECONDS = 60.0
_REFRESH_PAUSE = 1.0
_SharedCall = InFlightCall[Answer, Delta]


class ChatEngine:
    """Answers turns. `answer` and `stream` may be called concurrently from one event loop.

    A hot path hands on what it has learned: `begin` a turn, ask `get_cached_reply`, then `answer` the same context.
    """

    def __init__(
        self,
        *,
        customers: CustomerLookup,
        models: Models,
        prompts: PromptSource,
        cache: TieredCache,
        table: CacheTable,
        reporter: OutcomeReporter,
        routing: RoutingTable | None = None,
        chat: ChatTable | None = None,
        deadline_seconds: float = 60.0,
        clock: Callable[[], float] = time.time,
        notes: ModelNotes | None = None,
    ) -> None:
        """Build the engine. `deadline_seconds`: for turns without a deadline of their own. `notes` gets each call
        of a model."""
        self.models = models
        self.watched_hits: dict[str, int] = {}
        """Live hits by answer key, for the keys that are in it. Who adds a key removes it."""
        self._cache = cache
        self._customers = customers
        self._prompts = prompts
        self._reporter = reporter
        self._routing = routing or RoutingTable()
        self._deadline_seconds = deadline_seconds
        self._clock = clock
        chat = chat or ChatTable()
        self._guard = Guard(chat.grounding)
        self._router = ModelRouter(models, self._routing, deadline_seconds=deadline_seconds, notes=notes)
        self.routes = self._router.report
        """`routes()`: by full name of each model that was asked: its breaker's state, its usual time to a token."""
        self.conditions = self._router.conditions
        """`conditions()`: by model that was asked: whether its last call worked, since when, and the last error."""
        self.probe_source = customers.calls.probe
        self.source_condition = customers.calls.condition
        windows, window = self._routing.context_windows, chat.default_context_window
        self._generator = AnswerGenerator(
            customers=customers,
            models=models,
            router=self._router,
            fitting=TokenBudgets(models, share=chat.records_share, window=window, windows=windows),
            guard=self._guard,
            chat=chat,
        )
        part = self._generator.cache_key_part
        self._answers = AnswerLookup(customers=customers, cache=cache, table=table, model_key_part=part, clock=clock)
        self._calls: InFlightCalls[Answer, Delta] = InFlightCalls()
        self._coalesced = 0
        self._refreshed: TTLCache[str, None] = TTLCache(1024, _REFRESH_PAUSE, timer=clock)

    # --- a turn ------------------------------------------------------------------------------------------

    def begin(self, turn: Turn, memo: KeyMemo | None = None, *, like: TurnContext | None = None) -> TurnContext:
        """The context of a turn, with its model and prompt, those of `like`, begun for the same request.

        `memo`: kept with a request that may be repeated. Raises `UnknownModelError`.
        """
        until = time.monotonic() + self._deadline_seconds if turn.deadline is None else turn.deadline
        if like is not None:
            asked, choice = like.asked_model, PromptChoice(like.prompt, like.model, like.arm)
        else:
            asked = self.models.resolve(turn.model)
            choice = self._prompts.choose(turn, asked)
        prompt, model, arm = choice
        return TurnContext(turn, model or asked, prompt, memo or KeyMemo(), until, asked_model=asked, arm=arm)

    def begin_again(self, memo: KeyMemo, caller: Caller) -> TurnContext | None:
        """The context of the turn before with the same decoded request, if it serves for `get_cached_reply` as one of
        its own would: making both is a fifth of a cached reply. It has the ids and the deadline of that turn."""
        context = memo.context
        if context is None or context.turn.caller is not caller or self._reporter.share_of_hits:
            return None
        turn = context.turn
        if self._prompts.varies and turn.session_id is None and turn.customer_id is None:
            return None
        choice = self._prompts.choose(turn, context.asked_model)
        if choice.prompt is context.prompt and choice.arm is context.arm:
            return context
        model = choice.model or context.asked_model
        return replace(context, prompt=choice.prompt, model=model, arm=choice.arm, customer_entry=None)

    def get_cached_reply(
        self, context: TurnContext, protocol: str, render: Callable[[Answer], bytes], run_id: str
    ) -> tuple[bytes, Hit] | None:
        """A fresh stored answer in memory as the bytes that `protocol` sends, and its entry. Nothing is awaited.

        `render` makes the bytes once per stored answer; they are kept beside it.
        """
        key = self._answers.find_key(context)
        if key is None:
            return None
        stored = wire_key(key, protocol)
        hit = self._cache.get_from_memory(stored)
        if hit is not None and self._answers.is_good(context, hit):
            reply = hit.value
        else:
            hit = self._answers.get_by_key(context, key)
            if hit is None:
                return None
            reply = render(answer_from_hit(hit, self._clock()))
            self._cache.put_in_memory(stored, reply, hit)
        if self.watched_hits:
            self._count_hit(context, key)
        if (quality := self._reporter.quality) is not None:
            next(quality.hits)
            quality.recent.append((run_id, key, context.model, context.prompt.version))
        if self._reporter.share_of_hits:
            self._reporter.report_cached(context, hit, self.get_from_memory)
        context.memo.context = context
        return reply, hit

    async def answer(self, turn: Turn | TurnContext) -> Answer:
        """The answer, within the turn's deadline.

        Raises `RequestError`, `SourceError`, `ProviderError`, `DeadlineExceededError`, `OverloadedError`.
        """
        context = self._context(turn)
        try:
            with context.deadline():
                found = await self._find(context, streamed=False)
                answer = found if isinstance(found, Answer) else await found.result()
        except _TRANSIENT as error:
            answer = self._fall_back(context, error)
        except BaseException as error:
            self._reporter.report(context, error=error)
            raise
        self._reporter.report(context, answer)
        return answer

    def stream(self, turn: Turn | TurnContext) -> AsyncGenerator[Delta | Answer, None]:
        """Pieces as the model makes them, then the answer. What raises before the first piece is as for `answer`.

        The pieces join up to the answer's text but for those that are marked as filler.
        """
        items, routing = self._stream(turn), self._routing
        purpose = turn.turn.purpose if isinstance(turn, TurnContext) else turn.purpose
        if not routing.filler or purpose != "live":
            return items
        return with_filler(items, text=routing.filler, seconds=routing.filler_seconds)

    async def _stream(self, turn: Turn | TurnContext) -> AsyncGenerator[Delta | Answer, None]:
        context = self._context(turn)
        answer: Answer | None = None
        try:
            with context.deadline():
                found = await self._find(context, streamed=True)
            if isinstance(found, Answer):
                answer = found
            else:
                async with aclosing(found.follow(context.latest, deadline_exceeded)) as items:
                    async for item in items:
                        if isinstance(item, Answer):
                            answer = item
                        else:
                            context.timings.setdefault("first_token", time.perf_counter() - context.started)
                            yield item
        except _TRANSIENT as error:
            if "first_token" in context.timings:
                self._reporter.report(context, error=error)
                raise
            answer = self._fall_back(context, error)
        except BaseException as error:
            self._reporter.report(context, error=error)
            raise
        if answer is None:
            raise RuntimeError("a call ended without an answer")
        try:
            if "first_token" not in context.timings:  # it was stored, or was not made in pieces
                for piece in pieces_of(answer):
                    yield piece
        except BaseException as error:
            self._reporter.report(context, error=error)
            raise
        self._reporter.report(context, answer)
        yield answer

    def _context(self, turn: Turn | TurnContext) -> TurnContext:
        if isinstance(turn, TurnContext):
            return turn
        try:
            return self.begin(turn)
        except TiloresError as error:
            self.reject(turn, error)
            raise

    async def _find(self, context: TurnContext, *, streamed: bool) -> Answer | _SharedCall:
        """A stored answer, or the call, joined already, that will bring one."""
        turn, answers = context.turn, self._answers
        context.revision = self._cache.revision()
        # Hit: a fresh answer, in memory or in a shared tier.
        hit = None if context.missing_key else answers.get_from_memory(context)  # or `get_cached_reply` did
        hit = hit or await answers.get_from_tiers(context)
        if hit is not None:
            self._count_hit(context, answers.find_key(context))
            return answer_from_hit(hit, self._clock())
        # The cache does not lead to a fresh answer: find the customer, if need be in the source.
        match, key, hit = await answers.resolve(context)
        unclear = match.unclear
        if unclear and not self._generator.answers_unclear(turn):
            return self._generator.ask_back(context, match)
        if unclear or turn.cache.no_store or turn.cache.no_cache:
            # A turn that wants a fresh answer shares none; the key of one without its customer stands for no answer.
            return self._start_call(context, f"{key}#{id(context)}", streamed=streamed)
        if hit is not None and answers.is_young(turn, hit):
            # Stale: served at once and renewed behind the request.
            self._count_hit(context, key)
            if hit.stale(self._clock()) and key not in self._calls:
                self._refresh(context, key)
            answer = answer_from_hit(hit, self._clock())
            return replace(answer, stale=True) if match.overdue else answer
        # Miss: ask the model.
        if hit is not None:
            context.stale_fallback = answer_from_hit(hit, self._clock())
        return self._start_call(context, key, streamed=streamed)

    def _fall_back(self, context: TurnContext, error: TiloresError) -> Answer:
        """The stored answer that is too old, when no better one can be had (RFC 5861's stale-if-error)."""
        if context.stale_fallback is None:
            self._reporter.report(context, error=error)
            raise error
        log.warning("chat.stale_answer_served", error=error_code(error), age_s=round(context.stale_fallback.age))
        return replace(context.stale_fallback, stale=True)

    def _count_hit(self, context: TurnContext, key: str | None) -> None:
        if key in self.watched_hits and context.turn.purpose == "live":
            self.watched_hits[key] += 1

    # --- the model ---------------------------------------------------------------------------------------

    def _refresh(self, context: TurnContext, key: str) -> None:
        """Renew a stale answer behind the request that it was served to, with a context of its own."""
        if key in self._refreshed:  # it has failed, or the answer would not be stale
            return
        self._refreshed[key] = None
        own = replace(context, timings={}, attempts=[], tools=[], customer=None)
        self._start_call(own, key, streamed=False).leave_after(_REFRESH_SECONDS)

    def _start_call(self, context: TurnContext, name: str, *, streamed: bool) -> _SharedCall:
        """Start or join the call of this name."""
        call, budget = self._calls.get(name), context.budget
        if call is not None:
            self._coalesced += 1
        else:
            work = partial(self._generate, context, name, streamed)
            call = self._calls.start(name, work, budget=budget)
        call.join(budget)
        return call

    async def _generate(self, context: TurnContext, name: str, streamed: bool, emit: Emit) -> Answer:
        current_purpose.set(context.turn.purpose)
        async with self._cache.lease(name, accept=partial(self._answers.is_good, context)) as hit:
            if hit is not None:  # another replica has answered the same meanwhile
                return answer_from_hit(hit, self._clock())
            answer, reusable = await self._generator.generate(context, emit if streamed else None)
            if reusable:
                await self._answers.store(context, answer)
            return answer

    # --- without an answer -------------------------------------------------------------------------------

    def reject(self, turn: Turn, error: BaseException) -> None:
        """Report a turn that was rejected before it was answered."""
        self._reporter.report_rejected(turn, error)

    def get_from_memory(self, turn: Turn | TurnContext) -> Answer | None:
        """The stored answer, if it is fresh and in this process. Not reported. Raises `UnknownModelError`."""
        hit = self._answers.get_from_memory(turn if isinstance(turn, TurnContext) else self.begin(turn))
        return None if hit is None else answer_from_hit(hit, self._clock())

    async def find_stored(self, turn: Turn) -> str | None:
        """The key of the fresh stored answer to a turn, in memory or in a shared tier; None without one."""
        context = self.begin(turn)
        hit = self._answers.get_from_memory(context) or await self._answers.get_from_tiers(context)
        return None if hit is None else self._answers.find_key(context)

    async def find_customer(self, turn: Turn) -> CustomerMatch:
        """The customer of a turn, from the cache or the source. No model is asked, nothing is reported.

        Raises `RequestError`, `SourceError`.
        """
        return await self._answers.find_customer(
            TurnContext(turn, "", self._prompts.choose(turn, "").prompt, KeyMemo(), 0.0)
        )

    async def load_records(self, turn: Turn, match: CustomerMatch) -> CustomerMatch:
        """The match of a turn with its records; see `CustomerLookup.load_records`. Raises `SourceError`."""
        before = current_purpose.set(turn.purpose)
        try:
            return await self._customers.load_records(match, keep=not turn.cache.no_store)
        finally:
            current_purpose.reset(before)

    # --- state -------------------------------------------------------------------------------------------

    def hold_models(self, models: Holds) -> None:
        """Leave these models alone for so long, while others can be asked; and only these."""
        self._router.hold(models)
        self._answers.distrust(models)

    async def warm_up(self) -> None:
        """Import what the models of `[use]` need, so that the first caller does not wait for it. Never raises."""
        try:
            await asyncio.to_thread(import_module, "phonenumbers")
        except Exception as error:  # a look-up that needs it reports it
            log.warning("chat.phone_library_failed", error=type(error).__name__)
        await self.models.warm_up_used()

    def statistics(self) -> Mapping[str, Any]:
        """Since the start: `coalesced`, the turns that shared another's answer; `observers`: outcomes `waiting` for
        them and `dropped`, calls that `failed`; `grounding`: the guard's `mode`, how many answers it has `checked`,
        `flagged` and `blocked`, and the `values` it flagged by kind."""
        guard, counts, reporter = self._guard, self._guard.counts, self._reporter
        return {
            "coalesced": self._coalesced,
            "observers": {"waiting": reporter.waiting, "dropped": reporter.dropped, "failed": reporter.failed},
            "grounding": {
                "mode": guard.mode,
                "checked": counts.checked,
                "flagged": counts.flagged,
                "blocked": counts.blocked,
                "values": dict(counts.values),
            },
        }

    async def aclose(self) -> None:
        """Cancel the calls in progress and report what has ended."""
        await self._calls.aclose()
        await self._reporter.aclose()
