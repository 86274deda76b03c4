"""The LangServe routes under `/chat`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from time import time
from typing import Any

from tilores_core.contracts import Answer
from tilores_core.web.chat import ChatService, Handler
from tilores_core.web.feedback import feedback_route
from tilores_core.web.http_exchange import HttpExchange
from tilores_core.web.ids import new_run_id
from tilores_core.web.langserve import schemas
from tilores_core.web.langserve.config import config_schema
from tilores_core.web.langserve.config_hash import decode_config_hash
from tilores_core.web.langserve.decode import RunRequest, decode_batch, decode_run
from tilores_core.web.langserve.encode import batch_body, invoke_body, invoke_template
from tilores_core.web.langserve.pieces import RunInfo
from tilores_core.web.langserve.stream import stream, stream_events, stream_log
from tilores_core.web.request import DecodeCache
from tilores_core.web.response_template import ResponseTemplate

_PREFIX = "/chat/"
_HASHED = "c/"
_FEEDBACK = "feedback"
_Encode = Callable[..., AsyncGenerator[bytes, None]]
_Run = Callable[..., Awaitable[None]]  # (exchange), or (exchange, config of the path)


class LangServeRoutes:
    """Finds the handler of a request; `service` answers."""

    def __init__(self, service: ChatService) -> None:
        self._service = service
        self._decoded: DecodeCache[RunRequest] = DecodeCache()
        self.template = ResponseTemplate("langserve", invoke_template)
        self._post: dict[str, _Run] = {
            "invoke": self._invoke,
            "batch": self._batch,
            "stream": self._streamer(stream),
            "stream_log": self._streamer(stream_log),
            "stream_events": self._streamer(stream_events),
        }
        self._feedback = feedback_route(service, _not_found)
        self._exact = {f"{_PREFIX}{name}": run for name, run in self._post.items()}
        self._get = {
            "input_schema": schemas.input_schema,
            "output_schema": schemas.output_schema,
            "config_schema": self._config_schema,
        }

    def find(self, method: str, path: str) -> Handler:
        """The handler of a path under `/chat/`, also one that answers 404 or 405."""
        run = self._exact.get(path)
        if run is not None and method == "POST":
            return run
        name = path[len(_PREFIX) :]
        if name == _FEEDBACK:
            return self._feedback if method == "POST" else _refuse(405, "Method Not Allowed", {"Allow": "POST"})
        config_hash: str | None = None
        if name.startswith(_HASHED):
            config_hash, _, name = name[len(_HASHED) :].partition("/")
        if name in self._post:
            if method != "POST":
                return _refuse(405, "Method Not Allowed", {"Allow": "POST"})
            run = self._post[name]
            return run if config_hash is None else _with_config(run, config_hash)
        if name in self._get:
            if method not in ("GET", "HEAD"):
                return _refuse(405, "Method Not Allowed", {"Allow": "GET"})
            schema = self._get[name]
            return lambda exchange: exchange.reply(200, schema())
        if name == "completions":  # asked by OpenAI's clients whose base_url lacks its end
            return _refuse(404, "Not Found: OpenAI's API is at /v1, as in /v1/chat/completions", {})
        return _refuse(404, "Not Found", {})

    def _config_schema(self) -> dict[str, Any]:
        listing = self._service.engine.models.listing()
        return config_schema([f"{provider}:{info.id}" for provider, info in listing])

    async def _invoke(self, exchange: HttpExchange, base: Mapping[str, Any] | None = None) -> None:
        service = self._service
        body = await service.body(exchange)
        kept = self._decoded.get((body,)) if base is None else None
        request = kept or decode_run(body, service.table, base_config=base)
        run_id = request.chat.run_id or new_run_id()
        await service.serve(exchange, self, request.chat, run_id, with_cache_control=True)
        if kept is None and base is None:
            self._decoded.keep((body,), request, exchange.tier)

    def values(self, exchange: HttpExchange, run_id: str, tier: bytes, stored_at: float) -> tuple[bytes, ...]:
        """In the order of the gaps of `invoke_template`: run id twice, last of all for the metadata."""
        age, run = time() - stored_at, run_id.encode()
        return (
            tier,
            b"%.3f" % (age if age > 0 else 0.0),
            b"false",
            b"%.3f" % exchange.milliseconds(),
            b"0.0",
            run,
            run,
        )

    def body(self, answer: Answer, run_id: str, latency_ms: float) -> object:
        return invoke_body(answer, run_id=run_id, latency_ms=latency_ms)

    async def _batch(self, exchange: HttpExchange, base: Mapping[str, Any] | None = None) -> None:
        service = self._service
        body = await service.body(exchange)
        runs = decode_batch(body, service.table, base_config=base)
        run_ids = [run.chat.run_id or new_run_id() for run in runs]
        turns = [
            service.turn(exchange, run.chat, run_id, with_cache_control=True)
            for run, run_id in zip(runs, run_ids, strict=True)
        ]
        answers = await service.answer_all(exchange, turns)
        latency = exchange.milliseconds()
        replies = [(answer, run_id, latency) for answer, run_id in zip(answers, run_ids, strict=True)]
        await exchange.reply(200, batch_body(replies))

    def _streamer(self, encode: _Encode) -> _Run:
        async def run(exchange: HttpExchange, base: Mapping[str, Any] | None = None) -> None:
            service = self._service
            body = await service.body(exchange)
            request = decode_run(body, service.table, base_config=base)
            run_id = request.chat.run_id or new_run_id()
            turn = service.turn(exchange, request.chat, run_id)
            info = RunInfo(
                run_id=run_id,
                request=request,
                started=exchange.started,
                model=service.engine.models.resolve(turn.model),
            )
            await service.stream(
                exchange, turn, lambda items: encode(items, info, on_error=service.on_stream_error(exchange))
            )

        return run


def _with_config(run: _Run, config_hash: str) -> Handler:
    """The route with a config that stands in its path."""

    async def handle(exchange: HttpExchange) -> None:
        await run(exchange, decode_config_hash(config_hash))

    return handle


def _not_found(text: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    return 404, {"detail": text, "message": text}, {}


def _refuse(status: int, text: str, headers: dict[str, str]) -> Handler:
    async def handle(exchange: HttpExchange) -> None:
        await exchange.reply(status, {"detail": text, "message": text}, headers)

    return handle
