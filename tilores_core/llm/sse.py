"""Server-sent events, read by the rules of the HTML standard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import orjson

from tilores_core.llm.failures import MalformedReplyError

LONGEST_EVENT: Final = 8 * 1024 * 1024
"""Bytes of one event; more is a broken upstream, not an answer."""


BOM: Final = b"\xef\xbb\xbf"
_NEXT: Final = (b"data: {", b"data:{", b"data: [DONE]", b"data:[DONE]")


class EventParser:
    """Feed bytes as they arrive, get (event type, data) of each complete event.

    Lines end with LF, CRLF or CR; several `data` lines are joined by LF; comments, `id`, `retry` and events without
    data are skipped. Some servers leave blank lines out: a `data` line that begins an object behind one that ends one
    begins an event, as does a second `event` line. From then on an event ends where its JSON does, so that it does
    not wait for the next one. `rest` gives an event whose closing blank line never came.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._data: list[bytes] = []
        self._type = b""
        self._first = True
        self._blank_lines = True

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Raises `MalformedReplyError` for an event that is too long."""
        buffer = self._buffer + chunk if self._buffer else chunk
        if self._first and len(buffer) >= 3:
            buffer = buffer.removeprefix(BOM)
            self._first = False
        if len(buffer) > LONGEST_EVENT:
            raise MalformedReplyError
        lines = buffer.splitlines(keepends=True)
        # The last line may go on in the next chunk; so may a CR, whose LF is then still to come.
        self._buffer = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        for line in lines:
            line = line.rstrip(b"\r\n")
            if line:
                if self._data and self._data[-1].endswith(b"}") and self._begins_event(line):
                    self._blank_lines = False
                    yield self._event()
                self._field(line)
                if not self._blank_lines and self._data and self._is_whole():
                    yield self._event()
            elif self._data:
                yield self._event()
            else:
                self._type = b""

    def rest(self) -> tuple[bytes, bytes] | None:
        """The event that had no end when the stream ended."""
        if self._buffer:
            self._field(self._buffer.rstrip(b"\r\n"))
        return self._event() if self._data else None

    def _begins_event(self, line: bytes) -> bool:
        return line.startswith(_NEXT) or (bool(self._type) and line.startswith(b"event:"))

    def _is_whole(self) -> bool:
        try:
            orjson.loads(b"\n".join(self._data))
        except orjson.JSONDecodeError:
            return self._data == [b"[DONE]"]
        return True

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            if value or self._data:
                self._data.append(value)
            if len(self._data) > 1 and sum(map(len, self._data)) > LONGEST_EVENT:
                raise MalformedReplyError
        elif name == b"event":
            self._type = value

    def _event(self) -> tuple[bytes, bytes]:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        kind, self._type, self._data = self._type, b"", []
        return kind, data
