"""What a caller hears of the model's turns: the answer, and not what is said before a tool is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tilores_core.contracts import Delta

Emit = Callable[[Delta], None]

_BETWEEN = "\n\n"


class Gate:
    """Holds a turn's text back while it has at most `longest` characters, as a tool call may follow and it is dropped
    then. Longer text goes out and stays part of the answer, whatever follows it.

    `kept`: what so went out of earlier turns. The rule is the same for a caller who does not listen (no `emit`).
    """

    def __init__(self, emit: Emit | None, *, longest: int) -> None:
        self._emit = emit
        self._longest = longest
        self._held: list[Delta] = []
        self._length = 0
        self._open = False
        self._joined = True
        self.kept = ""

    @property
    def inlet(self) -> Emit | None:
        """Where the model's pieces go; None when nobody listens."""
        return None if self._emit is None else self._take

    def _take(self, delta: Delta) -> None:
        if not delta.text:
            return  # pieces of tool calls: whose they are is known at the end
        self._held.append(replace(delta, tool_calls=(), state=None) if delta.tool_calls or delta.state else delta)
        self._length += len(delta.text)
        if self._open or self._length > self._longest:
            self._let_go()

    def _let_go(self) -> None:
        self._open = True
        held, self._held = self._held, []
        for delta in held:
            if self._emit is not None:
                self._emit(delta if self._joined else replace(delta, text=_BETWEEN + delta.text))
            self._joined = True

    def drop(self, text: str) -> None:
        """The turn's whole text was `text`, and tools are called."""
        if len(text) > self._longest:
            self._let_go()
            self.kept += text + _BETWEEN
            self._joined = False
        self._held.clear()
        self._length = 0
        self._open = False

    def finish(self) -> None:
        """The turn is the answer."""
        self._let_go()
