"""Pieces of tool calls as clients can put them together again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class _Call:
    """One call so far. `held`: arguments that came before the name."""

    id: str = ""
    announced: bool = False
    held: str = ""
    extra: Any = None  # `extra_content`, until it has gone out

    def with_extra(self, delta: dict[str, Any]) -> dict[str, Any]:
        if self.extra:
            delta["extra_content"], self.extra = self.extra, None
        return delta


class ToolCallPieces:
    """Every piece gets its index; id, type and name go out once, whole, with a call's first piece.

    Clients join the names of a call's pieces, so a provider that repeats the name must not be passed on as it is.
    """

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}

    def add(self, pieces: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """What to send for these pieces; nothing while a call has no name yet."""
        deltas = []
        for piece in pieces:
            function = piece.get("function") or {}
            index = self._index(piece)
            call = self._calls.setdefault(index, _Call())
            call.id = call.id or piece.get("id") or ""
            arguments = function.get("arguments") or ""
            name = function.get("name")
            call.extra = piece.get("extra_content") or call.extra
            if not call.announced and name:
                deltas.append(self._announce(index, call, name, call.held + arguments))
            elif not call.announced:
                call.held += arguments
            elif arguments or call.extra:
                deltas.append(call.with_extra({"index": index, "function": {"arguments": arguments}}))
        return deltas

    def rest(self, calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Of the answer's calls those that no piece announced, whole. Their place in `calls` is their index."""
        announced = sum(call.announced for call in self._calls.values())
        deltas = []
        for index, whole in enumerate(calls[announced:], start=announced):
            function = whole["function"]
            call = _Call(id=whole.get("id") or "", extra=whole.get("extra_content"))
            self._calls[index] = call
            deltas.append(self._announce(index, call, function["name"], function.get("arguments") or ""))
        return deltas

    def _announce(self, index: int, call: _Call, name: str, arguments: str) -> dict[str, Any]:
        call.announced = True
        return call.with_extra(
            {
                "index": index,
                "id": call.id or f"call_{index}",
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }
        )

    def _index(self, piece: Mapping[str, Any]) -> int:
        index = piece.get("index")
        if isinstance(index, int):
            return index
        # Without an index: an id that is new begins a call, everything else goes on with the latest.
        latest = max(self._calls, default=-1)
        identifier = piece.get("id")
        if latest < 0 or (identifier and identifier != self._calls[latest].id):
            return latest + 1
        return latest
