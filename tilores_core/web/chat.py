"""What the two chat protocols share: keys, limits, admission, deadlines, cached replies, access lines."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing
from time import monotonic, perf_counter
from typing import Any, Protocol

import orjson
import structlog

from tilores_core.chat.engine import ChatEngine
from tilores_core.contracts import DEFAULT_CACHE_POLICY, Answer, CachePolicy, Delta, Turn, Usage
from tilores_core.errors import OverloadedError, TiloresError, error_code
from tilores_core.logs import bind_request, sanitize_exception
from tilores_core.metrics import Metrics, Sample
from tilores_core.metrics.catalogue import IN_PROGRESS
from tilores_core.quality.live import LiveQuality
from tilores_core.settings import ChatTable
from tilores_core.tracing import Tracing
from tilores_core.web.auth import Authenticator
from tilores_core.web.bodies import cache_control
from tilores_core.web.body_timeout import BodyTimeout
from tilores_core.web.http_exchange import ClientGoneError, HttpExchange
from tilores_core.web.rate_limit import RateLimit
from tilores_core.web.request import ChatRequest
from tilores_core.web.response_template import ResponseTemplate

log = structlog.get_logger(part="access")

Item = Delta | Answer
Handler = Callable[[HttpExchange], Awaitable[None]]

_SECONDS_FOR_BODY = 30.0
_SECONDS_FOR_SLOW_READERS = 30.0
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{0,400})?"
)


class ChatProtocol(Protocol):
    """How one protocol writes a whole answer."""

    template: ResponseTemplate
    """The reply of a stored answer, with gaps for `values`."""

    def values(self, exchange: HttpExchange, run_id: str, tier: bytes, stored_at: float) -> tuple[bytes, ...]:
        """What goes into the gaps, in their order. `stored_at`: seconds since the epoch."""

    def body(self, answer: Answer, run_id: str, latency_ms: float) -> object:
        """The reply of an answer, as a JSON value."""


class _AtWork:
    """Counts a request while it is at work. Raises `OverloadedError` when there are too many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.number = 0

    def __enter__(self) -> None:
        if self.number >= self._most:
            raise OverloadedError(
                "too many requests at once", retry_after=1.0, fix="try again in a second, or run more workers"
            )
        self.number += 1

    def __exit__(self, *_: object) -> None:
        self.number -= 1


class ChatService:
    """One per application. Routes hand it an exchange; it hands them answers."""

    def __init__(
        self,
        engine: ChatEngine,
        authenticator: Authenticator,
        table: ChatTable,
        rate_limit: RateLimit | None,
        *,
        tracing: Tracing | None = None,
        metrics: Metrics | None = None,
        quality: LiveQuality | None = None,
    ) -> None:
        self.engine = engine
        self.tracing = tracing
        self.quality = quality
        self.meter = None if metrics is None else metrics.requests
        self.authenticator = authenticator
        self.table = table
        self._rate = rate_limit
        self._bodies = BodyTimeout(_SECONDS_FOR_BODY)
        self._at_work = _AtWork(table.max_concurrent)
        self._unlogged = 0 if table.log_hits_every else sys.maxsize

    def start(self) -> None:
        self._bodies.start()

    async def aclose(self) -> None:
        await self._bodies.aclose()

    def body(self, exchange: HttpExchange) -> Coroutine[Any, Any, bytes]:
        """The request's body, within the limits of size and time."""
        return self._bodies.read(exchange, self.table.max_body_bytes)

    # --- around every chat request -----------------------------------------------------------------------

    async def handle(self, exchange: HttpExchange, handler: Handler) -> None:
        """Authenticate, count, let the handler answer; turn what it raises into the protocol's error."""
        try:
            caller = exchange.caller = self.authenticator.chat.authenticate(exchange.headers, exchange.scope)
            if self._rate is not None and not self._rate.hit(caller.name):
                raise self._rate.error(caller.name, "for this key")
            await handler(exchange)
        except ClientGoneError:
            if exchange.status >= 400:  # its body was late, and it has been told so
                self._line(exchange, status=exchange.status, error="deadline_exceeded")
                return
            log.info("request.client_disconnected", request_id=exchange.request_id.decode(), path=exchange.shown_path)
        except Exception as error:
            if not isinstance(error, TiloresError):
                log.exception(
                    "request.failed", request_id=exchange.request_id.decode(), exc_info=sanitize_exception(error)
                )
            if exchange.status:  # too late for another status: the stream was cut
                return
            if exchange.turn is not None:
                self.engine.reject(exchange.turn, error)
            status, body, headers = exchange.error_reply(error)
            self._line(exchange, status=status, error=error_code(error))
            await exchange.reply(status, body, headers)
        finally:
            if self.meter is not None:
                self.meter.count(exchange.scope["path"], exchange.status, exchange.tier, exchange.started)

    def turn(
        self, exchange: HttpExchange, chat: ChatRequest, run_id: str, *, with_cache_control: bool = False
    ) -> Turn:
        """The engine's turn for a decoded request, and its Cache-Control header where that is honoured."""
        max_age, no_cache, no_store = chat.max_age, chat.no_cache, chat.no_store
        given = exchange.headers.get(b"cache-control") if with_cache_control else None
        if given is not None:
            header_age, header_no_cache, header_no_store = cache_control(given)
            max_age = header_age if max_age is None else max_age  # the body's age wins
            no_cache, no_store = no_cache or header_no_cache, no_store or header_no_store
        policy = DEFAULT_CACHE_POLICY
        if max_age is not None or no_cache or no_store:
            policy = CachePolicy(max_age=max_age, no_cache=no_cache, no_store=no_store)
        trace = exchange.headers.get(b"traceparent")
        turn = exchange.turn = Turn(
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
            traceparent=None if trace is None else traceparent(trace),
        )
        return turn

    # --- an answer ---------------------------------------------------------------------------------------

    async def serve(
        self,
        exchange: HttpExchange,
        protocol: ChatProtocol,
        chat: ChatRequest,
        run_id: str,
        *,
        with_cache_control: bool,
    ) -> None:
        """Reply to a request for one whole answer.

        A stored answer in memory is served as bytes without waiting; all else within limits, until the client goes.
        """
        engine, template = self.engine, protocol.template
        cached, context = None, None
        if not (with_cache_control and b"cache-control" in exchange.headers):
            context = engine.begin_again(chat.memo, exchange.caller)
        if context is not None:
            cached = engine.get_cached_reply(context, template.name, template.render, run_id)
        if context is None or cached is None:
            turn = self.turn(exchange, chat, run_id, with_cache_control=with_cache_control)
            context = engine.begin(turn, chat.memo, like=context)
            cached = engine.get_cached_reply(context, template.name, template.render, run_id)
        if cached is not None:
            reply, hit = cached
            tier = hit.tier.encode()
            values = protocol.values(exchange, run_id, tier, hit.stored_at)
            await exchange.reply_bytes(200, reply % values, (b"x-tilores-cache", tier))
            self._note_hit(exchange, hit.tier, context.model)
            return
        bind_request(turn.request_id)
        with self._at_work:
            exchange.turn = None
            answer = await exchange.run(self.engine.answer(context))
        if answer.cache_tier == "miss":
            exchange.tier = "miss"
            self._line(exchange, status=200, **_access_fields(answer))
        else:
            self._note_hit(exchange, answer.cache_tier, answer.model)
        body = protocol.body(answer, run_id, round(exchange.milliseconds(), 3))
        await exchange.reply_bytes(200, orjson.dumps(body), (b"x-tilores-cache", answer.cache_tier.encode()))

    def _note_hit(self, exchange: HttpExchange, tier: str, model: str) -> None:
        """Of cached answers one access line in many is written."""
        exchange.tier = tier
        if not self._unlogged:
            self._unlogged = self.table.log_hits_every
            self._line(exchange, status=200, cache=tier, model=model, sampled=self.table.log_hits_every)
        self._unlogged -= 1

    async def answer_all(self, exchange: HttpExchange, turns: list[Turn]) -> list[Answer]:
        """All answers, or the first failure. A batch counts as one request at work."""
        bind_request(exchange.request_id.decode())

        async def together() -> list[Answer]:
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self.engine.answer(turn)) for turn in turns]
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None
            return [task.result() for task in tasks]

        with self._at_work:
            exchange.turn = None
            answers = await exchange.run(together())
        self._line(
            exchange,
            status=200,
            inputs=len(answers),
            input_tokens=sum(_spent(answer).input_tokens for answer in answers),
            output_tokens=sum(_spent(answer).output_tokens for answer in answers),
        )
        return answers

    async def stream(
        self, exchange: HttpExchange, turn: Turn, encode: Callable[[AsyncIterator[Item]], AsyncGenerator[bytes]]
    ) -> None:
        """Send a streamed answer. `encode` turns the engine's items into events, and raises what fails before the
        first piece; what fails later it reports to the client in the protocol's way."""
        seen: list[Answer] = []
        bind_request(turn.request_id)
        with self._at_work:
            exchange.turn = None
            async with aclosing(encode(self._watch(exchange, turn, seen))) as events:
                first = await exchange.run(anext(events))
                # The engine keeps the deadline; this one ends a client that does not read.
                await exchange.stream(first, events, self.table.deadline_seconds + _SECONDS_FOR_SLOW_READERS)
        answer = seen[0] if seen else None
        spoke = exchange.first_token
        fields: dict[str, Any] = {} if spoke is None else {"first_token_ms": round(spoke * 1000, 3)}
        fields |= {"error": "stream_failed"} if answer is None else _access_fields(answer)
        self._line(exchange, status=200, stream=True, **fields)
        if answer is not None:
            exchange.tier = answer.cache_tier
        if self.meter is not None:
            if answer is None:
                self.meter.cut(exchange.scope["path"])
            elif spoke is not None:
                self.meter.first_token(answer.cache_tier, spoke)

    async def _watch(self, exchange: HttpExchange, turn: Turn, seen: list[Answer]) -> AsyncGenerator[Item, None]:
        async with aclosing(self.engine.stream(turn)) as items:
            async for item in items:
                if isinstance(item, Answer):
                    seen.append(item)
                elif exchange.first_token is None and not item.filler:
                    exchange.first_token = perf_counter() - exchange.started
                yield item

    def on_stream_error(self, exchange: HttpExchange) -> Callable[[Exception], None]:
        """A function that logs an error which the client gets as part of the stream."""

        def note(error: Exception) -> None:
            if not isinstance(error, TiloresError):
                log.exception(
                    "request.stream_failed",
                    request_id=exchange.request_id.decode(),
                    exc_info=sanitize_exception(error),
                )
            else:
                log.warning("request.stream_failed", request_id=exchange.request_id.decode(), error=error_code(error))

        return note

    def samples(self) -> Iterable[Sample]:
        """The samples of `/metrics` that are read when it is asked."""
        return (Sample(IN_PROGRESS, (), self._at_work.number),)

    def _line(self, exchange: HttpExchange, **fields: Any) -> None:
        log.info(
            "request.finished",
            request_id=exchange.request_id.decode(),
            method=exchange.scope["method"],
            path=exchange.shown_path,
            key=exchange.caller.name,
            ms=round(exchange.milliseconds(), 3),
            **fields,
        )


def _access_fields(answer: Answer) -> dict[str, Any]:
    """What an access line says of an answer. Tokens are those that were used for it now."""
    spent = _spent(answer)
    fields: dict[str, Any] = {"cache": answer.cache_tier, "model": answer.model, "spectrum": answer.spectrum}
    if spent.input_tokens:
        fields["input_tokens"] = spent.input_tokens
    if spent.output_tokens:
        fields["output_tokens"] = spent.output_tokens
    return fields


def _spent(answer: Answer) -> Usage:
    return answer.usage if answer.cache_tier == "miss" else Usage()


def traceparent(header: bytes) -> str | None:
    """The header when it has the form of W3C Trace Context (level 1), else None, as if it were not there."""
    return header.decode() if _TRACEPARENT.fullmatch(header) else None
