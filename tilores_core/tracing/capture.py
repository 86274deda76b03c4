"""What a trace contains of a question, its answer and the records: nothing, masked texts, or everything.

Masking needs the records: when a customer was named and the records are not in memory, the texts are withheld, and
the trace says so. Masked texts are the last question and its answer, as earlier ones may be about another customer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Literal

import orjson
from cachetools import LRUCache

from tilores_core.chat.messages import last_question
from tilores_core.contracts import Customer, Outcome, Record
from tilores_core.tracing.redaction import Redactor, values_of

Mode = Literal["none", "redacted", "full"]

_REDACTORS_KEPT = 64
_NOBODY: Final = Redactor()
_ARGUMENTS: Final = "arguments"


@dataclass(frozen=True, slots=True)
class CapturedTrace:
    """JSON values, None where nothing may be said. `cut`: a text was too long. `withheld`: none could be masked."""

    inputs: Any = None
    outputs: Any = None
    records: Any = None
    cut: bool = False
    withheld: bool = False


NOTHING: Final = CapturedTrace()


class Capture:
    """Takes questions, answers and records into traces, as far as `[tracing]` allows, redacted.

    `remembered`: the customer with a fingerprint, if this process still knows the records.
    """

    def __init__(self, mode: Mode, *, longest: int, remembered: Callable[[str], Customer | None]) -> None:
        self.mode: Mode = mode
        self._longest = longest
        self._remembered = remembered
        self._redactors: LRUCache[str, Redactor] = LRUCache(_REDACTORS_KEPT)
        self._lock = Lock()

    def of(self, outcome: Outcome) -> CapturedTrace:
        """May take milliseconds with `redacted`: not for the event loop."""
        if self.mode == "none":
            return NOTHING
        if self.mode == "full":
            return self._full(outcome)
        with self._lock:  # traces for several tracers may be built at once, and the cache is for one thread
            redactor = self._redactor(outcome)
        return CapturedTrace(withheld=True) if redactor is None else self._redact(outcome, redactor)

    def _full(self, outcome: Outcome) -> CapturedTrace:
        cut = _Cut(self._longest)
        customer = outcome.customer
        records = None if customer is None else cut.whole([_record(record) for record in customer.records])
        inputs = {"messages": [cut.value(dict(message)) for message in outcome.turn.messages]}
        return CapturedTrace(inputs, cut.value(_collect_answer(outcome)), records, cut=cut.happened)

    def _redact(self, outcome: Outcome, redactor: Redactor) -> CapturedTrace:
        cut = _Cut(self._longest)
        asked = last_question(outcome.turn.messages)
        # Cut first: nobody masks a megabyte. What the cut leaves of a value at its edge goes with the last word.
        inputs = {"messages": [{"role": "user", "content": redactor.text(cut.at_a_word(asked))}]}
        said = _collect_answer(outcome)
        if said is not None:
            said = _redact_answer(said, redactor, cut)
        return CapturedTrace(inputs, said, cut=cut.happened)

    def _redactor(self, outcome: Outcome) -> Redactor | None:
        """None when the records that the texts may hold are not at hand."""
        answer = outcome.answer
        fingerprint = answer.record_fingerprint if answer is not None else ""
        known = self._redactors.get(fingerprint) if fingerprint else None
        if known is not None:
            return known
        customer = outcome.customer or (self._remembered(fingerprint) if fingerprint else None)
        if customer is not None:
            redactor = Redactor(values_of(customer))
            if fingerprint:
                self._redactors[fingerprint] = redactor
            return redactor
        return _NOBODY if answer is not None and answer.customer.kind == "unnamed" else None


def _collect_answer(outcome: Outcome) -> dict[str, Any] | None:
    answer = outcome.answer
    if answer is None:
        return None
    said: dict[str, Any] = {"role": "assistant", "content": answer.text}
    if answer.tool_calls:
        said["tool_calls"] = [dict(call) for call in answer.tool_calls]
    return said


def _redact_answer(said: Mapping[str, Any], redactor: Redactor, cut: _Cut) -> dict[str, Any]:
    masked: dict[str, Any] = {"role": said["role"], "content": redactor.text(cut.at_a_word(said["content"]))}
    if calls := said.get("tool_calls"):
        masked["tool_calls"] = [_redact_call(call, redactor, cut) for call in calls]
    return masked


def _redact_call(call: Mapping[str, Any], redactor: Redactor, cut: _Cut) -> dict[str, Any]:
    function = call.get("function", {})
    written = cut.at_a_word(str(function.get(_ARGUMENTS) or ""))
    try:
        arguments = orjson.dumps(redactor.value(orjson.loads(written))).decode()
    except orjson.JSONDecodeError:
        arguments = redactor.text(written)
    return {"type": "function", "function": {"name": function.get("name", ""), _ARGUMENTS: arguments}}


def _record(record: Record) -> dict[str, Any]:
    return {"id": record.id, "system": record.system, "updated_at": record.updated_at, "fields": dict(record.fields)}


class _Cut:
    """Keeps texts short and remembers whether it had to."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._left = 4 * longest  # of all texts of one value together
        self.happened = False

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {str(key): self.value(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(inner) for inner in value]
        return value

    def whole(self, value: Any) -> Any:
        """The value as it is, or the beginning of it as text."""
        text = orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        return value if len(text) <= self._longest else self._text(text)

    def at_a_word(self, text: str) -> str:
        if len(text) <= self._longest:
            return text
        return f"{self._text(text).rpartition('… (')[0].rsplit(None, 1)[0]} … (cut)"

    def _text(self, text: str) -> str:
        room = min(self._longest, self._left)
        if len(text) > room:
            self.happened = True
            text = f"{text[:room]}… ({len(text) - room} characters more)"
        self._left = max(0, self._left - len(text))
        return text
