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
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module

import structlog
from cachetools import TTLCache

from tilores_core.cache.keys import conversation_digest
from tilores_core.cache.tiered import TieredCache
from tilores_core.chat.answers import answer_from_hit, answer_to_bytes, is_cacheable, pieces_of
from tilores_core.chat.asking import Asking
from tilores_core.chat.codes import error_code
from tilores_core.chat.conversation import text_of
from tilores_core.chat.customers import clarification
from tilores_core.chat.flight import Emit, Flight
from tilores_core.chat.known import KnownAnswers
from tilores_core.chat.lookup import CustomerLookup, Located
from tilores_core.chat.models import Models
from tilores_core.chat.observe import Observers
from tilores_core.chat.prompts import system_message
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
    Turn,
)
from tilores_core.errors import DeadlineExceededError, ProviderError, SourceError, TiloresError
from tilores_core.settings import CacheTable
from tilores_core.spectrums import classify

log = structlog.get_logger(part="chat")

# What may pass by itself: then an old answer is better than none.
_PASSING = (ProviderError, SourceError, DeadlineExceededError)


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
    customer: Customer | None = None
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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.models = models
        self.cache = cache
        self.observers = observers
        self.known = KnownAnswers(lookup=lookup, models=models, prompts=prompts, cache=cache, clock=clock)
        self._lookup = lookup
        self._prompts = prompts
        self._life = table.answers
        self._life_by_spectrum = table.spectrums
        self._clock = clock
        self._asking = Asking(models)
        self._flights: dict[str, Flight] = {}
        self._refreshed: TTLCache[str, None] = TTLCache(1024, _REFRESH_PAUSE, timer=clock)

    async def warm_up(self) -> None:
        """Import what the default model needs, so that the first caller does not wait for it. Never raises."""
        try:
            await asyncio.to_thread(import_module, "phonenumbers")
            await self.models.chat_model(self.models.default, {})
        except Exception as error:  # whoever asks for the model will be told; starting goes on
            log.warning("the default model is not ready", model=self.models.default, error=type(error).__name__)

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

    async def stream(self, turn: Turn) -> AsyncGenerator[Delta | Answer, None]:
        """Pieces as the model makes them, then the answer. What raises before the first piece is as for `answer`."""
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
        return _Journey(
            turn=turn,
            model=self.models.resolve(turn.model),
            prompt=self._prompts.choose(turn),
            conversation=conversation_digest(turn.messages),
            mark=self.cache.mark(),
        )

    async def _find(self, journey: _Journey, *, streamed: bool, absent: Collection[str] = ()) -> Answer | Flight:
        """A ready answer, or the boarded flight that will bring one."""
        turn = journey.turn
        spectrum = classify(_last_question(turn.messages))
        located = await self._lookup.locate(turn, journey.conversation, spectrum, absent)
        journey.timings["customer"] = time.perf_counter() - journey.started
        if located.outcome.kind in ("none", "several"):
            return self._ask_back(journey, located.outcome, spectrum)

        key = self.known.key(turn, journey.model, journey.prompt, journey.conversation, located.fingerprint)
        if turn.cache.no_store or turn.cache.no_cache:
            # Somebody who asked for a fresh answer shares with nobody.
            return self._take_off(key, journey, located, spectrum, streamed=streamed, shared=False)
        # Somebody may have stored it since; whoever did so in this process has left it in memory.
        looked = key in absent and self.cache.has_memory
        hit = self.cache.peek(key) if looked else await self.cache.get(key)
        if hit is None and not looked and key not in self._flights:
            hit = self.cache.peek(key)  # a flight may have landed while the tiers below were asked
        if hit is not None and self.known.is_acceptable(turn, hit):
            if self.known.is_stale(hit) and key not in self._flights:
                self._refresh(key, journey, located, spectrum)
            answer = answer_from_hit(hit, self._clock())
            return replace(answer, stale=True) if located.overdue else answer
        if hit is not None:
            journey.spare = answer_from_hit(hit, self._clock())
        return self._take_off(key, journey, located, spectrum, streamed=streamed)

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
        own = replace(journey, timings={}, attempts=[], customer=None)
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
        flight = self._flights.get(name)
        if flight is None:

            async def work(emit: Emit) -> Answer:
                said = emit if streamed else None
                accept = partial(self.known.is_good, journey.turn)
                async with self.cache.lease(name, accept=accept) as lease:
                    if lease.hit is not None:  # another replica asked the same meanwhile
                        return answer_from_hit(lease.hit, self._clock())
                    return await self._ask_model(key, journey, located, spectrum, said)

            flight = self._flights[name] = Flight(work, lambda ended: self._land(name, ended))
        flight.board()
        return flight

    def _land(self, key: str, flight: Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _ask_model(
        self, key: str, journey: _Journey, located: Located, spectrum: str, emit: Emit | None
    ) -> Answer:
        turn = journey.turn
        records: str | None = None
        if located.outcome.kind == "one":
            before = located.fingerprint
            located, known = await self._lookup.records(located, keep=not turn.cache.no_store)
            if known is None:
                return self._ask_back(journey, located.outcome, spectrum)
            if located.fingerprint != before:
                key = self.known.key(turn, journey.model, journey.prompt, journey.conversation, located.fingerprint)
            journey.customer, records = known.customer, known.text
        asked = time.perf_counter()
        name, said = await self._asking.ask(
            turn, journey.model, system_message(journey.prompt, records), emit, journey.attempts
        )
        journey.timings["model"] = time.perf_counter() - asked
        answer = Answer(
            text=said.text,
            model=name,
            usage=said.usage,
            cost=self.models.cost(name, said.usage),
            stale=located.overdue,
            prompt_version=journey.prompt.version,
            customer=located.outcome,
            spectrum=spectrum,
            finish_reason=said.finish_reason or "stop",
            tool_calls=said.tool_calls,
            record_fingerprint=located.fingerprint,
            schema_hash=self._lookup.schema_hash,
        )
        done = said.finish_reason is not None
        if done and not turn.cache.no_store and is_cacheable(turn, answer, asked_model=journey.model):
            await self.cache.set(
                key,
                answer_to_bytes(answer),
                ttl=self._life_by_spectrum.get(spectrum, self._life.ttl_seconds),
                grace=self._life.stale_seconds,
                tags=located.tags,
                since=journey.mark,
                behind=True,
            )
        return answer

    # --- afterwards --------------------------------------------------------------------------------------

    def _tell(self, journey: _Journey, answer: Answer | None, error: BaseException | None) -> None:
        if not self.observers:
            return
        journey.timings["total"] = time.perf_counter() - journey.started
        self.observers.tell(
            Outcome(
                turn=journey.turn,
                answer=answer,
                timings=journey.timings,
                attempts=tuple(journey.attempts),
                customer=journey.customer,
                error=None if error is None else error_code(error),
            )
        )

    async def aclose(self) -> None:
        for flight in tuple(self._flights.values()):
            flight.cancel()
        await self.observers.aclose()


def _last_question(messages: tuple[Message, ...]) -> str:
    return next((text_of(message) for message in reversed(messages) if message["role"] == "user"), "")
