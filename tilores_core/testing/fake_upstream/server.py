"""The fake upstream itself: a server on the loopback interface, what it is to say, and what it was asked."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self

import orjson

from tilores_core.testing.fake_upstream.answers import answer
from tilores_core.testing.fake_upstream.connection import Connection
from tilores_core.testing.fake_upstream.dialects import dialect as dialect_of
from tilores_core.testing.fake_upstream.playing import Playing, refusal
from tilores_core.testing.fake_upstream.values import (
    Asked,
    NoFinish,
    Otherwise,
    Problem,
    Recorded,
    Reply,
    ReplyLike,
    Request,
    Said,
    as_reply,
)

DEFAULT_KEY = "sk-fake-upstream-0123456789abcdef"
_POLL = 0.005


class FakeUpstream:
    """A provider that answers and fails as a test says, over real HTTP in that provider's own protocol.

    `dialect`: `openai`, `openai-compatible`, `deepseek`, `groq`, `mistral`, `openrouter`, `anthropic`, `google`,
    `ollama`. `key`: the only one it takes. `models`: the names it knows, or name -> context window in tokens; without
    them it knows every name that does not begin with `no-such`. `latency`: seconds before every answer. `port` 0: a
    free one. `kept`: how many requests it remembers.

    `async with` runs it in the running event loop; `with` in a thread with a loop of its own, for clients that block.
    Everything below may be used from either side.

    Each request takes its reply from: the queue of its model, the common queue, `always[model]`, `otherwise`. Without
    any, the fake upstream answers by itself: it repeats the question, calls a tool that is forced or that the
    question names by the words of its name (find_customer: "find the customer …"), and answers JSON
    where JSON is asked for. One word is one token.
    """

    def __init__(
        self,
        dialect: str = "openai",
        *,
        key: str = DEFAULT_KEY,
        models: Mapping[str, int | None] | Iterable[str] | None = None,
        otherwise: Otherwise | None = None,
        latency: float = 0.0,
        port: int = 0,
        kept: int = 10_000,
    ) -> None:
        known = models if models is None or isinstance(models, Mapping) else dict.fromkeys(models)
        self.dialect = dialect_of(dialect, key=key, models=known)
        self.key = key
        self.otherwise = otherwise
        self.always: dict[str, Otherwise] = {}
        self.latency = latency
        self.port = port
        self.requests: deque[Recorded] = deque(maxlen=kept)
        """What was asked, oldest first: every request for an answer, refused ones too."""
        self.counts: Counter[str] = Counter()
        """Requests for an answer by model ("" when it could not be read)."""
        self.disconnects = 0
        """Requests whose client closed the connection before the end."""
        self.running = 0
        """Requests under way."""
        self._queue: deque[Reply] = deque()
        self._queues: dict[str, deque[Reply]] = {}
        self._open: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._thread: _Thread | None = None

    # --- what it is to say

    def enqueue(self, *replies: ReplyLike, model: str | None = None) -> None:
        """Append replies: texts, `Reply`s or bare faults; with `model` for requests to that one alone."""
        queue = self._queue if model is None else self._queues.setdefault(model, deque())
        queue.extend(as_reply(reply) for reply in replies)

    @property
    def waiting(self) -> int:
        """Replies that no request has taken yet."""
        return len(self._queue) + sum(map(len, self._queues.values()))

    def clear(self) -> None:
        """Forget what is queued, what is always said, and what was recorded."""
        self._queue.clear()
        self._queues.clear()
        self.always.clear()
        self.otherwise = None
        self.requests.clear()
        self.counts.clear()
        self.disconnects = 0

    # --- where it is, and what happened

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What this provider's clients take as their base URL."""
        return self.url + self.dialect.base_path

    async def until(self, condition: Callable[[], bool], *, within: float = 60.0) -> bool:
        """Wait for something seen here (`lambda: upstream.disconnects == 1`); whether it came about in time."""
        end = time.monotonic() + within
        while not condition():
            if time.monotonic() > end:
                return False
            await asyncio.sleep(_POLL)
        return True

    # --- running

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._serve, self._open), "127.0.0.1", self.port, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening and drop every client."""
        if self._server is None:
            return
        self._server.close()
        await asyncio.gather(*(connection.finish() for connection in list(self._open)))
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        self._thread = _Thread(self)
        self._thread.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.end()
            self._thread = None

    # --- serving

    async def _serve(self, connection: Connection, request: Request) -> None:
        if not self.dialect.asks(request):
            self._serve_other(connection, request)
            return
        recorded = Recorded(
            model="", streamed=False, path=request.path, headers=request.headers, body={}, at=time.monotonic()
        )
        self.requests.append(recorded)
        self.running += 1
        try:
            await self._answer(connection, request, recorded)
            recorded.done = not connection.gone
        finally:
            self.running -= 1
            if connection.left:
                recorded.disconnected = True
                self.disconnects += 1

    def _serve_other(self, connection: Connection, request: Request) -> None:
        try:
            self.dialect.authenticate(request)
            body = self.dialect.other(request)
        except Problem as problem:
            self._refuse(connection, problem)
        else:
            self._respond(connection, body)

    async def _answer(self, connection: Connection, request: Request, recorded: Recorded) -> None:
        try:
            self.dialect.authenticate(request)
            recorded.body = request.json()
            asked = self.dialect.read(request)
        except Problem as problem:
            self.counts[recorded.model] += 1
            self._refuse(connection, problem)
            return
        recorded.model, recorded.streamed = asked.model, asked.streamed
        self.counts[asked.model] += 1
        reply = self._reply(asked)
        if seconds := self.latency + reply.seconds:
            await asyncio.sleep(seconds)
        refused = refusal(reply.fault, asked, self.key, streamed=asked.streamed)
        if refused is not None:
            self._refuse(connection, refused, streamed=asked.streamed)
            return
        await Playing(connection, self.dialect, asked, reply, recorded).play(self._record_said(asked, reply))

    def _reply(self, asked: Asked) -> Reply:
        for queue in (self._queues.get(asked.model), self._queue):
            if queue:
                return queue.popleft()
        given = self.always.get(asked.model, self.otherwise)
        if given is None:
            return _ITSELF
        return as_reply(given(asked) if callable(given) else given)

    @staticmethod
    def _record_said(asked: Asked, reply: Reply) -> Said:
        said = answer(asked, reply)
        return replace(said, finish=None) if isinstance(reply.fault, NoFinish) else said

    def _refuse(self, connection: Connection, problem: Problem, *, streamed: bool = False) -> None:
        made = self.dialect.problem(problem, streamed=streamed)
        connection.respond(made.status, made.headers, made.body)

    def _respond(self, connection: Connection, body: Mapping[str, object]) -> None:
        headers = {"content-type": "application/json", **self.dialect.headers()}
        connection.respond(200, headers, orjson.dumps(body))


_ITSELF = Reply()


class _Thread:
    """A fake upstream in an event loop of its own."""

    def __init__(self, fake_upstream: FakeUpstream) -> None:
        self._server = fake_upstream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fake_upstream", daemon=True)

    def begin(self) -> None:
        self._loop.run_until_complete(self._server.start())
        self._thread.start()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._server.aclose())
        finally:
            self._loop.close()
