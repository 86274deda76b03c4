"""A client for OpenAI's chat completions, as all who speak the protocol serve them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

import orjson

from tilores_core.contracts import CompletionPiece, Usage
from tilores_core.llm.failures import HTML_PAGE, MalformedReplyError, UpstreamError
from tilores_core.llm.http_address import HttpAddress, Reply
from tilores_core.llm.normalizer import served_by
from tilores_core.llm.sse import BOM, LONGEST_EVENT, EventParser

_LONGEST_REPLY: Final = 4 * LONGEST_EVENT
_LONGEST_ERROR: Final = 64 * 1024
_DONE: Final = b"[DONE]"
_STATE: Final = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks")
_AROUND: Final = ("provider", "result", "data", "response")  # where the reply stands that has no choices itself
_NO_STATE: Final[Mapping[str, Any]] = {}

ReadEvent = Callable[[dict[str, Any]], None]
"""Changes an event, or a whole reply, into what the protocol says, where a provider says it otherwise."""

Relent = Callable[[UpstreamError, bytes], bytes | None]
"""The body of a request that was refused as the server takes it, None where it cannot be asked in another way."""


class _Heard:
    """What of an answer has come: pieces of it, a refusal; `index`: of its choice, where that is not 0."""

    pieces = False
    refusal = ""
    index: Any = None

    def check(self) -> None:
        """Structured answers are refused in a field of their own, beside an empty text."""
        if self.refusal:
            raise MalformedReplyError({"code": "content_filter", "message": self.refusal})


class OpenAIClient:
    """Calls to one address, as `HttpAddress` makes them."""

    def __init__(
        self, address: HttpAddress, *, read_event: ReadEvent | None = None, relent: Relent | None = None
    ) -> None:
        self._address = address
        self._read_event = read_event
        self._relent = relent

    async def complete(self, body: bytes) -> AsyncGenerator[CompletionPiece]:
        """Send `body`; the pieces of the answer, one for a reply that is not streamed, whatever was asked for.

        Raises `UpstreamError`, `MalformedReplyError`, and what aiohttp raises when the connection fails.
        """
        reply = await self._address.post(body)
        try:
            if reply.status >= 300:
                failure = await _failure(reply)
                if self._relent is None or (other := self._relent(failure, body)) is None:
                    raise failure
                reply.release()
                reply = await self._address.post(other)
                if reply.status >= 300:
                    raise await _failure(reply)
            start = b""
            while not (start or reply.content.at_eof()):  # some send blank lines until they know
                start = (await reply.content.readany()).removeprefix(BOM).lstrip()
            if start.startswith((b"{", b"[")):
                yield self._whole(_parse(await _read(reply, _LONGEST_REPLY, start)))
                return
            async for piece in self._events(reply, start):
                yield piece
        finally:
            reply.release()

    async def open(self) -> None:
        """Get ready for the first call."""
        await self._address.open()

    async def aclose(self) -> None:
        await self._address.aclose()

    # --- answers

    def _whole(self, reply: Any) -> CompletionPiece:
        heard = _Heard()
        piece = self._piece(reply, heard) if isinstance(reply, dict) and reply.get("choices") else None
        heard.check()
        if piece is None:
            raise MalformedReplyError(_error_of(reply))
        return piece

    async def _events(self, reply: Reply, read: bytes) -> AsyncGenerator[CompletionPiece]:
        """The pieces of a stream, `read` being what of it was read already."""
        parser = EventParser()
        heard = _Heard()
        empty, received = True, 0
        while read or not reply.content.at_eof():
            chunk, read = read or await reply.content.readany(), b""
            received += len(chunk)
            if received > _LONGEST_REPLY:
                raise MalformedReplyError
            for kind, data in parser.feed(chunk):
                if data[:1] != b"{":
                    data = data.removeprefix(b"data:").strip(b' "')  # some say twice that it is data
                    if data.upper() == _DONE:
                        heard.check()
                        if empty:
                            raise MalformedReplyError
                        await reply.finish()
                        return
                event = _parse(data)
                if event is None and kind != b"error":
                    continue  # null
                if kind == b"error":
                    raise MalformedReplyError(_error_of(event) or event)
                piece = self._piece(event, heard)
                if piece is not None:
                    if piece.finish_reason:
                        heard.check()
                    empty = False
                    yield piece
        last = parser.rest()
        if last is not None and last[1] != _DONE:
            try:
                event = _parse(last[1])
            except MalformedReplyError:
                event = None  # cut off in the middle
            piece = self._piece(event, heard) if event is not None else None
            if piece is not None:
                empty = False
                yield piece
        heard.check()
        if empty:  # status 200 and no event at all: some proxy's page
            raise MalformedReplyError

    def _piece(self, event: Any, heard: _Heard) -> CompletionPiece | None:
        """What an event, or a whole reply, says; None when that is nothing."""
        if not isinstance(event, dict):
            raise MalformedReplyError
        if self._read_event is not None:
            self._read_event(event)
        if error := _error_of(event):
            raise MalformedReplyError(error)
        choices = event.get("choices")
        choice = _first_choice(choices, heard) if isinstance(choices, list) and choices else None
        counted = event.get("usage") or (choice.get("usage") if isinstance(choice, dict) else None)
        usage, cost = _usage(counted)
        if not isinstance(choice, dict):
            return CompletionPiece(usage=usage, cost=cost) if usage is not None else None
        if error := _error_of(choice):
            raise MalformedReplyError(error)
        # A message beside or behind the pieces is all of them once more; a text alone is the older protocol's.
        said = choice.get("delta")
        if not isinstance(said, dict):
            said = {} if heard.pieces else choice.get("message")
            if not isinstance(said, dict):
                said = {"content": choice.get("text")}
        reason = choice.get("finish_reason") or choice.get("finishReason")
        if isinstance(reason, dict):  # SGLang's own
            reason = reason.get("type")
        if refused := said.get("refusal"):
            heard.refusal += str(refused)
        text = said.get("content")
        calls = said.get("tool_calls")
        if isinstance(calls, dict):
            calls = [calls]
        if not calls and isinstance(called := said.get("function_call"), dict):
            calls = [{"index": 0, "function": called}]
        state = _NO_STATE
        for key in _STATE:
            if value := said.get(key):
                state = {**state, key: value}
        if text or calls:
            heard.pieces = choice.get("delta") is not None
        elif not (state or reason or usage):
            return None
        return CompletionPiece(
            text if isinstance(text, str) else _text_of(text),
            [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else (),
            state,
            usage,
            cost,
            str(reason) if reason else None,
            served_by=served_by(event) if reason else None,
        )


def _text_of(content: Any) -> str:
    """The text of a content that is a part or a list of them, as some send it; or a number, or JSON itself."""
    if isinstance(content, int | float) and not isinstance(content, bool):
        return str(content)
    if isinstance(content, dict) and content and "type" not in content:
        return orjson.dumps(content).decode()
    parts = content if isinstance(content, list) else (content,)
    texts = (
        part.get("text") if isinstance(part, dict) and part.get("type") in ("text", "output_text") else part
        for part in parts
    )
    return "".join(text for text in texts if isinstance(text, str))


def _first_choice(choices: list[Any], heard: _Heard) -> Any:
    """The answer: some send others beside it that were not asked for, some count from 1."""
    for choice in choices:
        if not isinstance(choice, dict) or choice.get("index") in (0, None, "0"):
            heard.index = 0
            return choice
    if heard.index is None:
        heard.index = choices[0]["index"]
    return next((choice for choice in choices if choice["index"] == heard.index), None)


def _usage(counted: Any) -> tuple[Usage | None, float | None]:
    if not isinstance(counted, dict):
        return None, None
    cost = counted.get("cost")
    given, said = counted.get("prompt_tokens_details"), counted.get("completion_tokens_details")
    cached = given.get("cached_tokens") if isinstance(given, dict) else None
    usage = Usage(
        input_tokens=_count(counted.get("prompt_tokens") or counted.get("input_tokens")),
        output_tokens=_count(counted.get("completion_tokens") or counted.get("output_tokens")),
        # DeepSeek's and Moonshot's names.
        cached_tokens=_count(cached or counted.get("prompt_cache_hit_tokens") or counted.get("cached_tokens")),
        reasoning_tokens=_count(said.get("reasoning_tokens")) if isinstance(said, dict) else 0,
    )
    return usage, float(cost) if isinstance(cost, (int, float)) else None


def _count(value: Any) -> int:
    try:
        return max(int(value or 0), 0)
    except (TypeError, ValueError, OverflowError):
        return 0


def _unwrap(reply: Any) -> Any:
    """Google's servers send an object, most of all an error, in a list; OpenRouter, now and then, and some gateways
    send it within another one."""
    if isinstance(reply, list):
        reply = reply[0] if reply else {}
    if isinstance(reply, dict) and not reply.get("choices"):
        for key in _AROUND:
            if isinstance(inner := reply.get(key), dict) and inner.get("choices"):
                return inner
    return reply


def _error_of(event: Any) -> Mapping[str, Any] | None:
    """The error that came in place of an answer."""
    error = event.get("error") if isinstance(event, dict) else None
    if isinstance(error, dict):
        return error if any(error.values()) else None  # some send an empty one with every piece
    if error:
        return {"message": str(error)}
    if isinstance(event, dict) and event.get("object") == "error":
        return event
    return None


def _parse(data: bytes) -> Any:
    """A reply or an event, without what some put around it."""
    return _unwrap(_read_json(data))


def _read_json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        # Half a surrogate pair, a tab, a number of more than 64 bits or a broken character must not lose it.
        return json.loads(data.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        raise MalformedReplyError from None


async def _read(reply: Reply, limit: int, data: bytes = b"") -> bytes:
    content = reply.content
    while not content.at_eof():
        chunk = await content.readany()
        data = data + chunk if data else chunk
        if len(data) > limit:
            raise MalformedReplyError
    return data


async def _failure(reply: Reply) -> UpstreamError:
    body: Any = None
    data = b""
    try:
        data = await _read(reply, _LONGEST_ERROR)
        body = _parse(data)
    except Exception:  # a page, or broken off: the status says enough
        body = {"code": HTML_PAGE} if data.lstrip()[:1] == b"<" else None
    return UpstreamError(reply.status, reply.headers, body if isinstance(body, dict) else {})
