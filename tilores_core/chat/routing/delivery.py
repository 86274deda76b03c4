"""How an answer goes out to the caller, and what is left to do when the model that says it breaks off.

A delivery lives as long as its turn; each call of a model begins with `begin`, gives its pieces to `add` and ends
with `finish`. `spoken` tells whether the caller has heard any of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from tilores_core.chat.routing.joint import CannotJoinError, Joint
from tilores_core.chat.routing.sentences import Sentences
from tilores_core.contracts import Delta

Emit = Callable[[Delta], None]
Start = Literal["fresh", "continued", "again"]

_WORD = re.compile(r"\w+")
_TELLING = 3  # words: "Yes." may well be said twice


class BufferedDelivery:
    """Nothing goes out before the answer is whole; also for a caller who does not listen to pieces."""

    spoken: bool = False
    resumable: bool = True
    text: str = ""

    def begin(self, model: str, start: Start) -> None:
        """A call of `model` begins."""

    def add(self, delta: Delta) -> None:
        """A piece of it."""

    def finish(self) -> None:
        """It came to its end."""


class DirectDelivery(BufferedDelivery):
    """Pieces go out as they come; no other model can go on with them."""

    resumable: bool = False

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._model = ""

    def begin(self, model: str, start: Start) -> None:
        self._model = model

    def add(self, delta: Delta) -> None:
        if not self.spoken:
            self.spoken = True
            delta = replace(delta, model=self._model)
        self._emit(delta)


class SentenceDelivery(BufferedDelivery):
    """Text goes out in whole sentences, in clauses where one is long, and tool calls at the end: another model can go
    on from there.

    `text`: all that went out. Raises `CannotJoinError` when a continuation tells over again what went out, or an
    answer given again differs from it.
    """

    def __init__(self, emit: Emit, *, longest: int) -> None:
        self._emit = emit
        self._longest = longest
        self._model = ""
        self._start: Start = "fresh"
        self._sentences = Sentences(longest)
        self._calls: list[Delta] = []
        self._again = ""
        self._joint: Joint | None = None
        self._said: set[str] = set()
        self.text = ""
        self.spoken = False

    def begin(self, model: str, start: Start) -> None:
        self._model = model
        self._start = start
        self._sentences = Sentences(self._longest)
        self._calls = []
        self._again = ""
        self._joint = Joint(self.text) if start == "continued" else None

    def add(self, delta: Delta) -> None:
        if delta.tool_calls or delta.state:
            self._calls.append(replace(delta, text=""))
        if not delta.text:
            return
        text = delta.text
        if self._start == "again":
            text = self._beyond(text)
        elif self._joint is not None and not self._joint.decided:
            text = self._joint.feed(text)
        if text:
            for sentence in self._sentences.feed(text):
                self._deliver(sentence)

    def finish(self) -> None:
        if self._start == "again" and self._again.rstrip() != self.text.rstrip():
            raise CannotJoinError
        if self._joint is not None and not self._joint.decided and (rest := self._joint.feed("", final=True)):
            for sentence in self._sentences.feed(rest):
                self._deliver(sentence)
        self._start = "fresh" if self._start == "again" else self._start
        if rest := self._sentences.rest():
            self._deliver(rest)
        for delta in self._calls:
            self._emit(self._add_model_name(delta))

    def _beyond(self, text: str) -> str:
        """What of an answer given again lies behind all that went out of the first."""
        self._again += text
        if len(self._again) < len(self.text):
            return ""
        if not self._again.startswith(self.text):
            raise CannotJoinError
        self._start = "fresh"
        return self._again[len(self.text) :]

    def _deliver(self, sentence: str) -> None:
        words = _WORD.findall(sentence.casefold())
        key = " ".join(words)
        if self._start == "continued" and key in self._said and len(words) >= _TELLING:
            raise CannotJoinError
        self._said.add(key)
        self.text += sentence
        self._emit(self._add_model_name(Delta(text=sentence)))

    def _add_model_name(self, delta: Delta) -> Delta:
        if self.spoken:
            return delta
        self.spoken = True
        return replace(delta, model=self._model)
