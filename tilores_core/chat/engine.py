"""The chat engine: the whole story of a question, readable top to bottom.

1. customer  given id, or identifiers found in the conversation; none, one or several
2. prompt    which version
3. cache     an answer to just this, for just this customer, prompt, model and scope
4. model     the provider, and those that stand in for it; shared by all who ask the same now
5. observe   one outcome into a bounded queue, never waited for
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import Any

import structlog
from cachetools import TTLCache

from tilores_core.cache.condition import Condition
from tilores_core.cache.keys import conversation_digest
from tilores_core.cache.tiered import Hit, TieredCache
from tilores_core.chat.answers import answer_from_hit, answer_to_bytes, is_cacheable, pieces_of
from tilores_core.chat.asking import Asking
from tilores_core.chat.calling import Completion
from tilores_core.chat.codes import error_code
from tilores_core.chat.context.fitting import Fitting
from tilores_core.chat.conversation import text_of
from tilores_core.chat.customers import clarification
from tilores_core.chat.flight import Emit, Flight
from tilores_core.chat.grounding.guard import Guard, Watch
from tilores_core.chat.known import KnownAnswers, Recall
from tilores_core.chat.lane import Lane
from tilores_core.chat.lookup import CustomerLookup, Known, Located
from tilores_core.chat.models import Models
from tilores_core.chat.notes import ModelNotes
from tilores_core.chat.observe import Observers
from tilores_core.chat.routing.budget import Budget
from tilores_core.chat.routing.filler import with_filler
from tilores_core.chat.tools.talk import Question, Talking
from tilores_core.contracts import (
    Answer,
    Attempt,
    Customer,
    CustomerOutcome,
    Delta,
    Message,
    Outcome,
    Prompt,
    PromptSource,
    ToolUse,
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
from tilores_core.settings import CacheTable, ChatTable, RoutingTable
from tilores_core.spectrums import classify

log = structlog.get_logger(part="chat")

# What may pass by itself: then an old answer is better than none.
_PASSING = (ProviderError, SourceError, DeadlineExceededError, OverloadedError)


_REFRESH_SECONDS = 60.0
_REFRESH_PAUSE = 1.0


@dataclass(slots=True)
class _Journey:
    """What is learned of one turn on its way."""

    turn: Turn
    model: str
    prompt: Prompt
    conversation: bytes
    mark: int
    started: float = field(default_factory=time.perf_counter)
    timings: dict[str, float] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    tools: list[ToolUse] = field(default_factory=list)
    customer: Customer | None = None
    located: Located | None = None
    spare: Answer | None = None  # too old for this turn, better than none


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
        lane: Lane | None = None,
    ) -> None:
        """`deadline_seconds`: for turns without a deadline of their own. `notes` is told of the calls of models.

        `lane`: for what is made behind the scenes.
        """
        self.lane = lane or Lane()
        self.models = models
        self.cache = cache
        self.observers = observers
        chat = chat or ChatTable()
        self.guard = Guard(chat.grounding)
        self._fitting = Fitting(
            models,
            share=chat.records_share,
            window=chat.default_context_window,
            windows=routing.context_windows if routing is not None else {},
        )
        self.known = KnownAnswers(
            lookup=lookup, models=models, prompts=prompts, cache=cache, clock=clock, mark=self._mark
        )
        self._lookup = lookup
        self._prompts = prompts
        self._life = table.answers
        self._life_by_spectrum = table.spectrums
        self._clock = clock
        self._routing = routing or RoutingTable()
        self._asking = Asking(models, self._routing, deadline_seconds=deadline_seconds, notes=notes)
        self._talking: Talking | None = None
        if chat.mode == "tools":
            self._talking = Talking(
                lookup=lookup, models=models, asking=self._asking, fitting=self._fitting, chat=chat
            )
        self.coalesced = 0
        """Turns that waited for the answer to another that asked the same."""
        self._flights: dict[str, Flight] = {}
        self._refreshed: TTLCache[str, None] = TTLCache(1024, _REFRESH_PAUSE, timer=clock)

    async def warm_up(self) -> None:
        """Import what the models of `[use]` need, so that the first caller does not wait for it. Never raises."""
        try:
            await asyncio.to_thread(import_module, "phonenumbers")
        except Exception as error:  # whoever needs it will be told; starting goes on
            log.warning("phone numbers cannot be read", error=type(error).__name__)
        for name in dict.fromkeys((self.models.default, *self.models.fallbacks)):
            await self._warm_up(name)

    async def _warm_up(self, name: str) -> None:
        info = self.models.info(name)
        missing = info.unavailable if info is not None else None
        try:
            if missing is None:
                await self.models.chat_model(name, {})
        except ProviderAuthError as error:
            missing = error.fix or error.message
        except Exception as error:
            log.warning("a model is not ready", model=name, error=type(error).__name__)
        if missing is not None and name == self.models.default:
            log.warning("the default model is not ready", model=name, fix=missing)

    def routes(self) -> Mapping[str, Mapping[str, Any]]:
        """What is known of each model that was asked, by full name: its breaker's state, how soon it speaks."""
        return self._asking.report()

    def conditions(self) -> Mapping[str, Condition]:
        """By model that was asked: whether its last call worked, since when it is so, and the last error."""
        return self._asking.conditions()

    async def probe_source(self, seconds: float) -> bool:
        """Ask the customer source, unless it is known to have worked a moment ago; False when it takes longer."""
        return await self._lookup.probe(seconds)

    @property
    def source_condition(self) -> Condition:
        """The same of the customer source."""
        return self._lookup.condition

    # --- any answer --------------------------------------------------------------------------------------

    async def answer(self, turn: Turn, absent: Collection[str] = ()) -> Answer:
        """The answer; `absent`: what `recall` has just found in no tier.

        Raises `RequestError`, `SourceError`, `ProviderError`; a deadline is the caller's to set.
        """
        journey = self._set_out(turn)
        try:
            found = await self._find(journey, streamed=False, absent=absent)
            answer = found if isinstance(found, Answer) else await found.result()
        except _PASSING as error:
            answer = self._spare(journey, error)
        except BaseException as error:
            self._tell(journey, None, error)
            raise
        self._tell(journey, answer, None)
        return answer

    async def look_up(self, turn: Turn) -> tuple[CustomerOutcome, Customer | None]:
        """Whom a turn is about, with the records, from the cache or the source. No model is asked, nobody is told.

        Raises `RequestError`, `SourceError`.
        """
        located = await self._locate(turn, conversation_digest(turn.messages), "general")
        if located.outcome.kind != "one":
            return located.outcome, None
        before = current_purpose.set(turn.purpose)
        try:
            located, known = await self._lookup.records(located, keep=not turn.cache.no_store)
        finally:
            current_purpose.reset(before)
        return located.outcome, None if known is None else known.customer

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
        journey = self._set_out(turn)
        answer: Answer | None = None
        try:
            found = await self._find(journey, streamed=True)
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
                            journey.timings.setdefault("first_token", time.perf_counter() - journey.started)
                            yield item
                if answer is not None and "first_token" not in journey.timings:
                    # It was begun by somebody who did not listen, or made by another replica.
                    for piece in pieces_of(answer):
                        yield piece
        except _PASSING as error:
            if "first_token" in journey.timings:
                self._tell(journey, None, error)
                raise
            answer = self._spare(journey, error)
            for piece in pieces_of(answer):
                yield piece
        except BaseException as error:
            self._tell(journey, None, error)
            raise
        if answer is None:
            raise RuntimeError("a flight ended without an answer")
        self._tell(journey, answer, None)
        yield answer

    def _set_out(self, turn: Turn) -> _Journey:
        try:
            model = self.models.resolve(turn.model)
        except UnknownModelError as error:
            self.refuse(turn, error)
            raise
        return _Journey(
            turn=turn,
            model=model,
            prompt=self._prompts.choose(turn),
            conversation=conversation_digest(turn.messages),
            mark=self.cache.mark(),
        )

    async def _find(self, journey: _Journey, *, streamed: bool, absent: Collection[str] = ()) -> Answer | Flight:
        """A ready answer, or the boarded flight that will bring one."""
        turn = journey.turn
        spectrum = classify(_last_question(turn.messages))
        located = await self._locate(turn, journey.conversation, spectrum, absent)
        journey.timings["customer"] = time.perf_counter() - journey.started
        journey.located = located
        if located.outcome.kind in ("none", "several"):
            return self._ask_back(journey, located.outcome, spectrum)

        key = self.known.key(turn, journey.model, journey.prompt, journey.conversation, located.told)
        if turn.cache.no_store or turn.cache.no_cache:
            # Somebody who asked for a fresh answer shares with nobody.
            return self._take_off(key, journey, located, spectrum, streamed=streamed, shared=False)
        # Somebody may have stored it since; whoever did so in this process has left it in memory.
        looked = key in absent and self.cache.has_memory
        hit = self.cache.peek(key) if looked else await self.cache.get(key)
        if hit is None and not looked and key not in self._flights:
            hit = self.cache.peek(key)  # a flight may have landed while the tiers below were asked
        if hit is not None and self.known.is_acceptable(turn, hit):
            if key in self.known.watched and turn.purpose == "live":
                self.known.watched[key] += 1
            if self.known.is_stale(hit) and key not in self._flights:
                self._refresh(key, journey, located, spectrum)
            answer = answer_from_hit(hit, self._clock())
            return replace(answer, stale=True) if located.overdue else answer
        if hit is not None:
            journey.spare = answer_from_hit(hit, self._clock())
        return self._take_off(key, journey, located, spectrum, streamed=streamed)

    async def _locate(self, turn: Turn, conversation: bytes, spectrum: str, absent: Collection[str] = ()) -> Located:
        """With the turn's purpose known to the source, which may let live calls go first."""
        before = current_purpose.set(turn.purpose)
        try:
            return await self._lookup.locate(turn, conversation, spectrum, absent)
        finally:
            current_purpose.reset(before)

    def _spare(self, journey: _Journey, error: TiloresError) -> Answer:
        """The stored answer that was too old, now that there is none better (RFC 5861's stale-if-error)."""
        if journey.spare is None:
            self._tell(journey, None, error)
            raise error
        log.warning("served an old answer", error=error_code(error), age_s=round(journey.spare.age))
        return replace(journey.spare, stale=True)

    def _ask_back(self, journey: _Journey, outcome: CustomerOutcome, spectrum: str) -> Answer:
        """Which of them, or that there is nobody: said without a model, so that nothing can leak into it."""
        return Answer(
            text=clarification(outcome),
            model=journey.model,
            cost=0.0,
            prompt_version=journey.prompt.version,
            customer=outcome,
            spectrum=spectrum,
            schema_hash=self._lookup.schema_hash,
        )

    # --- the model ---------------------------------------------------------------------------------------

    def _refresh(self, key: str, journey: _Journey, located: Located, spectrum: str) -> None:
        """Renew a stale answer behind the request that it was served to. Its journey is another, as that one ends."""
        if key in self._refreshed:  # and has failed, or it would not be stale
            return
        self._refreshed[key] = None
        own = replace(journey, timings={}, attempts=[], tools=[], customer=None)
        self._take_off(key, own, located, spectrum, streamed=False).leave_after(_REFRESH_SECONDS)

    def _take_off(
        self,
        key: str,
        journey: _Journey,
        located: Located,
        spectrum: str,
        *,
        streamed: bool,
        shared: bool = True,
    ) -> Flight:
        """Board the flight for this key; it starts with its first passenger. Not `shared`: nobody else boards it."""
        name = key if shared else f"{key}#{id(journey)}"
        budget = self._asking.budget(journey.turn)
        flight = self._flights.get(name)
        if flight is not None:
            self.coalesced += 1
            flight.budget.extend(budget)
        else:

            async def work(emit: Emit) -> Answer:
                current_purpose.set(journey.turn.purpose)
                said = emit if streamed else None
                accept = partial(self.known.is_good, journey.turn)
                async with self.cache.lease(name, accept=accept) as lease:
                    if lease.hit is not None:  # another replica asked the same meanwhile
                        return answer_from_hit(lease.hit, self._clock())
                    return await self._ask_model(key, journey, located, spectrum, said, budget)

            flight = self._flights[name] = Flight(work, lambda ended: self._land(name, ended), budget, self.lane)
        flight.board()
        return flight

    def _land(self, key: str, flight: Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _ask_model(
        self, key: str, journey: _Journey, located: Located, spectrum: str, emit: Emit | None, budget: Budget
    ) -> Answer:
        turn = journey.turn
        known: Known | None = None
        watch = self.guard.watch(turn.messages, journey.prompt)
        if located.outcome.kind == "one":
            before = located.told
            located, known = await self._lookup.records(located, keep=not turn.cache.no_store)
            if known is None:
                return self._ask_back(journey, located.outcome, spectrum)
            if located.told != before:
                key = self.known.key(turn, journey.model, journey.prompt, journey.conversation, located.told)
            journey.customer = known.customer
            if watch is not None:
                watch.about(known.customer, known=located.fingerprint, text=known.text)
        if self._talking is not None and self._talking.suits(journey.model):
            return await self._talk(self._talking, key, journey, located, known, spectrum, watch, emit, budget)
        asked = time.perf_counter()
        name, said = await self._asking.ask(
            turn,
            journey.model,
            self._fitting.system(
                turn,
                journey.prompt,
                None if known is None else known.told(located),
                0 if known is None else known.tokens,
                spectrum,
            ),
            emit if emit is None or watch is None else watch.through(emit),
            journey.attempts,
            began=journey.started,
            budget=budget,
        )
        journey.timings["model"] = time.perf_counter() - asked
        cost = self.models.cost(name, said.usage)
        answer = self._finished(journey, located, spectrum, name, said, cost, watch, emit)
        await self._keep(key, journey, located, said, answer)
        return answer

    async def _talk(
        self,
        talking: Talking,
        key: str,
        journey: _Journey,
        located: Located,
        known: Known | None,
        spectrum: str,
        watch: Watch | None,
        emit: Emit | None,
        budget: Budget,
    ) -> Answer:
        """The other way to answer: the model reads and searches by itself."""
        asked = time.perf_counter()
        told = await talking.talk(
            Question(
                turn=journey.turn,
                model=journey.model,
                prompt=journey.prompt,
                spectrum=spectrum,
                located=located,
                known=known,
                watch=watch,
                attempts=journey.attempts,
                uses=journey.tools,
                began=journey.started,
                budget=budget,
            ),
            emit if emit is None or watch is None else watch.through(emit),
        )
        journey.timings["model"] = time.perf_counter() - asked - told.seconds
        journey.timings["tools"] = told.seconds
        journey.customer = told.customer
        answer = self._finished(journey, told.located, spectrum, told.model, told.said, told.cost, watch, emit)
        if told.keep:
            await self._keep(key, journey, located, told.said, answer)
        return answer

    def _finished(
        self,
        journey: _Journey,
        located: Located,
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
        return Answer(
            text=text,
            model=name,
            usage=said.usage,
            cost=cost,
            stale=located.overdue,
            prompt_version=journey.prompt.version,
            customer=located.outcome,
            spectrum=spectrum,
            finish_reason=finish_reason,
            tool_calls=() if watch is not None and watch.blocked else said.tool_calls,
            record_fingerprint=located.fingerprint,
            schema_hash=self._lookup.schema_hash,
            ungrounded=ungrounded,
        )

    async def _keep(self, key: str, journey: _Journey, located: Located, said: Completion, answer: Answer) -> None:
        """Store the answer if it may be."""
        turn = journey.turn
        done = said.finish_reason is not None
        if done and not turn.cache.no_store and is_cacheable(turn, answer, asked_model=journey.model):
            await self.cache.set(
                key,
                answer_to_bytes(answer),
                ttl=self._life_by_spectrum.get(answer.spectrum, self._life.ttl_seconds),
                grace=self._life.stale_seconds,
                tags=located.tags,
                since=journey.mark,
                behind=True,
            )

    def _mark(self, model: str) -> str:
        """The model, with what decides how much of a customer it is told of and what becomes of what it says."""
        mode = "" if self._talking is None else self._talking.mark(model)
        return f"{model} {self._fitting.mark(model)} {self.guard.mode == 'block'}{mode}"

    # --- afterwards --------------------------------------------------------------------------------------

    def _tell(self, journey: _Journey, answer: Answer | None, error: BaseException | None) -> None:
        if not self.observers:
            return
        journey.timings["total"] = time.perf_counter() - journey.started
        located = journey.located
        self.observers.tell(
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

    def known_outcome(self, turn: Turn, recall: Recall, hit: Hit, seconds: float) -> Outcome:
        """What observers may be told of an answer that was served from the cache without this engine.

        `hit`: what was served, in whatever form. Made for few of them: it costs as much as serving one.
        """
        key = self.known.peek_key(turn, recall)
        stored = None if key is None else self.known.peek(turn, key)
        model, prompt = self.models.resolve(turn.model), self._prompts.choose(turn)
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
        if self.observers:
            self.observers.tell(
                Outcome(turn=turn, answer=None, timings={}, error=error_code(error), started_at=time.time())
            )

    async def aclose(self) -> None:
        for flight in tuple(self._flights.values()):
            flight.cancel()
        await self.observers.aclose()


def _last_question(messages: tuple[Message, ...]) -> str:
    return next((text_of(message) for message in reversed(messages) if message["role"] == "user"), "")
