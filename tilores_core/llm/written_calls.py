"""Tool calls that an open model writes into its text, in its own format, where the server does not read them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

_MARKS: Final = (
    *("<tool_call>", "<tool_calls>", "<|tool_call|>", "<|tool_call>", "<seed:tool_call>", "<minimax:tool_call>"),
    *("<longcat_tool_call>", "<TOOLCALL>", "<tools>", "<function=", "<function_call>", "<|function_call|>"),
    *("<function_calls>", "<｜DSML｜", "<|DSML|", "<antml:function_calls>"),
    *("<invoke name=", "<antml:invoke name=", "<|python_tag|>", "<|tool_call_start|>", "<|action_start|>"),
    *("<|START_ACTION|>", "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<|tool_calls_section_begin|>"),
    *("<|tool_call_begin|>", "<|channel|>commentary to=functions.", "<|start|>assistant to=functions."),
    *("to=functions.", "[TOOL_CALLS]", "[TOOL_CALL]", "functools[", "```tool_code"),
    *("<｜tool_calls_begin｜>", "<｜tool_call_begin｜>", "<|tools_prefix|>", "<|open|>tools<|sep|>"),
    *("<|tool_call_section_begin|>", "<|tool_call_argument_begin|>"),
)
# A call without a mark: one of these and the name of a tool, in a fence or not.
_ENVELOPE: Final = '{"tool_calls":['
_OPENINGS: Final = ('{"name":"', '{"type":"function","name":"', '{"type":"function","function":{"name":"')
_FENCE: Final = re.compile(r"\s*(?:```\w*\s*)?\[?\s*")
_FENCE_BEGUN: Final = re.compile(r"`{1,2}$|```\w*$")
_FIRST: Final = re.compile(r"[<\[f`{]|t(?=o=|o?$)")
_OWN: Final = r"(?:\w+:|[｜|]DSML[｜|])?"  # what stands before the names of some models' tags
_FUNCTION: Final = re.compile(
    rf"<{_OWN}(?:function=|invoke name=\")([\w.-]+)\"?>(.*?)</{_OWN}(?:function|invoke)>", re.DOTALL
)  # each argument in a tag of its own
_PARAMETER: Final = re.compile(
    rf"<{_OWN}parameter(?:=| name=\")([^\">]+)(?:\"( string=\"true\")?[^>]*)?>\n?(.*?)\n?</{_OWN}parameter>",
    re.DOTALL,
)
_KEYED: Final = re.compile(r"\s*([\w.-]+)\s*((?:<(?:\w+_)?arg_key>.*?</(?:\w+_)?arg_value>\s*)+)", re.DOTALL)
_KEY: Final = re.compile(
    r"<(?:\w+_)?arg_key>(.*?)</(?:\w+_)?arg_key>()\s*<(?:\w+_)?arg_value>(.*?)</(?:\w+_)?arg_value>", re.DOTALL
)
_OPENED: Final = re.compile(r"<\|open\|>\w+ ([^<]*)<\|sep\|>(.*?)(?=<\|open\|>|<\|close\|>)", re.DOTALL)  # Kimi K3's
_ATTRIBUTE: Final = re.compile(r'(\w+)="([^"]*)"')
_QUOTE: Final = '<|"|>'  # Gemma's, around texts; its keys have none
_BARE_KEY: Final = re.compile(r"([{,]\s*)(\w+)\s*:")
_AROUND: Final = re.compile(r"^(?:\s*(?:<[^<>]*>|```\w*))+|(?:(?:<[^<>]*>|```)\s*)+$")
_LONGEST_CODE: Final = 20_000
_LONGEST_OPENING: Final = 300  # characters
_ARGUMENTS: Final = ("arguments", "parameters", "args")
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_DECODER: Final = json.JSONDecoder()

Call = tuple[str, str]


def offered_tools(parameters: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The tools that a request offers: by their names, the schemas of their arguments by the arguments' names."""
    if not (tools := parameters.get("tools")):
        return {}
    offered = [tool["function"] for tool in tools if "function" in tool]
    return {tool["name"]: (tool.get("parameters") or {}).get("properties") or {} for tool in offered}


class WrittenCalls:
    """Feed the text of an answer to `add` and get back what goes to the caller. `tools`: those that were offered, by
    their names, and the schemas of their arguments.

    From a mark on everything is held; `calls` are the calls in it, None when it cannot be read: such an answer is
    broken, as half a call must never be said. `text` is what was held without being a call.
    """

    def __init__(self, tools: Mapping[str, Mapping[str, Any]]) -> None:
        self._tools = tools
        self._marks = (*_MARKS, *(f"functions.{name}:" for name in tools))
        self._openings = [_ENVELOPE, *(f'{opening}{name}"' for opening in _OPENINGS for name in tools)]
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

    def add_thoughts(self, text: str) -> None:
        """Thoughts that nothing follows: calls that are marked as some in them are the answer's."""
        if begins := [at for mark in self._marks if (at := text.find(mark)) >= 0]:
            self.written = text[min(begins) :]

    def calls(self) -> list[Call] | None:
        """The names and arguments that were written; None when some of it cannot be read or names no tool."""
        text = self.written
        if text.startswith("<|tool_call>"):
            text = _plain_json(text)
        found = self._in_tags(text) or self._in_code(text) or self._in_json(text)
        return found if found and all(name in self._tools for name, _ in found) else None

    def _begins(self, text: str) -> bool | None:
        """Does the text begin with a call, marked as one or in JSON? None: not known yet."""
        if text.startswith(self._marks):
            return True
        if _FENCE_BEGUN.match(text) or any(mark.startswith(text) for mark in self._marks):
            return None
        if text[0] in "<ft":
            return False
        fence = _FENCE.match(text)
        body = "".join(text[fence.end() if fence else 0 :].split())
        openings = [*self._openings, *(f"{name}(" for name in self._tools)] if text[0] == "[" else self._openings
        if any(body.startswith(opening) for opening in openings):
            return True
        return None if any(opening.startswith(body) for opening in openings) else False

    # --- forms

    def _in_tags(self, text: str) -> list[Call]:
        """Calls whose arguments have tags of their own."""
        if text.startswith("<|open|>"):
            return self._in_opened(text)
        functions = [(match[1], _PARAMETER.findall(match[2]), match[2]) for match in _FUNCTION.finditer(text)]
        found = [(name, values) for name, values, inside in functions if values or not inside.strip()]
        if not found:
            found = [(match[1], _KEY.findall(match[2])) for match in _KEYED.finditer(text) if match[1] in self._tools]
        return [(name, json.dumps(self._arguments(name, values))) for name, values in found]

    def _in_opened(self, text: str) -> list[Call]:
        """Kimi K3's; none of one that is cut off."""
        called: list[tuple[str, list[tuple[str, str, str]]]] = []
        for match in _OPENED.finditer(text) if text.count("<|open|>") == text.count("<|close|>") else ():
            said = dict(_ATTRIBUTE.findall(match[1]))
            if "tool" in said:
                called.append((said["tool"], []))
            elif "key" in said and called:
                called[-1][1].append((said["key"], "yes" if said.get("type") == "string" else "", match[2]))
        return [(name, json.dumps(self._arguments(name, values))) for name, values in called]

    def _arguments(self, name: str, values: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
        schemas = self._tools.get(name, {})
        return {key: text if is_text or _is_text(schemas.get(key)) else _value(text) for key, is_text, text in values}

    def _in_code(self, text: str) -> list[Call]:
        """Calls in Python, one or a list of them."""
        if len(text) > _LONGEST_CODE:
            return []
        try:
            tree = ast.parse(_AROUND.sub("", text).strip())
            nodes = [node.value for node in tree.body if isinstance(node, ast.Expr)]
            lists = [node.elts if isinstance(node, ast.List | ast.Tuple) else [node] for node in nodes]
            return [call for nodes in lists for node in nodes if (call := _call_of(node)) is not None]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []

    def _in_json(self, text: str) -> list[Call] | None:
        found: list[Call] = []
        end = 0
        if text.startswith("{") and '"tool_calls"' in text:
            text = text.partition("[")[2]
        for start, stop, value in _objects(text):
            if value is None:
                return None
            written = text[start:stop]
            called = _named_inside(written, value) or self._named_before(text[end:start], written)
            if called is None and len(value) == 1 and (name := next(iter(value))) in self._tools:
                called = name, _as_written(written, name)
            if called is None:
                return None
            found.append(called)
            end = stop
        return found

    def _named_before(self, before: str, arguments: str) -> Call | None:
        """A call whose name stands before its arguments."""
        named = re.findall(r"[\w.-]+", before.replace("functions.", ""))
        name = next((word for word in reversed(named) if word in self._tools), None)
        return None if name is None else (name, arguments)


def _named_inside(text: str, value: dict[str, Any]) -> Call | None:
    """A call that says its own name."""
    inner = value.get("function")
    said = inner if isinstance(inner, dict) else value
    name = said.get("name") or said.get("tool_name")
    if not isinstance(name, str):
        return None
    for key in _ARGUMENTS:
        if key in said:
            arguments = said[key]
            return name, arguments if isinstance(arguments, str) else _as_written(text, key)
    return (name, "{}") if set(said) <= {"name", "type", "id"} else None


def _objects(text: str) -> Iterator[tuple[int, int, dict[str, Any] | None]]:
    """The JSON objects in a text, None for one that cannot be read or is cut off."""
    at = 0
    while (at := text.find("{", at)) >= 0:
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            yield at, at, None
            return
        yield at, end, value
        at = end


def _as_written(text: str, key: str) -> str:
    """The arguments as the model wrote them: read and written again a number might be another one."""
    found = re.search(rf'"{key}"\s*:\s*', text)
    start = found.end() if found else 0
    return text[start : _DECODER.raw_decode(text, start)[1]]


def _plain_json(text: str) -> str:
    parts = text.split(_QUOTE)
    parts[::2] = [_BARE_KEY.sub(r'\1"\2":', part) for part in parts[::2]]
    parts[1::2] = [json.dumps(part) for part in parts[1::2]]
    return "".join(parts)


def _call_of(node: ast.expr) -> Call | None:
    """A call with named arguments, as it is or within `print`. Raises `ValueError` for one that cannot be read."""
    if not isinstance(node, ast.Call):
        return None
    function = node.func
    if isinstance(function, ast.Attribute):
        of_tool = function.attr == "call" and isinstance(function.value, ast.Name)
        name = function.value.id if of_tool and isinstance(function.value, ast.Name) else function.attr
    else:
        name = function.id if isinstance(function, ast.Name) else ""
    if name == "print" and len(node.args) == 1:
        return _call_of(node.args[0])
    if node.args:
        raise ValueError
    return name, json.dumps({str(given.arg): _literal(given.value) for given in node.keywords})


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in _CONSTANTS:
        return _CONSTANTS[node.id]
    return ast.literal_eval(node)


def _is_text(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "string"


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
