"""What providers send, corrected: every answer passes here before the engine sees it, whatever library brought it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog

from tilores_core.contracts import CompletionPiece, Delta, FinishReason, Usage
from tilores_core.llm.characters import JoinHalves
from tilores_core.llm.thoughts import ThoughtFilter
from tilores_core.llm.tool_arguments import CallSoFar, is_whole, write_arguments
from tilores_core.llm.written_calls import WrittenCalls

log = structlog.get_logger(part="llm")

NO_USAGE: Final = Usage()

# Why an answer ended, in the words of the OpenAI protocol.
_FINISH: Final[Mapping[str, FinishReason]] = {
    **dict.fromkeys(("stop", "end_turn", "endturn", "stop_sequence", "eos", "eos_token", "complete"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "max_completion_tokens"), "length"),
    **dict.fromkeys(("model_length", "token_limit", "model_context_window_exceeded"), "length"),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call", "function_calls"), "tool_calls"),
    **dict.fromkeys(("content_filter", "safety", "image_safety", "recitation", "refusal"), "content_filter"),
    **dict.fromkeys(("prohibited_content", "blocklist", "spii", "sensitive"), "content_filter"),
    "guardrail_intervened": "content_filter",
}
# The answer broke off: what there is of it is not an answer.
_BROKEN: Final = frozenset(
    {
        *("abort", "aborted", "cancelled", "canceled", "connection_error", "engine_error", "engine_overloaded"),
        *(
            "error",
            "failed",
            "pause_turn",
            "insufficient_system_resource",
            "internal_error",
            "malformed_function_call",
        ),
        *("malformed_response", "missing_thought_signature", "network_error", "overloaded", "server_error"),
        *("timeout", "too_many_tool_calls", "unexpected_tool_call"),
    }
)
OPAQUE: Final = ("thought_signature", "thoughtSignature", "provider_specific_fields")
"""Keys of a tool call, as gateways to Gemini have them, that must come back with it: in `extra_content`, as that is
what clients keep, under `OWN_KEYS`."""
OWN_KEYS: Final = "tool_call"
_NO_REASON: Final = frozenset({"null", "none"})
_NAME: Final = re.compile(r"[\w-]+")
_REPEATED: Final = 24  # characters: what begins with all of the answer so far repeats it
_THOUGHT: Final = frozenset({"text", "thinking", "summary", "data", "signature"})
"""Of a part of `reasoning_details` or `thinking_blocks`: what comes in pieces."""


def served_by(said: Mapping[str, Any]) -> str | None:
    """The model that a reply, or its metadata, names, and its system's fingerprint if there is one; for
    `CompletionPiece`."""
    model = said.get("model") or said.get("model_name") or said.get("model_version")
    named = [str(part)[:100] for part in (model, said.get("system_fingerprint")) if part]
    return " ".join(named) or None


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A model's answer, whole.

    `ended` is false when it broke off: without a reason, or with one that is a failure. `finish_reason` is None then,
    and for a reason that is not known here. `cost`: US dollars, where the provider says it. `served_by`, `state` and
    `native`: see `CompletionPiece`; the last two only beside `tool_calls`.
    """

    text: str
    usage: Usage = NO_USAGE
    finish_reason: FinishReason | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    ended: bool = True
    cost: float | None = None
    state: Mapping[str, Any] = msgspec.field(default_factory=dict)
    native: Any = None
    served_by: str | None = None

    @property
    def is_empty(self) -> bool:
        """It holds nothing for the caller: no text and no tool call."""
        return not self.tool_calls and not self.text.strip()


class Normalizer:
    """One answer: `add` its pieces, then `finish`, then take the `completion`.

    - Text is valid Unicode: the halves of a surrogate pair in two pieces are joined, a lone half is replaced.
    - `<think>…</think>` and a model's own marks are left out, also when they are split over pieces.
    - Every tool call has an index, an id of its own and arguments that are text, `{}` when there are none.
    - Token counts are totals, however often they are sent.
    - Calls of `tools`, as `offered_tools` gives them, are calls where the model wrote them into its text.

    `in_thought`: the text may begin within a thought, whose opening tag was part of the prompt: it is held until a
    tag or the end tells, or `unless_beside`, until thoughts come beside the text.
    """

    def __init__(
        self,
        tools: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        in_thought: bool = False,
        unless_beside: bool = False,
    ) -> None:
        self._tools = tools or {}
        self._written = WrittenCalls(tools) if tools else None
        self._texts: list[str] = []
        self._calls: list[CallSoFar] = []
        self._usage = NO_USAGE
        self._reason = ""
        self._state: dict[str, Any] = {}
        self._cost: float | None = None
        self._native: Any = None
        self._served_by: str | None = None
        self._halves = JoinHalves()
        self._thoughts = ThoughtFilter(calls=bool(tools), thinks_first=in_thought)
        self._unless_beside = unless_beside
        self._dropped: list[str] = []
        self.began_in_thought = False
        """The text did; known at the end."""

    @property
    def ended(self) -> bool:
        """True when the model has said why it stopped: the answer is complete, whatever may still come."""
        return bool(self._reason) and self._reason not in _BROKEN

    def add(self, piece: CompletionPiece) -> Delta | None:
        """The part of a piece that goes to the caller, if there is one."""
        text, tool_calls, state, usage, cost, reason, native, _, served_by = piece
        if usage is not None:
            self._add_usage(usage)
        if cost is not None:
            self._cost = cost
        if native is not None:
            self._native = native
        if served_by is not None:
            self._served_by = served_by
        if reason and (reason := reason.lower().replace("-", "_").rpartition("finishreason.")[2]) not in _NO_REASON:
            self._reason = reason
        if state:
            self._add_state(state)
            if self._unless_beside:
                self._unless_beside = False
                self._thoughts.expect_answer()
        if text:
            if len(text) >= _REPEATED and self._texts and text.startswith(self._texts[0]):
                so_far = "".join(self._texts)
                text = text.removeprefix(so_far) if len(so_far) >= _REPEATED else text
            text = self._thoughts.add(self._halves.add(text))
            if self._thoughts.late:
                self._dropped, self._texts = self._texts, []
            if self._written is not None:
                text = self._written.add(text)
        calls = self._add_calls(tool_calls) if tool_calls else ()
        if not text and not calls:
            return None
        if text:
            self._texts.append(text)
        return Delta(text=text, tool_calls=calls)

    def finish(self) -> Delta | None:
        """What had to be held back until the end is known."""
        text = self._thoughts.rest() + self._halves.rest()
        if dropped := "".join(self._dropped) + self._thoughts.dropped:
            if not (text or self._texts or self._calls) and (self._thoughts.follows or self._state):
                self._texts, text = self._dropped, self._thoughts.dropped  # an answer, and a tag too many behind it
            else:
                self.began_in_thought = not self._thoughts.follows and bool(dropped.strip())
        calls = []
        if self._written is not None:
            text = self._written.add(text) + self._written.rest()
            if not (text or self._texts or self._calls) and _FINISH.get(self._reason) in ("stop", "tool_calls"):
                kept = self._state
                thoughts = self._thoughts.unclosed or kept.get("reasoning_content") or kept.get("reasoning")
                if isinstance(thoughts, str) and not self._written.written:
                    self._written.add_thoughts(thoughts)
            calls = [*self._add_calls(self._read_written(self._written))]
        if text:
            self._texts.append(text)
        for known in self._calls:
            rest = known.take(final=True)
            if known.at is None and known.call["function"]["name"]:
                calls.append(self._begin(known))
            elif rest and known.at is not None:
                calls.append({"index": known.at, "function": {"arguments": rest}})
        state = self._state if self._calls and self._state else None
        if not text and not calls and state is None:
            return None
        return Delta(text=text, tool_calls=tuple(calls), state=state)

    def completion(self) -> Completion:
        """The answer; call `finish` before when it came to its end."""
        ended = self.ended
        if ended and self._reason not in _FINISH:
            log.warning("model.finish_reason_unknown", reason=self._reason[:40])
        reason = _FINISH.get(self._reason)
        called: list[CallSoFar] = []
        lost = False
        if self._calls:
            called = sorted((known for known in self._calls if known.at is not None), key=lambda known: known.at or 0)
            # Some send an empty call beside others, or a text; arguments without a name are a call cut off.
            empty = bool(called) or reason == "stop"
            lost = any(known.at is None and (known.arguments or not empty) for known in self._calls)
        return Completion(
            text="".join(self._texts),
            usage=self._usage,
            # Some stop for a tool call as for anything else.
            finish_reason="tool_calls" if called and reason == "stop" else reason,
            tool_calls=tuple([known.call for known in called]),
            ended=ended and not lost,
            cost=self._cost,
            state=self._state if self._calls else {},
            native=self._native if self._calls else None,
            served_by=self._served_by,
        )

    def _read_written(self, written: WrittenCalls) -> list[dict[str, Any]]:
        """The calls in the text, once; an answer whose calls cannot be read is broken. Beside calls that are some,
        the text repeats them, unless a server lost their arguments."""
        if not written.written:
            return []
        calls, written.written = written.calls(), ""
        if self._calls:
            lost = all(known.arguments.strip() in ("", "{}") for known in self._calls)
            calls = None if lost and any(arguments != "{}" for _, arguments in calls or ()) else []
        if calls is None:
            self._reason = "malformed_function_call"
        return [{"function": {"name": name, "arguments": arguments}} for name, arguments in calls or ()]

    # --- usage and state

    def _add_usage(self, usage: Usage) -> None:
        known = self._usage
        self._usage = (
            usage
            if known is NO_USAGE
            else Usage(
                input_tokens=max(known.input_tokens, usage.input_tokens),
                output_tokens=max(known.output_tokens, usage.output_tokens),
                cached_tokens=max(known.cached_tokens, usage.cached_tokens),
                reasoning_tokens=max(known.reasoning_tokens, usage.reasoning_tokens),
            )
        )

    def _add_state(self, state: Mapping[str, Any]) -> None:
        for key, value in state.items():
            known: Any = self._state.get(key)
            if isinstance(known, list) and isinstance(value, list):
                for part in value:
                    _join_part(known, part)
            elif isinstance(known, str) and isinstance(value, str):
                self._state[key] = known + value
            else:
                self._state[key] = list(value) if isinstance(value, list) else value

    # --- tool calls

    def _add_calls(self, pieces: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
        return tuple([call for call in map(self._add_call, pieces) if call is not None])

    def _add_call(self, piece: Mapping[str, Any]) -> dict[str, Any] | None:
        """A piece of a tool call in OpenAI's delta shape; it is added to the call that it belongs to."""
        function = piece.get("function")
        function = function if isinstance(function, Mapping) else piece  # some do without it
        name, call_id = self._name(function.get("name") or ""), str(piece.get("id") or "") or None
        given = function.get("arguments")
        arguments = write_arguments(function.get("parameters") if given is None else given)
        index = piece.get("index")
        index = int(index) if isinstance(index, str) and index.isdecimal() else index
        at = self._place(index, call_id, name, arguments)
        if at is None:
            own = None if self._of_id(call_id) is not None else call_id
            call = {
                "id": own or f"call_{uuid.uuid4().hex[:24]}",
                "type": "function",
                "function": {"name": name, "arguments": ""},
            }
            self._calls.append(CallSoFar(index, own, call))
            at = -1
        known = self._calls[at]
        known.id = known.id or call_id
        known.add(arguments)
        said = known.call["function"]
        if (
            name and said["name"] not in self._tools and known.at is None
        ):  # it may come in parts, or more of it each time
            said["name"] = name if name.startswith(said["name"]) else said["name"] + name
        extra = piece.get("extra_content")
        if opaque := {key: piece[key] for key in OPAQUE if piece.get(key)}:
            extra = {**(extra if isinstance(extra, Mapping) else {}), OWN_KEYS: opaque}
        if extra:
            known.call["extra_content"] = extra
        if not said["name"]:
            return None
        new = known.take()
        if known.at is None:
            part = not known.arguments and any(tool.startswith(said["name"]) for tool in self._tools)
            return None if part and said["name"] not in self._tools else self._begin(known)
        delta: dict[str, Any] = {"index": known.at, "function": {"arguments": new}}
        return {**delta, "extra_content": extra} if extra else delta

    def _begin(self, known: CallSoFar) -> dict[str, Any]:
        """The call as the caller gets it first."""
        known.at = sum(other.at is not None for other in self._calls)
        return {"index": known.at, **known.call, "function": dict(known.call["function"])}

    def _name(self, name: str) -> str:
        """The name of a tool, out of what a model's own format makes of it."""
        name = name.partition("<|")[0].strip().removeprefix("functions.")
        if name and name not in self._tools:
            return next((word for word in reversed(_NAME.findall(name)) if word in self._tools), name)
        return name

    def _place(self, index: Any, call_id: str | None, name: str, arguments: str) -> int | None:
        """The call that a piece continues, None when it begins one."""
        for at in reversed(range(len(self._calls))):
            known = self._calls[at]
            if index is not None and known.index is not None and index != known.index:
                continue
            called, so_far = known.call["function"]["name"], known.arguments
            if call_id and known.id and call_id != known.id:
                if index is None:
                    continue
                same = self._of_id(call_id)  # some providers give every call the same index
                return at if same is None and not name and not is_whole(so_far) else same
            if name and called:
                repeated = index is not None and known.id and name == called and arguments == so_far
                again = repeated or (call_id and (arguments == so_far or not is_whole(so_far)))
                other = index is None and name != called
                if not again and (other or ((index is None or arguments) and is_whole(so_far))):
                    return None
            return at
        return None

    def _of_id(self, call_id: str | None) -> int | None:
        return next((at for at, known in enumerate(self._calls) if call_id and known.id == call_id), None)


def _join_part(parts: list[Any], part: Any) -> None:
    """Add a part of a thought to its other ones: what is signed is all of it, as one."""
    known = parts[-1] if parts else None
    if not isinstance(part, Mapping) or not isinstance(known, Mapping):
        parts.append(part)
        return
    same = all(part.get(key, known.get(key)) == known.get(key) for key in ("type", "index", "id"))
    if not same or ("index" not in part and (known.get("signature") or "data" in part)):
        parts.append(part)
        return
    joined = dict(known)
    for key, value in part.items():
        before = joined.get(key)
        if key in _THOUGHT and isinstance(before, str) and isinstance(value, str):
            value = value if before and value.startswith(before) else before + value  # some repeat all of it
        if value is not None:
            joined[key] = value
    parts[-1] = joined
