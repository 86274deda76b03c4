"""What providers send, corrected: every answer passes here before the engine sees it, whatever library brought it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog

from tilores_core.contracts import CompletionPiece, Delta, FinishReason, Usage
from tilores_core.llm.written_calls import WrittenCalls

log = structlog.get_logger(part="llm")

NO_USAGE: Final = Usage()

# Why an answer ended, in the words of the OpenAI protocol.
_FINISH: Final[Mapping[str, FinishReason]] = {
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length"), "length"),
    "model_context_window_exceeded": "length",
    **dict.fromkeys(("tool_calls", "tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(("content_filter", "safety", "image_safety", "recitation", "refusal"), "content_filter"),
    **dict.fromkeys(("prohibited_content", "blocklist", "spii"), "content_filter"),
}
# The answer broke off: what there is of it is not an answer.
_BROKEN: Final = frozenset(
    {
        *("abort", "aborted", "cancelled", "canceled", "connection_error", "engine_error", "engine_overloaded"),
        *("error", "failed", "insufficient_system_resource", "internal_error", "malformed_function_call"),
        *("malformed_response", "missing_thought_signature", "network_error", "overloaded", "server_error"),
        *("timeout", "too_many_tool_calls", "unexpected_tool_call"),
    }
)
# Tags around thoughts, by the one that opens; then those that begin or end a model's turn and are no part of it.
_CLOSINGS: Final = {
    **{f"<{name}>": f"</{name}>" for name in ("think", "thinking", "thought", "reasoning", "seed:think")},
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    **dict.fromkeys(("<|channel|>analysis", "<|channel|>commentary"), "<|end|>"),
}
_MARKS: Final = (
    *("<|start|>assistant", "<|channel|>final", "<|message|>", "<|end|>", "<|return|>", "<|im_end|>", "</s>"),
    *("<|eot_id|>", "<|eom_id|>", "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>", "<｜end▁of▁sentence｜>"),
)
_TAGS: Final = (*_CLOSINGS, *_CLOSINGS.values(), *_MARKS)
_LONGEST_TAG: Final = max(map(len, _TAGS))
_OPENS: Final = re.compile("[<[◁]")
_SPACE: Final = re.compile(r"\s*")
_NO_REASON: Final = frozenset({"null", "none"})


def served_by(said: Mapping[str, Any]) -> str | None:
    """The model that a reply, or its metadata, names, and its system's fingerprint if there is one; for
    `CompletionPiece`."""
    model = said.get("model") or said.get("model_name") or said.get("model_version")
    named = [str(part)[:100] for part in (model, said.get("system_fingerprint")) if part]
    return " ".join(named) or None


def tool_names(parameters: Mapping[str, Any]) -> list[str]:
    """The tools that a request offers."""
    tools = parameters.get("tools")
    return [tool["function"]["name"] for tool in tools if "function" in tool] if tools else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
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
    state: Mapping[str, Any] = field(default_factory=dict)
    native: Any = None
    served_by: str | None = None

    @property
    def is_empty(self) -> bool:
        """It holds nothing for the caller: no text and no tool call."""
        return not self.tool_calls and not self.text.strip()


@dataclass(slots=True)
class _Call:
    """A tool call so far. `index` and `id` as the provider has them; `call` as the caller gets it."""

    index: Any
    id: str | None
    call: dict[str, Any]


class JoinHalves:
    """Text in pieces as valid Unicode: halves of a surrogate pair are joined, a lone one is replaced; no NUL.

    `half`: the first half of a pair, while the other one is missing.
    """

    def __init__(self) -> None:
        self.half = ""

    def add(self, text: str) -> str:
        """What of the text so far can be passed on."""
        if "\0" in text:  # no database takes it
            text = text.replace("\0", "")
        if not text or (text.isascii() and not self.half):
            return text
        text, self.half = self.half + text, ""
        try:
            text.encode()
        except UnicodeEncodeError:
            if "\ud800" <= text[-1] <= "\udbff":
                text, self.half = text[:-1], text[-1]
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text

    def rest(self) -> str:
        """What stands for a half whose other one never came."""
        half, self.half = self.half, ""
        return "\ufffd" if half else ""


class Normalizer:
    """One answer: `add` its pieces, then `finish`, then take the `completion`.

    - Text is valid Unicode: the halves of a surrogate pair in two pieces are joined, a lone half is replaced.
    - `<think>…</think>` and a model's own marks are left out, also when they are split over pieces.
    - Every tool call has an index, an id of its own and arguments that are text, `{}` when there are none.
    - Token counts are totals, however often they are sent.
    - Calls of `tools`, the names that were offered, are calls where the model wrote them into its text.
    """

    def __init__(self, tools: Collection[str] = ()) -> None:
        self._written = WrittenCalls(tools) if tools else None
        self._texts: list[str] = []
        self._calls: list[_Call] = []
        self._usage = NO_USAGE
        self._reason = ""
        self._state: dict[str, Any] = {}
        self._cost: float | None = None
        self._native: Any = None
        self._served_by: str | None = None
        self._halves = JoinHalves()
        self._held = ""  # what may be the beginning of a tag
        self._closing = ""  # the tag that ends the thoughts, while there are some
        self._trim = False  # the white space behind them is left out as well

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
        if reason and (reason := reason.lower().replace("-", "_")) not in _NO_REASON:
            self._reason = reason
        if state:
            self._add_state(state)
        if text:
            text = self._without_thoughts(self._halves.add(text))
            if self._written is not None:
                text = self._written.add(text)
        calls = tuple([self._add_call(call) for call in tool_calls]) if tool_calls else ()
        if not text and not calls:
            return None
        if text:
            self._texts.append(text)
        return Delta(text=text, tool_calls=calls)

    def finish(self) -> Delta | None:
        """What had to be held back until the end is known."""
        rest, self._held = self._held, ""
        text = ("" if self._closing else rest) + self._halves.rest()
        calls = []
        if self._written is not None:
            text = self._written.add(text) + self._written.rest()
            calls = [self._add_call(call) for call in self._read_written(self._written)]
        if text:
            self._texts.append(text)
        for index, known in enumerate(self._calls):
            function = known.call["function"]
            if not function["arguments"].strip():
                function["arguments"] += "{}"
                calls.append({"index": index, "function": {"arguments": "{}"}})
        state = self._state if self._calls and self._state else None
        if not text and not calls and state is None:
            return None
        return Delta(text=text, tool_calls=tuple(calls), state=state)

    def completion(self) -> Completion:
        """The answer; call `finish` before when it came to its end."""
        if self._reason and self._reason not in _FINISH and self._reason not in _BROKEN:
            log.warning("model.finish_reason_unknown", reason=self._reason[:40])
        reason = _FINISH.get(self._reason)
        return Completion(
            text="".join(self._texts),
            usage=self._usage,
            # Some stop for a tool call as for anything else.
            finish_reason="tool_calls" if self._calls and reason == "stop" else reason,
            tool_calls=tuple([known.call for known in self._calls]),
            ended=self.ended and all(known.call["function"]["name"] for known in self._calls),
            cost=self._cost,
            state=self._state if self._calls else {},
            native=self._native if self._calls else None,
            served_by=self._served_by,
        )

    def _read_written(self, written: WrittenCalls) -> list[dict[str, Any]]:
        """The calls in the text, once; an answer whose calls cannot be read is broken."""
        if not written.written:
            return []
        calls, written.written = written.calls(), ""
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
            )
        )

    def _add_state(self, state: Mapping[str, Any]) -> None:
        for key, value in state.items():
            known: Any = self._state.get(key)
            joins = type(known) is type(value) and isinstance(value, str | list)
            self._state[key] = known + value if joins else value

    # --- text

    def _without_thoughts(self, text: str) -> str:
        plain = "<" not in text and "[" not in text and "◁" not in text
        if plain and not self._held and not self._closing and not self._trim:
            return text
        text, self._held = self._held + text, ""
        spoken: list[str] = []
        at = 0  # where the text is that has not been looked at
        while at < len(text):
            if self._closing:
                found = re.compile(re.escape(self._closing), re.IGNORECASE).search(text, at)
                if found is None:
                    self._held = text[max(at, len(text) - len(self._closing)) :]  # the tag may be in it in part
                    break
                at, self._closing, self._trim = found.end(), "", True
                continue
            if self._trim:
                space = _SPACE.match(text, at)
                at = space.end() if space else at
                self._trim = at == len(text)
                continue
            opens = _OPENS.search(text, at)
            if opens is None:
                spoken.append(text[at:])
                break
            spoken.append(text[at : opens.start()])
            at = opens.start()
            tag = next((tag for tag in _TAGS if _is_alike(text[at : at + len(tag)], tag)), None)
            if tag is not None:
                at += len(tag)
                self._closing = _CLOSINGS.get(tag, "")
                if not self._closing and tag not in _MARKS:  # thoughts whose opening tag was part of the prompt
                    spoken.clear()
                    self._texts.clear()
                    self._trim = True
            elif len(text) - at < _LONGEST_TAG and any(_is_alike(text[at:], tag[: len(text) - at]) for tag in _TAGS):
                self._held = text[at:]
                break
            else:
                spoken.append(text[at])
                at += 1
        return "".join(spoken)

    # --- tool calls

    def _add_call(self, piece: Mapping[str, Any]) -> dict[str, Any]:
        """A piece of a tool call in OpenAI's delta shape; it is added to the call that it belongs to."""
        function = piece.get("function")
        function = function if isinstance(function, Mapping) else {}
        name, call_id = function.get("name") or "", piece.get("id") or None
        name = name.partition("<|")[0].removeprefix("functions.")  # as gpt-oss's own format leaks
        arguments = _write_arguments(function.get("arguments"))
        extra = piece.get("extra_content")
        at = self._place(piece.get("index"), call_id, name, arguments)
        if at is None:
            if arguments == "null":
                arguments = ""
            if any(known.id == call_id for known in self._calls):
                call_id = None
            call: dict[str, Any] = {
                "id": call_id or f"call_{uuid.uuid4().hex[:24]}",
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }
            if extra:
                call["extra_content"] = extra
            self._calls.append(_Call(piece.get("index"), call_id, call))
            return {"index": len(self._calls) - 1, **call, "function": dict(call["function"])}
        known = self._calls[at]
        known.id = known.id or call_id
        if name and arguments == known.call["function"]["arguments"]:
            arguments = ""  # some end with the whole call once more
        known.call["function"]["arguments"] += arguments
        delta: dict[str, Any] = {"index": at, "function": {"arguments": arguments}}
        if name and not known.call["function"]["name"]:
            known.call["function"]["name"] = delta["function"]["name"] = name
        if extra:
            known.call["extra_content"] = delta["extra_content"] = extra
        return delta

    def _place(self, index: Any, call_id: str | None, name: str, arguments: str) -> int | None:
        """The call that a piece continues, None when it begins one."""
        for at in reversed(range(len(self._calls))):
            known = self._calls[at]
            if index is not None and known.index is not None and index != known.index:
                continue
            whole = known.call["function"]
            if call_id and known.id and call_id != known.id:
                if index is None:
                    continue
                same = self._of_id(call_id)  # some providers give every call the same index
                return at if same is None and not name and not _is_whole(whole["arguments"]) else same
            if name and whole["name"]:
                again = call_id and (arguments == whole["arguments"] or not _is_whole(whole["arguments"]))
                other = index is None and name != whole["name"]
                if not again and (other or ((index is None or arguments) and _is_whole(whole["arguments"]))):
                    return None
            return at
        return None

    def _of_id(self, call_id: str) -> int | None:
        return next((at for at, known in enumerate(self._calls) if known.id == call_id), None)


def _is_alike(text: str, tag: str) -> bool:
    return text == tag or (tag[:1] == "<" and text.lower() == tag)


def _write_arguments(arguments: Any) -> str:
    """Arguments as text; some providers send an object."""
    if isinstance(arguments, str):
        return arguments
    if arguments is None:
        return ""
    try:
        return orjson.dumps(arguments).decode()
    except TypeError:  # integers of more than 64 bits
        return json.dumps(arguments)


def _is_whole(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return False
