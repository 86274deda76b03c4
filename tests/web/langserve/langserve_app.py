"""A small server over the protocol's functions, with an engine that follows a script."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tilores_core.contracts import Answer, CustomerChoice, CustomerOutcome, Delta, Usage
from tilores_core.errors import ProviderUnavailableError, RateLimitedError, TiloresError
from tilores_core.settings import ChatTable
from tilores_core.testing.waiting import wait_until
from tilores_core.web.langserve.config import config_schema
from tilores_core.web.langserve.config_hash import decode_config_hash
from tilores_core.web.langserve.decode import decode_batch, decode_run
from tilores_core.web.langserve.encode import batch_body, invoke_body
from tilores_core.web.langserve.errors import error_reply
from tilores_core.web.langserve.pieces import RunInfo
from tilores_core.web.langserve.schemas import input_schema, output_schema
from tilores_core.web.langserve.stream import stream, stream_events, stream_log
from tilores_core.web.request import ChatRequest

USAGE = Usage(input_tokens=12, output_tokens=5)
TOOL_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "look_up", "arguments": '{"city": "Leeds", "days": 2}'},
}


class ScriptedEngine:
    """Does what the last user message says: `fail`, `break`, `tools`, `several`, `slow`; echoes anything else."""

    def __init__(self) -> None:
        self.asked: list[ChatRequest] = []
        self.closed = 0

    async def stream(self, chat: ChatRequest) -> AsyncIterator[Delta | Answer]:
        self.asked.append(chat)
        try:
            async for item in self._items(chat):
                yield item
        finally:
            self.closed += 1

    async def _items(self, chat: ChatRequest) -> AsyncIterator[Delta | Answer]:
        word = str(chat.messages[-1].get("content"))
        if word == "fail":
            raise ProviderUnavailableError("refused by 10.0.0.7", provider="demo")
        if word == "limited":
            raise RateLimitedError("too many questions from this key", retry_after=2.5)
        text = f"You said: {word}\u2028\x85 – über 漢字 😀"
        if word == "tools":
            head = {"index": 0, **TOOL_CALL, "function": {"name": "look_up", "arguments": ""}}
            yield Delta(tool_calls=(head,))
            for piece in ('{"city": "Le', 'eds", "days": 2}'):
                yield Delta(tool_calls=({"index": 0, "function": {"arguments": piece}},))
            yield answer("", finish_reason="tool_calls", tool_calls=(TOOL_CALL,))
            return
        if word == "whole":
            yield answer("All at once.", cache_tier="l1", age=1.23456, cost=0.0)
            return
        for start in range(0, len(text), 8):
            yield Delta(text=text[start : start + 8])
            if word == "break":
                raise RuntimeError("Edwina's phone is +44 20 7183 8750")
            if word == "slow":
                await asyncio.sleep(0.05)  # the word says so
        choices = (CustomerChoice(traits={"born": "1980"}), CustomerChoice(traits={"born": "1991"}))
        several = CustomerOutcome(kind="several", choices=choices)
        yield answer(text, customer=several) if word == "several" else answer(text)

    async def answer(self, chat: ChatRequest) -> Answer:
        items = [item async for item in self.stream(chat)]
        assert isinstance(items[-1], Answer)
        return items[-1]


def answer(text: str, **changes: Any) -> Answer:
    values: dict[str, Any] = {
        "model": "demo:simulated-1",
        "usage": USAGE,
        "cost": 0.0001,
        "customer": CustomerOutcome(kind="one", customer_id="EDW_HAWTHORNE_001"),
        "spectrum": "financial",
        "prompt_version": "builtin-0123456789ab",
    }
    return Answer(text=text, **{**values, **changes})


def build_app(engine: ScriptedEngine, errors: list[Exception]) -> Starlette:
    limits = ChatTable()

    async def invoke(request: Request) -> Response:
        started = time.perf_counter()
        run = decode_run(await request.body(), limits, base_config=base(request))
        reply = await engine.answer(run.chat)
        latency = (time.perf_counter() - started) * 1000
        return JSONResponse(invoke_body(reply, run_id=run.chat.run_id or str(uuid4()), latency_ms=latency))

    async def batch(request: Request) -> Response:
        runs = decode_batch(await request.body(), limits, base_config=base(request))
        answers = await asyncio.gather(*(engine.answer(run.chat) for run in runs))
        return JSONResponse(batch_body([(reply, str(uuid4()), 1.5) for reply in answers]))

    def streaming(encode: Callable[..., Any]) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            run = decode_run(await request.body(), limits, base_config=base(request))
            info = RunInfo(run_id=str(uuid4()), request=run, started=time.perf_counter(), model="demo:simulated-1")
            events = encode(engine.stream(run.chat), info, on_error=errors.append)
            first = await anext(events)

            async def all_events() -> AsyncIterator[bytes]:
                try:
                    yield first
                    async for event in events:
                        yield event
                finally:
                    await events.aclose()

            return StreamingResponse(all_events(), media_type="text/event-stream")

        return handle

    def schema(value: object) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            return JSONResponse(value)

        return handle

    routes = []
    for prefix in ("/chat", "/chat/c/{config_hash}"):
        routes += [
            Route(f"{prefix}/invoke", invoke, methods=["POST"]),
            Route(f"{prefix}/batch", batch, methods=["POST"]),
            Route(f"{prefix}/stream", streaming(stream), methods=["POST"]),
            Route(f"{prefix}/stream_log", streaming(stream_log), methods=["POST"]),
            Route(f"{prefix}/stream_events", streaming(stream_events), methods=["POST"]),
            Route(f"{prefix}/input_schema", schema(input_schema())),
            Route(f"{prefix}/output_schema", schema(output_schema())),
            Route(f"{prefix}/config_schema", schema(config_schema(["demo:simulated-1"]))),
        ]
    return Starlette(routes=routes, exception_handlers={TiloresError: failed})


def base(request: Request) -> Mapping[str, Any] | None:
    text = request.path_params.get("config_hash")
    return None if text is None else decode_config_hash(text)


async def failed(request: Request, error: Exception) -> Response:
    status, body, headers = error_reply(error)
    return Response(orjson.dumps(body), status, headers, "application/json")


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """The app on a free port of the loopback address; its base URL."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "the server")
        assert server.started, "the server did not start"
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
