"""How an answer goes out to the caller, and what is left to do when the model that says it breaks off.

A delivery lives as long as its turn; each call of a model begins with `begin`, gives its pieces to `say` and ends
with `finish`. `spoken` tells whether the caller has heard any of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from tilores_core.chat.routing.sentences import Sentences
from tilores_core.contracts import Delta

Emit = Callable[[Delta], None]
Start = Literal["fresh", "continued", "again"]

_WORD = re.compile(r"\w+")
_TELLING = 3  # words: "Yes." may well be said twice


class CannotJoinError(Exception):
    """What the next model says does not go on where the one before broke off."""


class Held:
    """Nothing goes out before the answer is whole; also for a caller who does not listen to pieces."""

    spoken: bool = False
    resumable: bool = True
    text: str = ""

    def begin(self, model: str, start: Start) -> None:
        """A call of `model` begins."""

    def say(self, delta: Delta) -> None:
        """A piece of it."""

    def finish(self) -> None:
        """It came to its end."""


class Straight(Held):
    """Pieces go out as they come. Nobody can go on in the middle of a sentence."""

    resumable: bool = False

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._model = ""

    def begin(self, model: str, start: Start) -> None:
        self._model = model

    def say(self, delta: Delta) -> None:
        if not self.spoken:
            self.spoken = True
            delta = replace(delta, model=self._model)
        self._emit(delta)


class BySentence(Held):
    """Text goes out in whole sentences, tool calls at the end: another model can go on after the last of them.

    `text`: all that went out. `resumable`: does it end with a sentence? Raises `CannotJoinError` when a continuation
    says a sentence over again, or an answer given again differs from what went out of the first.
    """

    def __init__(self, emit: Emit, *, longest: int) -> None:
        self._emit = emit
        self._longest = longest
        self._model = ""
        self._start: Start = "fresh"
        self._sentences = Sentences(longest)
        self._calls: list[Delta] = []
        self._again = ""
        self._said: set[str] = set()
        self._opening = False
        self.text = ""
        self.spoken = False
        self.resumable = True

    def begin(self, model: str, start: Start) -> None:
        self._model = model
        self._start = start
        self._sentences = Sentences(self._longest)
        self._calls = []
        self._again = ""
        self._opening = start == "continued"

    def say(self, delta: Delta) -> None:
        if delta.tool_calls:
            self._calls.append(replace(delta, text=""))
        text = self._beyond(delta.text) if self._start == "again" else delta.text
        if text:
            for sentence in self._sentences.feed(text):
                self._out(sentence)
            self.resumable = not self._sentences.broken

    def finish(self) -> None:
        if self._start == "again" and self._again.rstrip() != self.text.rstrip():
            raise CannotJoinError
        self._start = "fresh" if self._start == "again" else self._start
        if rest := self._sentences.rest():
            self._out(rest)
        for delta in self._calls:
            self._emit(self._named(delta))
        self.resumable = True

    def _beyond(self, text: str) -> str:
        """What of an answer given again lies behind all that went out of the first."""
        self._again += text
        if len(self._again) < len(self.text):
            return ""
        if not self._again.startswith(self.text):
            raise CannotJoinError
        self._start = "fresh"
        return self._again[len(self.text) :]

    def _out(self, sentence: str) -> None:
        words = tuple(_WORD.findall(sentence.casefold()))
        key = " ".join(words)
        if self._start == "continued":
            if key in self._said and (self._opening or len(words) >= _TELLING):
                raise CannotJoinError
            if self._opening:
                sentence = _joined(self.text, sentence)
                self._opening = not words
        self._said.add(key)
        if sentence:
            self.text += sentence
            self._emit(self._named(Delta(text=sentence)))

    def _named(self, delta: Delta) -> Delta:
        if self.spoken:
            return delta
        self.spoken = True
        return replace(delta, model=self._model)


def _joined(before: str, sentence: str) -> str:
    """The sentence with just the white space it needs behind what went out."""
    sentence = sentence.lstrip()
    wide = before[-1:] in "。！？｡」』”"
    return sentence if not sentence or wide or before[-1:].isspace() else f" {sentence}"
