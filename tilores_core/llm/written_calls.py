"""Tool calls that an open model writes into its text, in its own format, where the server does not read them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

_MARKS: Final = (
    *(
        "<tool_call>",
        "<tool_calls>",
        "<|tool_call|>",
        "<|tool_call>",
        "<function=",
        "<function_calls>",
        "<|python_tag|>",
    ),
    *("<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<|tool_calls_section_begin|>", "<|tool_call_begin|>"),
    *("[TOOL_CALLS]", "[TOOL_CALL]", "functools["),
)
# A call without a mark: one of these and the name of a tool, in a fence or not.
_OPENINGS: Final = ('{"name":"', '{"type":"function","name":"', '{"type":"function","function":{"name":"')
_FENCE: Final = re.compile(r"\s*(?:```\w*\s*)?\[?\s*")
_FENCE_BEGUN: Final = re.compile(r"`{1,2}$|```\w*$")
_FIRST: Final = re.compile(r"[<\[f`{]")
_FUNCTION: Final = re.compile(
    r"<(?:function=|invoke name=\")([\w.-]+)\"?>(.*?)</(?:function|invoke)>", re.DOTALL
)  # each argument in a tag of its own
_PARAMETER: Final = re.compile(r"<parameter(?:=| name=\")([^\">]+)\"?>\n?(.*?)\n?</parameter>", re.DOTALL)
_LONGEST_OPENING: Final = 300  # characters
_ARGUMENTS: Final = ("arguments", "parameters", "args")
_DECODER: Final = json.JSONDecoder()


class WrittenCalls:
    """Feed the text of an answer to `add` and get back what goes to the caller. `names`: the tools that were offered.

    From a mark on everything is held; `calls` are the calls in it, None when it cannot be read: such an answer is
    broken, as half a call must never be said. `text` is what was held without being a call.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._held = ""
        self.written = ""

    def add(self, text: str) -> str:
        if self.written:
            self.written += text
            return ""
        text, self._held = self._held + text, ""
        for first in _FIRST.finditer(text):
            at = first.start()
            begins = self._begins(text[at : at + _LONGEST_OPENING])
            if begins:
                self.written = text[at:]
            elif begins is None and len(text) - at < _LONGEST_OPENING:
                self._held = text[at:]
            else:
                continue
            return text[:at]
        return text

    def rest(self) -> str:
        """What was held back and is text."""
        rest, self._held = self._held, ""
        return rest

    def calls(self) -> list[tuple[str, str]] | None:
        """The names and arguments that were written; None when some of it cannot be read or names no tool."""
        found: list[tuple[str, str]] = []
        text, end = self.written, 0
        for match in _FUNCTION.finditer(text):
            parameters = dict(_PARAMETER.findall(match[2]))
            if parameters or not match[2].strip():
                found.append((match[1], json.dumps({key: _value(value) for key, value in parameters.items()})))
                end = match.end()
        for start, stop, value in _objects(text, end):
            called = self._read(text[start:stop], value) or self._named_before(text[end:start], text[start:stop])
            if called is None:
                return None
            found.append(called)
            end = stop
        return found if found and all(name in self._names for name, _ in found) else None

    def _begins(self, text: str) -> bool | None:
        """Does the text begin with a call, marked as one or in JSON? None: not known yet."""
        if any(text.startswith(mark) for mark in _MARKS):
            return True
        if _FENCE_BEGUN.match(text) or any(mark.startswith(text) for mark in _MARKS):
            return None
        if text[0] in "<f":
            return False
        fence = _FENCE.match(text)
        body = "".join(text[fence.end() if fence else 0 :].split())
        openings = [opening + name + '"' for opening in _OPENINGS for name in self._names]
        if any(body.startswith(opening) for opening in openings):
            return True
        return None if any(opening.startswith(body) for opening in openings) else False

    def _read(self, text: str, value: dict[str, Any]) -> tuple[str, str] | None:
        """A call that says its own name."""
        inner = value.get("function")
        said = inner if isinstance(inner, dict) else value
        name = said.get("name")
        if not isinstance(name, str):
            return None
        for key in _ARGUMENTS:
            if key in said:
                arguments = said[key]
                return name, arguments if isinstance(arguments, str) else _as_written(text, key)
        return (name, "{}") if set(said) <= {"name", "type", "id"} else None

    def _named_before(self, before: str, arguments: str) -> tuple[str, str] | None:
        """A call whose name stands before its arguments."""
        named = re.findall(r"[\w.-]+", before.replace("functions.", ""))
        name = next((word for word in reversed(named) if word in self._names), None)
        return None if name is None else (name, arguments)


def _objects(text: str, at: int) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """The JSON objects in a text, whole ones; one that is cut off is an empty one, which nothing can be made of."""
    while (at := text.find("{", at)) >= 0:
        try:
            value, end = _DECODER.raw_decode(text, at)
        except ValueError:
            yield at, at, {}
            return
        yield at, end, value
        at = end


def _as_written(text: str, key: str) -> str:
    """The arguments as the model wrote them: read and written again a number might be another one."""
    found = re.search(rf'"{key}"\s*:\s*', text)
    start = found.end() if found else 0
    return text[start : _DECODER.raw_decode(text, start)[1]]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
