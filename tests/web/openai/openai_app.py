"""A small server that speaks the protocol with a scripted engine behind it, for real clients to call.

What the engine does is chosen by the model's name, see `SCRIPTS` and `FAILURES`.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tilores_core.contracts import Answer, CustomerChoice, CustomerOutcome, Delta, ModelInfo, Usage
from tilores_core.errors import (
    AuthenticationError,
    ContentRefusedError,
    ContextTooLongError,
    DeadlineExceededError,
    OverloadedError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProviderAuthError,
    ProviderUnavailableError,
    RateLimitedError,
    SourceUnavailableError,
    UnknownModelError,
)
from tilores_core.settings import ChatTable
from tilores_core.testing.waiting import wait_until
from tilores_core.web.openai.decode import CompletionRequest, decode_completion
from tilores_core.web.openai.encode import completion_template, find_model, models_body
from tilores_core.web.openai.errors import error_reply, method_not_allowed, route_not_found
from tilores_core.web.openai.stream import CompletionInfo, completion_chunks
from tilores_core.web.response_template import ReplyValues

KEY = "tilores-test-key"
CALL = {"id": "call_abc", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bath"}'}}
USAGE = Usage(input_tokens=11, output_tokens=7)
MODELS = (
    ("demo", ModelInfo(id="plain", created=1_700_000_000, simulated=True)),
    ("demo", ModelInfo(id="vendor/large:free", created=1_700_000_001)),
    ("openai", ModelInfo(id="gpt-4o-mini", created=1_700_000_002, unavailable="set OPENAI_API_KEY")),
)

SCRIPTS: dict[str, list[Delta | Answer | Exception | float]] = {
    "plain": [
        Delta(text="Edwina Hawthorne"),
        Delta(text="'s score\n"),
        Delta(text="  is 712 – „gut“."),
        Answer(
            text="Edwina Hawthorne's score\n  is 712 – „gut“.",
            model="demo:plain",
            usage=USAGE,
            customer=CustomerOutcome(kind="one", customer_id="EDW_HAWTHORNE_001"),
            spectrum="credit",
            prompt_version="builtin-0",
            cost=0.0,
        ),
    ],
    "vendor/large:free": [
        Answer(text="from the cache", model="demo:vendor/large:free", usage=USAGE, cache_tier="l1")
    ],
    "empty": [Answer(text="", model="demo:empty", usage=USAGE)],
    "several": [
        Answer(
            text="Which one?",
            model="demo:several",
            customer=CustomerOutcome(
                kind="several",
                choices=(CustomerChoice(traits={"city": "Bath"}), CustomerChoice(traits={"city": "York"})),
            ),
        )
    ],
    "tools": [
        Delta(text="Let me see."),
        Delta(
            tool_calls=(
                {"index": 0, "id": "call_abc", "type": "function", "function": {"name": "weather", "arguments": ""}},
            )
        ),
        Delta(tool_calls=({"index": 0, "function": {"arguments": '{"city"'}},)),
        Delta(tool_calls=({"index": 0, "function": {"arguments": ':"Bath"}'}},)),
        Answer(text="Let me see.", model="demo:tools", usage=USAGE, tool_calls=(CALL,)),
    ],
    "breaks": [Delta(text="Edwina"), ProviderUnavailableError("the model went away", provider="demo")],
    "quiet": [Delta(text="so"), 0.3, Delta(text=" far"), Answer(text="so far", model="demo:quiet", usage=USAGE)],
    "endless": [Delta(text="on and "), 3600.0, Answer(text="done", model="demo:endless")],
}
FAILURES: dict[str, Exception] = {
    "limited": RateLimitedError("too many requests for this key", retry_after=0.2),
    "full": OverloadedError("the server is full", retry_after=0.2),
    "source-down": SourceUnavailableError("the customer source does not answer"),
    "provider-down": ProviderUnavailableError("https://api.example.test/v1 does not answer", provider="demo"),
    "provider-key": ProviderAuthError("no key for openai", provider="openai", fix="set OPENAI_API_KEY"),
    "late": DeadlineExceededError("the time for this request is over"),
    "long": ContextTooLongError("the prompt does not fit the model", param="messages"),
    "refused": ContentRefusedError("the provider refuses this", provider="demo"),
    "forbidden": PermissionDeniedError("this key may not search"),
    "large": PayloadTooLargeError("the body has more than 1 MiB"),
    "bug": ZeroDivisionError("a secret: 4711"),
}


class ScriptedServer:
    """What the clients saw from the server's side. `keyless` ignores what is sent as a key."""

    def __init__(self) -> None:
        self.keyless = False
        self.keep_alive = 15.0
        self.requests: list[CompletionRequest] = []
        self.attempts: dict[str, int] = {}
        self.cancelled = threading.Event()
        self.errors: list[Exception] = []
        routes = [
            Route("/v1/models", self._models, methods=["GET", "HEAD"]),
            Route("/v1/models/{id:path}", self._model, methods=["GET", "HEAD"]),
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
        ]
        self.app = Starlette(
            routes=routes,
            exception_handlers={404: self._not_found, 405: self._wrong_method},
        )

    async def _models(self, request: Request) -> Response:
        return self._guard(request) or _reply(200, models_body(MODELS))

    async def _model(self, request: Request) -> Response:
        refused = self._guard(request)
        if refused:
            return refused
        try:
            return _reply(200, find_model(MODELS, unquote(request.path_params["id"])))
        except UnknownModelError as error:
            return _reply(*error_reply(error))

    async def _complete(self, request: Request) -> Response:
        refused = self._guard(request)
        if refused:
            return refused
        try:
            wanted = decode_completion(await request.body(), dict(request.headers.raw), ChatTable())
            self.requests.append(wanted)
            name = (wanted.chat.model or "").partition(":")[2]
            self.attempts[name] = self.attempts.get(name, 0) + 1
            if name == "recovers" and self.attempts[name] == 1:
                raise OverloadedError("the server is full", retry_after=0.2)
            items = self._engine("plain" if name == "recovers" else name)
            if wanted.stream:
                return await self._stream(wanted, items)
            answer = [item async for item in items][-1]
            assert isinstance(answer, Answer)
            body = completion_template(answer, ReplyValues.of(answer, _new_id(), None, int(time.time())))
            return _reply(200, body, {"X-Tilores-Cache": answer.cache_tier})
        except Exception as error:
            return _reply(*error_reply(error))

    async def _stream(self, wanted: CompletionRequest, items: AsyncIterator[Delta | Answer]) -> Response:
        info = CompletionInfo(
            completion_id=_new_id(),
            created=int(time.time()),
            model=str(wanted.chat.model),
            include_usage=wanted.include_usage,
            usage_on_finish=wanted.usage_on_finish,
        )
        chunks = completion_chunks(
            items, info, keep_alive=self.keep_alive, on_error=lambda error: self.errors.append(error)
        )
        first = await anext(chunks)

        async def all_of_them() -> AsyncIterator[bytes]:
            try:
                yield first
                async for chunk in chunks:
                    yield chunk
            finally:
                await chunks.aclose()

        headers = {"Cache-Control": "no-cache", "x-request-id": "req-test", "X-Accel-Buffering": "no"}
        return StreamingResponse(all_of_them(), media_type="text/event-stream", headers=headers)

    async def _engine(self, name: str) -> AsyncIterator[Delta | Answer]:
        if name in FAILURES:
            raise FAILURES[name]
        if name not in SCRIPTS:
            raise UnknownModelError("there is no such model", fix="GET /v1/models lists the names")
        try:
            for step in SCRIPTS[name]:
                await asyncio.sleep(step if isinstance(step, float) else 0)  # a number is a pause
                if isinstance(step, Exception):
                    raise step
                if not isinstance(step, float):
                    yield step
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise

    def _guard(self, request: Request) -> Response | None:
        if self.keyless or request.headers.get("authorization") == f"Bearer {KEY}":
            return None
        return _reply(*error_reply(AuthenticationError("no valid API key", fix="send Authorization: Bearer")))

    async def _not_found(self, request: Request, _: Exception) -> Response:
        return _reply(*route_not_found(request.method, request.url.path))

    async def _wrong_method(self, request: Request, _: Exception) -> Response:
        return _reply(*method_not_allowed(request.method, request.url.path, ["POST"]))


class Running(NamedTuple):
    """A scripted server and where it listens."""

    server: ScriptedServer
    url: str

    @property
    def v1(self) -> str:
        return f"{self.url}/v1"


def _reply(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(body), status, {"x-request-id": "req-test", **(headers or {})}, media_type="application/json"
    )


def _new_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


@contextmanager
def serve(app: Any) -> Iterator[str]:
    """The app on a free port of the loopback, in a thread; yields its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive(), "the server")
            assert server.started, "the server did not start"
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
