"""Names of tools as every provider takes them.

MCP allows dots and slashes, callers send spaces and other letters; OpenAI and Anthropic refuse the whole request for
one such name, Gemini for one that begins with a digit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, TypeVar, cast

from msgspec.structs import replace

from tilores_core.contracts import Delta, Message
from tilores_core.llm.normalizer import Completion

_TAKEN: Final = re.compile("[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
_NOT_TAKEN: Final = re.compile("[^a-zA-Z0-9_-]")
_KEPT: Final = 54  # characters of the name; its digest makes it another than all others

Said = TypeVar("Said", Delta, Completion)


class ToolNames:
    """The names of one request: `write` puts it to a model, `read` gives what that says back to the caller."""

    def __init__(self, renamed: Mapping[str, str]) -> None:
        self._renamed = renamed
        self._given = {safe: name for name, safe in renamed.items()}

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> ToolNames | None:
        """None when every name can be sent as it is."""
        if not (tools := parameters.get("tools")):
            return None
        names = [tool["function"]["name"] for tool in tools if "function" in tool]
        renamed = {name: _safe(name) for name in names if not _TAKEN.fullmatch(name)}
        return cls(renamed) if renamed else None

    def write(
        self, messages: Sequence[Message], parameters: Mapping[str, Any]
    ) -> tuple[Sequence[Message], dict[str, Any]]:
        """Copies with the names that are sent."""
        written = {**parameters, "tools": [self._called(tool, self._renamed) for tool in parameters["tools"]]}
        if isinstance(choice := parameters.get("tool_choice"), Mapping):
            written["tool_choice"] = self._called(choice, self._renamed)
        return [
            cast("Message", {**one, "tool_calls": [self._called(call, self._renamed) for call in one["tool_calls"]]})
            if one.get("tool_calls")
            else one
            for one in messages
        ], written

    def read(self, said: Said) -> Said:
        """The same with the names that the caller knows."""
        if not said.tool_calls:
            return said
        return replace(said, tool_calls=tuple([self._called(call, self._given) for call in said.tool_calls]))

    def reading(self, on_delta: Callable[[Delta], None]) -> Callable[[Delta], None]:
        """What gives pieces to `on_delta` with the names that the caller knows."""
        return lambda delta: on_delta(self.read(delta))

    def _called(self, call: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        function = call.get("function")
        if not isinstance(function, Mapping) or (other := names.get(function.get("name", ""))) is None:
            return dict(call)
        return {**call, "function": {**function, "name": other}}


def _safe(name: str) -> str:
    kept = _NOT_TAKEN.sub("_", name)[:_KEPT]
    return f"{kept if _TAKEN.fullmatch(kept) else f'_{kept}'[:_KEPT]}_{sha256(name.encode()).hexdigest()[:8]}"
