"""The arguments of a tool call, out of what providers send in their place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tilores_core.llm.written_calls import WrittenCalls

_NO_ARGUMENTS: Final = ("", "{}", "[]", "null", "None")
_AROUND: Final = ('"', "<", "`")
_FENCE: Final = re.compile(r"\s*```\w*\s*|\s*```\s*$")


@dataclass(slots=True)
class CallSoFar:
    """A tool call so far. `index`, `id` and `arguments` as the provider has them; `call` as the caller gets it, who
    knows it as the call number `at` once it has a name."""

    index: Any
    id: str | None
    call: dict[str, Any]
    arguments: str = ""
    at: int | None = None

    def add(self, arguments: str) -> None:
        if self.arguments in _NO_ARGUMENTS and arguments.lstrip()[:1] == "{":
            self.arguments = ""  # some begin with an empty object
        if self.arguments[:1] == "{" and arguments[:1] == "{":  # all of it so far once more, as some repeat it
            if arguments.startswith(self.arguments):
                arguments = arguments[len(self.arguments) :]
            elif is_whole(arguments) and is_whole(self.arguments):
                arguments = arguments if json.loads(arguments) != json.loads(self.arguments) else ""
        self.arguments += arguments

    def take(self, *, final: bool = False) -> str:
        """What of the arguments is new to the caller. What stands around them is taken off at the end."""
        function, whole = self.call["function"], self.arguments
        if not function["arguments"]:
            if whole.strip() in _NO_ARGUMENTS:
                whole = "{}" if final else ""
            elif whole.lstrip()[:1] in _AROUND:
                whole = _bare(whole, function["name"]) if final else ""
        new = whole[len(function["arguments"]) :]
        function["arguments"] = whole
        return new


def write_arguments(arguments: Any) -> str:
    """Arguments as text; some providers send an object."""
    if isinstance(arguments, str):
        return arguments
    if arguments is None:
        return ""
    try:
        return orjson.dumps(arguments).decode()
    except TypeError:  # integers of more than 64 bits
        return json.dumps(arguments)


def _bare(arguments: str, name: str) -> str:
    """The object in JSON that was written as JSON once more, in a fence, or with the marks of a call of that name."""
    inner: Any = _FENCE.sub("", arguments)
    try:
        inner = json.loads(arguments) if arguments.lstrip()[:1] == '"' else inner
    except ValueError:
        return arguments
    if isinstance(inner, str) and inner.lstrip()[:1] == "<":
        written = WrittenCalls({name: {}})
        written.written = inner.lstrip()
        calls = written.calls() or []
        inner = calls[0][1] if len(calls) == 1 else ""
    return inner if isinstance(inner, str) and is_whole(inner) else arguments


def is_whole(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return False
