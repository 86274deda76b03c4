"""An engine's stream as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import orjson

from tilores_core.contracts import Answer, Delta
from tilores_core.web.openai.encode import finish_reason, stream_extension, tool_calls, usage_body
from tilores_core.web.openai.errors import error_reply

KEEP_ALIVE_SECONDS = 15.0
PING = b": ping\n\n"
DONE = b"data: [DONE]\n\n"
# How far the engine may run ahead of a slow reader.
_QUEUE_LENGTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionInfo:
    """What every chunk repeats. `created`: seconds since the epoch; `model`: the one that was asked for.

    The chunks name the model that the first piece is of, and the one asked for where that piece does not say.

    The others are those of `CompletionRequest`.
    """

    completion_id: str
    created: int
    model: str
    include_usage: bool = False
    usage_on_finish: bool = False
    functions: bool = False


async def completion_chunks(
    items: AsyncIterator[Delta | Answer],
    run: CompletionInfo,
    *,
    keep_alive: float = KEEP_ALIVE_SECONDS,
    on_error: Callable[[Exception], None] | None = None,
) -> AsyncGenerator[bytes]:
    """The stream of one completion, a chunk for each piece as it comes.

    Nothing is yielded before the engine's first item, and an error until then is raised: take the first chunk
    (`await anext(chunks)`), answer with an HTTP error if that raises, and only then start the response. Later
    errors end the stream with an error line and are passed to `on_error`. When nothing comes for `keep_alive`
    seconds a comment is sent. Closing this generator (`aclose()`, or cancelling its consumer) cancels the
    engine's stream and waits for it.
    """
    frames = _Frames(run)
    started = done = False
    source = _Source(items)
    try:
        while True:
            try:
                item = await source.next(keep_alive if started and not done else None)
                chunk = b"" if done or isinstance(item, _Signal) else frames.render(item, opened=started)
            except Exception as error:  # of the engine, or of rendering what it gave
                if not started:
                    raise
                if on_error is not None:
                    on_error(error)
                if not done:
                    yield error_event(error)
                return
            if item is _Signal.ENDED:
                return
            if item is _Signal.QUIET:
                yield PING
            elif chunk:  # after the answer the engine may still be tidying up; what was promised has been sent
                started = True
                done = source.answered = isinstance(item, Answer)
                yield chunk
    finally:
        await source.aclose()


class _Frames:
    """Turns pieces into chunks; remembers what has been said, for the ending says the rest."""

    def __init__(self, run: CompletionInfo) -> None:
        self._run = run
        self._texts = False
        self._called = 0  # calls of which the id and the name have gone out
        self._state = False
        self._name(run.model)

    def _name(self, model: str) -> None:
        # All but the delta is the same in every chunk.
        run = self._run
        self._model = model
        head = {
            "id": run.completion_id,
            "object": "chat.completion.chunk",
            "created": run.created,
            "model": model,
        }
        self._head = b"data: " + _json(head)[:-1]
        self._before = self._head + b',"choices":[{"index":0,"delta":'
        self._no_usage = b',"usage":null' if run.include_usage else b""
        self._after = b',"logprobs":null,"finish_reason":null}]' + self._no_usage + b"}\n\n"

    def render(self, item: Delta | Answer, *, opened: bool) -> bytes:
        """The chunks of one item of the engine's stream."""
        opening = b"" if opened else self.opening(item.model)
        return opening + (self.ending(item) if isinstance(item, Answer) else self.piece(item))

    def opening(self, model: str | None) -> bytes:
        """Make the first piece of a stream. `model`: who says what follows, if that is known."""
        if model is not None and model != self._model:
            self._name(model)
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, delta: Delta) -> bytes:
        """No bytes at all for an empty piece."""
        chunks = b""
        if delta.text:
            self._texts = self._texts or not delta.filler
            chunks = self._chunk({"content": delta.text})
        if delta.state and not self._state:
            self._state = True
            chunks += self._chunk(dict(delta.state))
        if delta.tool_calls:
            self._called += sum("id" in call for call in delta.tool_calls)
            chunks += self._call(delta.tool_calls)
        return chunks

    def ending(self, answer: Answer) -> bytes:
        chunks = b""
        if answer.text and not self._texts:
            chunks = self._chunk({"content": answer.text})
        if answer.state and not self._state:
            chunks += self._chunk(dict(answer.state))
        if calls := tool_calls(answer)[self._called :]:
            chunks += self._call([{"index": at, **call} for at, call in enumerate(calls, self._called)])
        usage = b',"usage":' + _json(usage_body(answer.usage))
        chunks += self._before + b'{},"logprobs":null,"finish_reason":"' + self._reason(answer) + b'"}]'
        chunks += usage if self._run.usage_on_finish else self._no_usage
        extension = stream_extension(answer)
        if answer.model != self._model:  # another went on where that one broke off, or a filler came first
            extension["model"] = answer.model
        chunks += b',"tilores":' + _json(extension) + b"}\n\n"
        if self._run.include_usage:
            chunks += self._head + b',"choices":[]' + usage + b"}\n\n"
        return chunks + DONE

    def _reason(self, answer: Answer) -> bytes:
        return finish_reason(answer, functions=self._run.functions).encode()

    def _call(self, calls: Sequence[Mapping[str, Any]]) -> bytes:
        """Pieces of calls; the older protocol knows only one."""
        if not self._run.functions:
            return self._chunk({"tool_calls": list(calls)})
        return b"".join([self._chunk({"function_call": call["function"]}) for call in calls if call["index"] == 0])

    def _chunk(self, delta: dict[str, Any]) -> bytes:
        return self._before + _json(delta) + self._after


class _Signal(Enum):
    QUIET = auto()
    ENDED = auto()


class _Source:
    """Takes the engine's items one by one, with a time-out that loses none.

    The engine's generator runs from beginning to end in one task of its own. A task for each item would be
    simpler, but time-outs and context variables that a generator holds across a `yield` need one task.
    """

    def __init__(self, items: AsyncIterator[Delta | Answer]) -> None:
        self.answered = False
        self._queue: asyncio.Queue[Delta | Answer | Exception | None] = asyncio.Queue(_QUEUE_LENGTH)
        self._task = asyncio.create_task(self._pump(items))

    async def next(self, patience: float | None) -> Delta | Answer | _Signal:
        """The next item, or that `patience` seconds passed without one, or the end. Raises what the engine raised."""
        try:
            # An item leaves the queue only when it is handed over, so a time-out here loses nothing.
            async with asyncio.timeout(patience):
                item = await self._queue.get()
        except TimeoutError:
            return _Signal.QUIET
        if isinstance(item, Exception):
            raise item
        if item is not None:
            return item
        if not self.answered:
            raise RuntimeError("the engine's stream ended without an answer")
        return _Signal.ENDED

    async def aclose(self) -> None:
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()  # seen, so that asyncio does not report it

    async def _pump(self, items: AsyncIterator[Delta | Answer]) -> None:
        last: Exception | None = None
        try:
            try:
                async for item in items:
                    await self._queue.put(item)
            finally:
                if (close := getattr(items, "aclose", None)) is not None:
                    await close()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Something inside the engine was cancelled, not this stream; without a word the reader would wait on.
            last = RuntimeError("the engine's stream was cancelled from within")
        except Exception as error:
            last = error
        await self._queue.put(last)


def _json(value: Any) -> bytes:
    data = orjson.dumps(value)
    if not data.isascii():
        # Clients that split with `str.splitlines`, as httpx does, would see these as ends of the line.
        for character in ("\u2028", "\u2029", "\u0085"):
            data = data.replace(character.encode(), f"\\u{ord(character):04x}".encode())
    return data


def error_event(error: Exception) -> bytes:
    """The line that ends a stream that failed."""
    return b"data: " + _json(error_reply(error)[1]) + b"\n\n"
