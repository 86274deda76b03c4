"""Step four of the engine: an answer that nobody has, from the model.

The customer's records, the prompt that fits, the call, the guard over what was said, and the cache.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from tilores_core.cache.tiered import TieredCache
from tilores_core.chat.answers import answer_to_bytes, is_cacheable
from tilores_core.chat.context.fitting import Fitting
from tilores_core.chat.customer.finder import clarification
from tilores_core.chat.customer_lookup import CustomerLookup
from tilores_core.chat.customer_match import CustomerMatch, CustomerRecords
from tilores_core.chat.grounding.guard import Guard, Watch
from tilores_core.chat.messages import assistant_texts
from tilores_core.chat.model_router import ModelRouter
from tilores_core.chat.models import Models
from tilores_core.chat.routing.budget import Budget
from tilores_core.chat.routing.delivery import Emit
from tilores_core.chat.tools.loop import Question, ToolLoop
from tilores_core.chat.turn_context import TurnContext
from tilores_core.contracts import Answer, CustomerOutcome
from tilores_core.llm.normalizer import Completion
from tilores_core.settings import CacheTable, ChatTable


class AnswerGenerator:
    """Asks models and keeps what may be kept."""

    def __init__(
        self,
        *,
        lookup: CustomerLookup,
        models: Models,
        router: ModelRouter,
        fitting: Fitting,
        guard: Guard,
        cache: TieredCache,
        table: CacheTable,
        chat: ChatTable,
    ) -> None:
        self._lookup = lookup
        self._models = models
        self._router = router
        self._fitting = fitting
        self._guard = guard
        self._cache = cache
        self._life = table.answers
        self._life_by_spectrum = table.spectrums
        self._tool_loop: ToolLoop | None = None
        if chat.mode == "tools":
            self._tool_loop = ToolLoop(lookup=lookup, models=models, router=router, fitting=fitting, chat=chat)

    def mark(self, model: str) -> str:
        """The model, with what decides how much of a customer it is told of and what becomes of what it says."""
        mode = "" if self._tool_loop is None else self._tool_loop.mark(model)
        return f"{model} {self._fitting.mark(model)} {self._guard.mode == 'block'}{mode}"

    def ask_back(self, context: TurnContext, outcome: CustomerOutcome, spectrum: str) -> Answer:
        """Which of them, or that there is nobody: said without a model, so that nothing can leak into it."""
        return Answer(
            text=clarification(outcome, assistant_texts(context.turn.messages)),
            model=context.model,
            cost=0.0,
            prompt_version=context.prompt.version,
            customer=outcome,
            spectrum=spectrum,
            schema_hash=self._lookup.schema_hash,
        )

    async def make(
        self,
        key: str,
        rekey: Callable[[CustomerMatch], str],
        context: TurnContext,
        match: CustomerMatch,
        spectrum: str,
        emit: Emit | None,
        budget: Budget,
    ) -> Answer:
        """The answer, in pieces through `emit` too. It is kept under `key`, or under what `rekey` gives when the
        records turn out to be others than `match` says. Raises `SourceError`, `ProviderError`."""
        turn = context.turn
        known: CustomerRecords | None = None
        watch = self._guard.watch(turn.messages, context.prompt)
        if match.outcome.kind == "one":
            before = match.cache_key_part
            match, known = await self._lookup.records(match, keep=not turn.cache.no_store)
            if known is None:
                return self.ask_back(context, match.outcome, spectrum)
            if match.cache_key_part != before:
                key = rekey(match)
            context.customer = known.customer
            if watch is not None:
                watch.about(known.customer, known=match.fingerprint, text=known.text)
            if not budget.priority.live:
                await asyncio.sleep(0)  # so far it was a step of its own: callers come between
        if self._tool_loop is not None and self._tool_loop.suits(context.model):
            return await self._talk(self._tool_loop, key, context, match, known, spectrum, watch, emit, budget)
        asked = time.perf_counter()
        name, said = await self._router.ask(
            turn,
            context.model,
            self._fitting.system(
                turn,
                context.prompt,
                None if known is None else known.text_for(match),
                0 if known is None else known.tokens,
                spectrum,
            ),
            emit if emit is None or watch is None else watch.through(emit),
            context.attempts,
            began=context.started,
            budget=budget,
        )
        context.timings["model"] = time.perf_counter() - asked
        cost = self._models.cost_of(name, said)
        answer = self._finished(context, match, spectrum, name, said, cost, watch, emit)
        await self._keep(key, context, match, said, answer)
        return answer

    async def _talk(
        self,
        tool_loop: ToolLoop,
        key: str,
        context: TurnContext,
        match: CustomerMatch,
        known: CustomerRecords | None,
        spectrum: str,
        watch: Watch | None,
        emit: Emit | None,
        budget: Budget,
    ) -> Answer:
        """The other way to answer: the model reads and searches by itself."""
        asked = time.perf_counter()
        told = await tool_loop.talk(
            Question(
                turn=context.turn,
                model=context.model,
                prompt=context.prompt,
                spectrum=spectrum,
                match=match,
                known=known,
                watch=watch,
                attempts=context.attempts,
                uses=context.tools,
                began=context.started,
                budget=budget,
            ),
            emit if emit is None or watch is None else watch.through(emit),
        )
        context.timings["model"] = time.perf_counter() - asked - told.seconds
        context.timings["tools"] = told.seconds
        context.customer = told.customer
        answer = self._finished(context, told.match, spectrum, told.model, told.said, told.cost, watch, emit)
        if told.keep:
            await self._keep(key, context, match, told.said, answer)
        return answer

    def _finished(
        self,
        context: TurnContext,
        match: CustomerMatch,
        spectrum: str,
        name: str,
        said: Completion,
        cost: float | None,
        watch: Watch | None,
        emit: Emit | None,
    ) -> Answer:
        """The answer as it goes out, when the guard has had its say."""
        text, finish_reason, ungrounded = said.text, said.finish_reason or "stop", 0
        if watch is not None:
            text, finish_reason, ungrounded = watch.finish(text, finish_reason, emit)
        blocked = watch is not None and watch.blocked
        return Answer(
            text=text,
            model=name,
            usage=said.usage,
            cost=cost,
            stale=match.overdue,
            prompt_version=context.prompt.version,
            customer=match.outcome,
            spectrum=spectrum,
            finish_reason=finish_reason,
            tool_calls=() if blocked else said.tool_calls,
            state=None if blocked else said.state or None,
            record_fingerprint=match.fingerprint,
            schema_hash=self._lookup.schema_hash,
            ungrounded=ungrounded,
        )

    async def _keep(
        self, key: str, context: TurnContext, match: CustomerMatch, said: Completion, answer: Answer
    ) -> None:
        """Store the answer if it may be."""
        turn = context.turn
        done = said.finish_reason is not None
        if done and not turn.cache.no_store and is_cacheable(turn, answer, asked_model=context.model):
            await self._cache.set(
                key,
                answer_to_bytes(answer),
                ttl=self._life_by_spectrum.get(answer.spectrum, self._life.ttl_seconds),
                grace=self._life.stale_seconds,
                tags=match.tags,
                since=context.mark,
                behind=True,
            )
