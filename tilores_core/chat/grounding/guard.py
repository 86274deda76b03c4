"""The guard over answers: what is done with a value that is not this customer's.

`off`     nothing is looked at
`report`  the answer goes out as it is; what is not borne out is counted and logged, by kind and number alone
`block`   sentence by sentence: the first one that is not borne out, and all behind it, are replaced by `WITHHELD`;
          the answer ends with `content_filter`, so it is never cached

Borne out is what the records in play state, and what was said: by the user, by the application, by a tool, in the
prompt. What the assistant said before is not: an error must not become true by being repeated. When no customer is
in play, only e-mail addresses, phone and account numbers are looked at: the rest is general knowledge.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Final, Literal

import structlog
from cachetools import LRUCache

from tilores_core.chat.grounding.amounts import Claim
from tilores_core.chat.grounding.claims import claims
from tilores_core.chat.grounding.evidence import Evidence, evidence_of
from tilores_core.chat.grounding.literal import stands_literally
from tilores_core.chat.grounding.names import strange_words
from tilores_core.chat.messages import text_of
from tilores_core.chat.records import fingerprint, render
from tilores_core.chat.routing.sentences import Sentences
from tilores_core.contracts import Customer, Delta, FinishReason, Message, Prompt

log = structlog.get_logger(part="chat")

Grounding = Literal["off", "report", "block"]

WITHHELD: Final = "I could not confirm the rest of this answer from the customer's records, so I leave it out."

_ORDINAL_AT_END: Final = re.compile(r"(?:^|\s)\d{1,2}\.\s*$")
_IDENTIFYING: Final = frozenset({"email", "phone", "account"})
_SIGNS: Final = "@0123456789"  # without one an ASCII text states nothing of `_IDENTIFYING`
_DIGIT: Final = re.compile(r"\d")
_INDEXES_KEPT = 64  # some 100 kB each for a customer with 400 fields
_TEMPLATES_KEPT = 64
_LONGEST_SAID = 400_000  # characters of a conversation that are read
_LONGEST_SENTENCE = 2_000
_SAYING: Final = frozenset({"user", "system", "developer", "tool"})


@dataclass(slots=True)
class GuardCounts:
    """Since the start of the process. `values`: what was not borne out, by kind."""

    checked: int = 0
    flagged: int = 0
    blocked: int = 0
    values: Counter[str] = field(default_factory=Counter)


class Guard:
    """Watches answers. One for all turns; `watch` makes what a single turn needs."""

    def __init__(self, mode: Grounding = "report", *, today: Callable[[], date] = date.today) -> None:
        self.mode: Grounding = mode
        self.counts = GuardCounts()
        self.today = today
        self._indexes: LRUCache[str, Evidence] = LRUCache(_INDEXES_KEPT)
        self._templates: LRUCache[tuple[str, date], Evidence] = LRUCache(_TEMPLATES_KEPT)

    def records(self, fingerprint: str, text: str, customer: Customer) -> Evidence:
        """The evidence in a customer's records; made once per fingerprint. `text`: all of them as rendered."""
        known = self._indexes.get(fingerprint)
        if known is None:
            known = self._indexes[fingerprint] = evidence_of(text, (customer,), today=self.today())
        return known

    def template(self, text: str) -> Evidence:
        """The evidence in a prompt's template; made once a day."""
        key = (text, self.today())
        known = self._templates.get(key)
        if known is None:
            known = self._templates[key] = evidence_of(text, today=key[1])
        return known

    def watch(self, messages: Sequence[Message], prompt: Prompt, *, quiet: bool = False) -> Watch | None:
        """What checks one answer, None when the guard is off. The customers in play are its `about` to tell it.
        `quiet`: what it finds is counted, and logged as `debug` alone."""
        return None if self.mode == "off" else Watch(self, messages, prompt, quiet=quiet)


class Watch:
    """The guard over one answer: hand it the pieces (`emit`) where there are any, then `finish`."""

    blocked = False
    _said: tuple[Evidence, ...] = ()
    _words: frozenset[str] = frozenset()
    _model: str | None = None
    _heard = False
    _half = ""

    def __init__(self, guard: Guard, messages: Sequence[Message], prompt: Prompt, *, quiet: bool = False) -> None:
        self._guard = guard
        self._quiet = quiet
        self._waiting: list[tuple[Customer, str, str]] = []
        self._records: list[Evidence] = []
        self._messages = messages
        self._prompt = prompt
        self._passed: list[str] = []

    @cached_property
    def _sentences(self) -> Sentences:
        return Sentences(_LONGEST_SENTENCE)

    def about(self, customer: Customer, *, known: str = "", text: str = "") -> None:
        """This customer is in play. Where at hand, `known` is the fingerprint and `text` the records as rendered."""
        self._waiting.append((customer, known, text))  # an index takes a while to make, and the model is to be asked

    def heard(self, text: str) -> None:
        """A tool said this about the customer in play: it was said, as by the user."""
        self._messages = (*self._messages, {"role": "tool", "content": text})
        self._said = ()

    def through(self, emit: Callable[[Delta], None]) -> Callable[[Delta], None]:
        """Return `emit`, with every sentence held until it is checked when the guard blocks; as it is when it
        reports."""
        if self._guard.mode != "block":
            return emit

        def check(delta: Delta) -> None:
            if delta.filler or not delta.text:
                if delta.filler or not self.blocked:
                    emit(delta)
                return
            self._heard = True
            self._model = delta.model or self._model
            if delta.tool_calls and not self.blocked:
                emit(Delta(tool_calls=delta.tool_calls, model=self._model))
            for sentence in self._sentences.feed(delta.text):
                self._pass(sentence, emit)

        return check

    def finish(
        self, text: str, finish_reason: FinishReason, emit: Callable[[Delta], None] | None = None
    ) -> tuple[str, FinishReason, int]:
        """The text and finish reason to answer with, and how many of the model's values were not borne out.

        `emit` gets what was still held back.
        """
        if self._guard.mode == "block":
            if not self._heard:
                for sentence in self._sentences.feed(text):
                    self._pass(sentence, emit)
            self._pass(self._sentences.rest(), emit, last=True)
        claimed = self.find_ungrounded(text)
        self._note(claimed)
        if self.blocked:
            return "".join(self._passed), "content_filter", len(claimed)
        return text, finish_reason, len(claimed)

    def find_ungrounded(self, text: str) -> list[Claim]:
        """The claims in `text` that neither the records nor what was said bear out."""
        if self._waiting and stands_literally(text, [rendered for _, _, rendered in self._waiting]):
            return []
        records = self._evidence()
        if not records and not any(map(text.__contains__, _SIGNS)) and (text.isascii() or not _DIGIT.search(text)):
            return []
        made = claims(text, self._words)
        if not any(evidence.times for evidence in records):  # opening hours and the like are general knowledge
            made = [claim for claim in made if claim.shape != "time"]
        if not records:
            made = [claim for claim in made if claim.kind in _IDENTIFYING]
        left = [claim for claim in made if not any(evidence.bears_out(claim) for evidence in records)]
        if not left:
            return left
        said = self._collect_said()
        words = self._words.union(*(evidence.words for evidence in said))
        return [
            claim
            for claim in left
            if (
                strange_words(claim.text, words)
                if claim.kind == "name"
                else not any(evidence.bears_out(claim) for evidence in said)
            )
        ]

    def _evidence(self) -> list[Evidence]:
        for customer, known, text in self._waiting:
            records = self._guard.records(known or fingerprint(customer), text or render(customer), customer)
            self._records.append(records)
            self._words |= records.words
        self._waiting.clear()
        return self._records

    def _pass(self, sentence: str, emit: Callable[[Delta], None] | None, *, last: bool = False) -> None:
        sentence = self._half + sentence
        self._half = ""
        if self.blocked or not sentence:
            return
        if not last and _ORDINAL_AT_END.search(sentence):  # "am 14. März" is one sentence
            self._half = sentence
            return
        if self.find_ungrounded(sentence):
            self.blocked = True
            sentence = WITHHELD
        self._passed.append(sentence)
        if emit is not None:
            emit(Delta(text=sentence, model=self._model))

    def _collect_said(self) -> tuple[Evidence, ...]:
        if not self._said:
            said = "\n".join(_texts(self._messages))[-_LONGEST_SAID:]
            told = self._guard.template(self._prompt.template[-_LONGEST_SAID:])
            self._said = (told, evidence_of(said, today=self._guard.today()))
        return self._said

    def _note(self, claimed: Sequence[Claim]) -> None:
        counts = self._guard.counts
        counts.checked += 1
        if not claimed and not self.blocked:
            return
        found = Counter(claim.kind for claim in claimed)
        counts.flagged += 1
        counts.blocked += self.blocked
        counts.values.update(found)
        if self._quiet:
            log.debug("grounding.flagged", blocked=self.blocked, **dict(found))
        else:
            log.warning("grounding.flagged", blocked=self.blocked, **dict(found))


def _texts(messages: Iterable[Message]) -> list[str]:
    return [text_of(message) for message in messages if message["role"] in _SAYING]
