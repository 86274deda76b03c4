"""What the two chat protocols share: keys, limits, admission, deadlines, cached replies, access lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from time import monotonic, perf_counter, time
from typing import Any

import structlog

from tilores_core.cache.keys import wire_key
from tilores_core.cache.tiered import Hit
from tilores_core.chat.answers import answer_from_hit
from tilores_core.chat.codes import error_code
from tilores_core.chat.engine import ChatEngine
from tilores_core.chat.known import Recall
from tilores_core.contracts import DEFAULT_CACHE_POLICY, Answer, CachePolicy, Delta, Turn
from tilores_core.errors import DeadlineExceededError, OverloadedError, RateLimitedError, TiloresError
from tilores_core.settings import ChatTable
from tilores_core.web.auth import Gate
from tilores_core.web.exchange import ClientGoneError, Exchange
from tilores_core.web.faults import bare
from tilores_core.web.request import ChatRequest, Limits
from tilores_core.web.slow import SlowBodies
from tilores_core.web.wire import WireFormat

log = structlog.get_logger(part="access")

Item = Delta | Answer
Handler = Callable[[Exchange], Awaitable[None]]
Render = Callable[[Answer, Mapping[str, str]], object]

_HITS_PER_LINE = 100
_SECONDS_FOR_BODY = 30.0


class ChatService:
    """One per application. Routes hand it an exchange; it hands them answers."""

    def __init__(self, engine: ChatEngine, gate: Gate, table: ChatTable, rate_limit: str | None) -> None:
        self.engine = engine
        self.gate = gate
        self.table = table
        self.limits = Limits(
            max_messages=table.max_messages, max_characters=table.max_characters, max_batch=table.max_batch
        )
        self._rate = _RateLimit(rate_limit) if rate_limit else None
        self._bodies = SlowBodies(_SECONDS_FOR_BODY)
        self._at_work = 0
        self._hits = 0

    def start(self) -> None:
        self._bodies.start()

    async def aclose(self) -> None:
        await self._bodies.aclose()

    async def body(self, exchange: Exchange) -> bytes:
        """The request's body, within the limits of size and time."""
        return await self._bodies.read(exchange, self.table.max_body_bytes)

    # --- around every chat request -----------------------------------------------------------------------

    async def handle(self, exchange: Exchange, handler: Handler) -> None:
        """Authenticate, count, let the handler answer; turn what it raises into the protocol's error."""
        try:
            exchange.caller = self.gate.chat.authenticate(exchange.headers)
            if self._rate is not None:
                self._rate.hit(exchange.caller.name)
            await handler(exchange)
        except ClientGoneError:
            if exchange.status >= 400:  # its body was late, and it has been told so
                self._line(exchange, status=exchange.status, error="deadline_exceeded")
                return
            log.info("client gone", request_id=exchange.request_id.decode(), path=exchange.shown_path)
        except Exception as error:
            if not isinstance(error, TiloresError):
                log.exception("request failed", request_id=exchange.request_id.decode(), exc_info=bare(error))
            if exchange.status:  # too late for another status: the stream was cut
                return
            status, body, headers = exchange.error_reply(error)
            self._line(exchange, status=status, error=error_code(error))
            await exchange.reply(status, body, headers)

    def turn(self, exchange: Exchange, chat: ChatRequest, run_id: str, *, cache_control: bool = False) -> Turn:
        """The engine's turn for a decoded request. `cache_control`: honour the request's Cache-Control header."""
        policy = DEFAULT_CACHE_POLICY
        if chat.max_age is not None or chat.no_cache or chat.no_store:
            policy = CachePolicy(max_age=chat.max_age, no_cache=chat.no_cache, no_store=chat.no_store)
        given = exchange.headers.get(b"cache-control")
        if cache_control and given is not None:
            policy = with_cache_control(policy, given.decode("latin-1"))
        return Turn(
            messages=chat.messages,
            model=chat.model,
            customer_id=chat.customer_id,
            parameters=chat.parameters,
            session_id=chat.session_id,
            caller=exchange.caller,
            request_id=exchange.request_id.decode(),
            run_id=run_id,
            deadline=monotonic() + self.table.deadline_seconds,
            cache=policy,
        )

    # --- a known answer ----------------------------------------------------------------------------------

    async def known(
        self, turn: Turn, recall: Recall, wire: WireFormat, render: Render
    ) -> tuple[bytes, Hit] | frozenset[str]:
        """The bytes format of this turn's reply and the hit it stands for; else the keys found in no cache tier.

        From memory nothing is awaited; only what is not there is looked for in the tiers below.
        """
        answers = self.engine.known
        key = answers.peek_key(turn, recall)
        if key is not None:
            stored = wire_key(key, wire.name)
            hit = answers.peek(turn, stored)
            if hit is not None:
                return hit.value, hit
            hit = answers.peek(turn, key)
            if hit is not None:
                return self._cut(key, hit, wire, render), hit
        if not self.engine.cache.has_shared:
            return frozenset()
        recalled = await answers.recall(turn, recall)
        if isinstance(recalled, frozenset):
            return recalled
        key, hit = recalled
        return self._cut(key, hit, wire, render), hit

    def _cut(self, key: str, hit: Hit, wire: WireFormat, render: Render) -> bytes:
        answer = answer_from_hit(hit, time())
        template = wire.template(lambda markers: render(answer, markers))
        self.engine.cache.put_local(wire_key(key, wire.name), template, hit)
        return template

    def count_hit(self, exchange: Exchange, tier: str) -> None:
        """Of cached answers one access line in a hundred is written."""
        self._hits += 1
        if self._hits % _HITS_PER_LINE == 1:
            self._line(exchange, status=200, cache=tier, sampled=_HITS_PER_LINE)

    # --- an answer from the engine -----------------------------------------------------------------------

    async def answer(self, exchange: Exchange, turn: Turn, absent: frozenset[str]) -> Answer:
        """The engine's answer, within limits; the work stops when the client goes. `absent`: as `known` said."""
        with self._admitted():
            answer = await exchange.run(self.engine.answer(turn, absent), self.table.deadline_seconds)
        self._line(exchange, status=200, cache=answer.cache_tier, model=answer.model, spectrum=answer.spectrum)
        return answer

    async def answer_all(self, exchange: Exchange, turns: list[Turn]) -> list[Answer]:
        """All answers, or the first failure. A batch counts as one request at work."""

        async def together() -> list[Answer]:
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self.engine.answer(turn)) for turn in turns]
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None
            return [task.result() for task in tasks]

        with self._admitted():
            answers = await exchange.run(together(), self.table.deadline_seconds)
        self._line(exchange, status=200, inputs=len(answers))
        return answers

    async def stream(
        self, exchange: Exchange, turn: Turn, encode: Callable[[AsyncIterator[Item]], AsyncGenerator[bytes]]
    ) -> None:
        """Send a streamed answer. `encode` turns the engine's items into events, and raises what fails before the
        first piece; what fails later it tells the client in its own way."""
        seen: list[Answer] = []
        with self._admitted():
            async with aclosing(encode(self._until_deadline(turn, seen))) as events:
                first = await exchange.run(anext(events), self.table.deadline_seconds)
                await exchange.stream(first, events, self.table.deadline_seconds)
        answer = seen[0] if seen else None
        self._line(
            exchange,
            status=200,
            stream=True,
            cache=answer.cache_tier if answer else None,
            model=answer.model if answer else None,
            error=None if answer else "stream_failed",
        )

    async def _until_deadline(self, turn: Turn, seen: list[Answer]) -> AsyncGenerator[Item, None]:
        deadline = asyncio.get_running_loop().time() + self.table.deadline_seconds
        async with aclosing(self.engine.stream(turn)) as items:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        item = await anext(items)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise DeadlineExceededError(
                        f"no whole answer within {self.table.deadline_seconds:g} s", fix="ask for less, or again"
                    ) from None
                if isinstance(item, Answer):
                    seen.append(item)
                yield item

    def on_stream_error(self, exchange: Exchange) -> Callable[[Exception], None]:
        """Who is told of an error that the client is told in the stream."""

        def note(error: Exception) -> None:
            if not isinstance(error, TiloresError):
                log.exception("stream failed", request_id=exchange.request_id.decode(), exc_info=bare(error))
            else:
                log.warning("stream failed", request_id=exchange.request_id.decode(), error=error_code(error))

        return note

    def _admitted(self) -> _Admission:
        if self._at_work >= self.table.max_concurrent:
            raise OverloadedError(
                "too many requests at once", retry_after=1.0, fix="try again in a second, or run more workers"
            )
        return _Admission(self)

    def enter(self) -> None:
        self._at_work += 1

    def leave(self) -> None:
        self._at_work -= 1

    def _line(self, exchange: Exchange, **fields: Any) -> None:
        log.info(
            "request",
            request_id=exchange.request_id.decode(),
            method=exchange.scope["method"],
            path=exchange.shown_path,
            key=exchange.caller.name,
            ms=round((perf_counter() - exchange.started) * 1000, 3),
            **{name: value for name, value in fields.items() if value is not None},
        )


class _Admission:
    """One request at work."""

    def __init__(self, service: ChatService) -> None:
        self._service = service

    def __enter__(self) -> None:
        self._service.enter()

    def __exit__(self, *_: object) -> None:
        self._service.leave()


class _RateLimit:
    """Requests per key in a moving window, in this process."""

    def __init__(self, limit: str) -> None:
        from limits import parse
        from limits.storage import MemoryStorage
        from limits.strategies import MovingWindowRateLimiter

        self._item = parse(limit)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def hit(self, key: str) -> None:
        if not self._limiter.hit(self._item, key):
            reset = self._limiter.get_window_stats(self._item, key).reset_time - time()
            raise RateLimitedError(f"more than {self._item} for this key", retry_after=max(1.0, reset))


def with_cache_control(policy: CachePolicy, header: str) -> CachePolicy:
    """The policy with a request's Cache-Control. The body's age wins; unknown directives are ignored."""
    max_age = policy.max_age
    no_cache, no_store = policy.no_cache, policy.no_store
    for directive in header[:200].split(","):
        name, _, value = directive.strip().lower().partition("=")
        if name == "no-cache":
            no_cache = True
        elif name == "no-store":
            no_store = True
        elif name == "max-age" and value.isascii() and value.isdigit() and max_age is None:
            max_age = float(value)
    return CachePolicy(max_age=max_age, no_cache=no_cache, no_store=no_store)
