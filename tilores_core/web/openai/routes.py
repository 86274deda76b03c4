"""The OpenAI routes under `/v1`."""

from __future__ import annotations

import time
from functools import partial
from urllib.parse import unquote

from tilores_core.contracts import Answer
from tilores_core.web.chat import ChatService, Handler
from tilores_core.web.feedback import feedback_route
from tilores_core.web.http_exchange import HttpExchange
from tilores_core.web.ids import new_run_id
from tilores_core.web.openai.decode import HEADERS, CompletionRequest, decode_completion
from tilores_core.web.openai.encode import completion_template, find_model, models_body
from tilores_core.web.openai.errors import ErrorReply, method_not_allowed, nothing_there, route_not_found
from tilores_core.web.openai.stream import CompletionInfo, completion_chunks
from tilores_core.web.request import DecodeCache
from tilores_core.web.response_template import ReplyValues, ResponseTemplate

_COMPLETIONS = "/v1/chat/completions"
_MODELS = "/v1/models"
_FEEDBACK = "/v1/feedback"


class OpenAIRoutes:
    """Finds the handler of a request; `service` answers. `functions`: calls are replied as `functions` ask for."""

    def __init__(self, service: ChatService, *, functions: bool = False) -> None:
        self._service = service
        self._functions = functions
        self._older = self if functions else OpenAIRoutes(service, functions=True)
        self._decoded: DecodeCache[CompletionRequest] = DecodeCache()
        self._feedback = feedback_route(service, nothing_there)
        self.template = ResponseTemplate(
            "openai.functions" if functions else "openai", partial(completion_template, functions=functions)
        )

    def find(self, method: str, path: str) -> Handler:
        """The handler of a path under `/v1/`, also one that answers 404 or 405."""
        if path == _COMPLETIONS:
            return self._complete if method == "POST" else _refuse(method_not_allowed(method, path, ("POST",)))
        if path == _FEEDBACK:
            return self._feedback if method == "POST" else _refuse(method_not_allowed(method, path, ("POST",)))
        if path == _MODELS or path.startswith(f"{_MODELS}/"):
            if method not in ("GET", "HEAD"):
                return _refuse(method_not_allowed(method, path, ("GET",)))
            return self._models
        return _refuse(route_not_found(method, path))

    async def _models(self, exchange: HttpExchange) -> None:
        listing = self._service.engine.models.listing()
        path: str = exchange.scope["path"]
        name = unquote(path[len(_MODELS) :].strip("/"))
        await exchange.reply(200, find_model(listing, name) if name else models_body(listing))

    async def _complete(self, exchange: HttpExchange) -> None:
        service = self._service
        body = await service.body(exchange)
        headers = exchange.headers
        key = (body, *map(headers.get, HEADERS))
        kept = self._decoded.get(key)
        request = kept or decode_completion(body, headers, service.table)
        run_id = new_run_id()
        if request.stream:
            await self._stream(exchange, request, run_id)
        else:
            replies = self._older if request.functions else self
            await service.serve(exchange, replies, request.chat, run_id, with_cache_control=False)
        if kept is None:
            self._decoded.keep(key, request, exchange.tier)

    def values(self, exchange: HttpExchange, run_id: str, tier: bytes, stored_at: float) -> tuple[bytes, ...]:
        """In the order of the gaps of `completion_template`."""
        now = time.time()
        return (
            b"chatcmpl-" + run_id.encode(),
            b"%d" % now,
            tier,
            b"%.3f" % max(0.0, now - stored_at),
            b"false",
            b"%.3f" % exchange.milliseconds(),
            b"0.0",
        )

    def body(self, answer: Answer, run_id: str, latency_ms: float) -> object:
        values = ReplyValues.of(answer, f"chatcmpl-{run_id}", latency_ms, int(time.time()))
        return completion_template(answer, values, functions=self._functions)

    async def _stream(self, exchange: HttpExchange, request: CompletionRequest, run_id: str) -> None:
        service = self._service
        turn = service.turn(exchange, request.chat, run_id)
        info = CompletionInfo(
            completion_id=f"chatcmpl-{run_id}",
            created=int(time.time()),
            model=service.engine.models.resolve(turn.model),
            include_usage=request.include_usage,
            usage_on_finish=request.usage_on_finish,
            functions=request.functions,
        )
        await service.stream(
            exchange,
            turn,
            lambda items: completion_chunks(items, info, on_error=service.on_stream_error(exchange)),
        )


def _refuse(reply: ErrorReply) -> Handler:
    async def handle(exchange: HttpExchange) -> None:
        await exchange.reply(*reply)

    return handle
