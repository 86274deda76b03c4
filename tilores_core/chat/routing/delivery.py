"""How an answer goes out to the caller, and what is left to do when the model that says it breaks off.

A delivery lives as long as its turn; each call of a model begins with `begin`, gives its pieces to `add` and ends
with `finish`. `spoken` tells whether the caller has heard any of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from msgspec.structs import replace

from tilores_core.chat.routing.joint import WIDE, CannotJoinError, Joint, is_first_word, open_sentence, restart
from tilores_core.chat.routing.sentences import Sentences
from tilores_core.contracts import Delta

Emit = Callable[[Delta], None]
Start = Literal["fresh", "continued", "again"]

_WORD = re.compile(r"\w+")
_TELLING = 3  # words: "Yes." may well be said twice
# A word up to the white space behind it; a script without spaces (and an emoji) is released as it comes.
_RELEASED = re.compile(rf"[^\s{WIDE}]*+(?:(?P<end>\s+|[{WIDE}]+)|$)")
# "1 " may become "1 234" or "1 million", and an amount must not be heard by halves.
_AMOUNT = re.compile(r"[^\w\s]*(?:\d(?:[\d.,'’]*\d)?|[$€£¥#+-])")
_LONGEST_HELD = 40  # characters: digits read out one by one have no end
_LONGEST_WORD = 400  # characters; a longer one is not held back


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


class WordDelivery(BufferedDelivery):
    """Text goes out word by word and tool calls at the end: another model can go on from there.

    Held back are the last word, which may not have ended, and a number until the word behind it is there. A first
    word goes out at once. What another model goes on with goes out in sentences. `text`: all that went out.
    Raises `CannotJoinError` when a continuation repeats what went out, or an answer given again differs from it.
    """

    def __init__(self, emit: Emit, *, longest: int) -> None:
        self._emit = emit
        self._longest = longest
        self._model = ""
        self._start: Start = "fresh"
        self._held = ""
        self._calls: list[Delta] = []
        self._again = ""
        self._joint: Joint | None = None
        self._sentences: Sentences | None = None
        self._said: set[str] = set()
        self.text = ""
        self.spoken = False

    def begin(self, model: str, start: Start) -> None:
        self._model = model
        self._start = start
        self._held = self._again = ""
        self._calls = []
        self._joint = self._sentences = None
        if start == "continued":
            self._joint, self._sentences = Joint(self.text), Sentences(self._longest)
            said = Sentences(self._longest)
            ended = (*said.feed(self.text[: open_sentence(self.text)]), said.rest())
            self._said = {" ".join(words) for words in map(_words_of, ended)}

    def add(self, delta: Delta) -> None:
        if delta.tool_calls or delta.state:
            self._calls.append(replace(delta, text=""))
        text = delta.text
        if text and self._start == "again":
            text = self._beyond(text)
        elif text and self._joint is not None and not self._joint.decided:
            text = self._joint.feed(text)
        if text:
            self._release(text)

    def finish(self) -> None:
        if self._start == "again" and self._again.rstrip() != self.text.rstrip():
            raise CannotJoinError
        if self._joint is not None and not self._joint.decided and (rest := self._joint.feed("", final=True)):
            self._release(rest)
        self._start = "fresh" if self._start == "again" else self._start
        if rest := self._held if self._sentences is None else self._sentences.rest():
            self._deliver(rest)
        for delta in self._calls:
            self._emit(self._add_model_name(delta))

    def _release(self, text: str) -> None:
        if self._sentences is not None:
            for sentence in self._sentences.feed(text):
                self._deliver(sentence)
            return
        held = self._held + text
        end = 0
        for word in _RELEASED.finditer(held):
            if word["end"] and (len(held) > _LONGEST_HELD or not _AMOUNT.fullmatch(word.group().rstrip())):
                end = word.end()
        if len(held) - end > _LONGEST_WORD:
            end = len(held)
        if not self.text:
            end = len(held) if is_first_word(held) else end if held[:end].strip() else 0
        self._held = held[end:]
        if end:
            self._deliver(held[:end])

    def _beyond(self, text: str) -> str:
        """What of an answer given again lies behind all that went out of the first."""
        again = self._again = self._again + text
        if self.text.startswith(again):
            return ""
        self._start = "fresh"
        if again.startswith(self.text):
            return again[len(self.text) :]
        opened = open_sentence(self.text)
        if not again.startswith(self.text[:opened]):
            raise CannotJoinError
        return restart(self.text, again[opened:])

    def _deliver(self, text: str) -> None:
        if self._sentences is not None:
            words = _words_of(text)
            key = " ".join(words)
            if key in self._said and len(words) >= _TELLING:
                raise CannotJoinError
            self._said.add(key)
        self.text += text
        self._emit(self._add_model_name(Delta(text=text)))

    def _add_model_name(self, delta: Delta) -> Delta:
        if self.spoken:
            return delta
        self.spoken = True
        return replace(delta, model=self._model)


def _words_of(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
