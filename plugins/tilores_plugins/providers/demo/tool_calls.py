"""Calls of tools: which one, and arguments taken from the question as well as its words allow."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"\+?\d[\d\s()/-]{5,}\d")
_IDENTIFIER = re.compile(r"\b(?=[\w-]*\d)[A-Za-z][\w-]{2,}\b")
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_PERSON = re.compile(
    r"\b(?!(?:Does|Find|Get|Give|Is|Look|Open|Please|Show|Tell|What|Who)\b)[A-Z][\w'-]+(?: [A-Z][\w'-]+)+"
)

# Words in a parameter's name, and what of the question answers to it; the first that is found in the name counts.
_BY_NAME: Final = (
    (("email", "mail"), _EMAIL),
    (("phone", "mobile"), _PHONE),
    (("date", "birth", "dob"), _DATE),
    (("id", "number", "reference"), _IDENTIFIER),
    (("name", "person", "customer", "who"), _PERSON),
)


def find_forced_tool(tools: Sequence[Mapping[str, Any]], choice: Any) -> Mapping[str, Any] | None:
    """The function (OpenAI shape, without its envelope) that `choice` makes the model call, or None.

    `choice` is what `tool_choice` may be: "required" (LangChain also says "any" and True), a function's name, or
    the object naming one. "auto" and "none" force nothing.
    """
    if not tools or not choice or choice in ("auto", "none"):
        return None
    functions: list[Mapping[str, Any]] = [tool.get("function", tool) for tool in tools]
    if choice is True or choice in ("required", "any"):
        return functions[0]
    wanted = choice.get("function", choice).get("name") if isinstance(choice, Mapping) else choice
    return next((function for function in functions if function.get("name") == wanted), None)


def call(function: Mapping[str, Any], question: str) -> dict[str, Any]:
    """A LangChain tool call of `function`. The same question gives the same call, id included."""
    arguments = _fill_arguments(function.get("parameters") or {}, question)
    name = str(function.get("name", ""))
    digest = hashlib.sha256(f"{name}\0{question}\0{json.dumps(arguments, sort_keys=True)}".encode()).hexdigest()
    return {"type": "tool_call", "id": f"call_{digest[:24]}", "name": name, "args": arguments}


def _fill_arguments(schema: Mapping[str, Any], question: str) -> dict[str, Any]:
    required = schema.get("required") or ()
    filled: dict[str, Any] = {}
    for name, described in (schema.get("properties") or {}).items():
        value = _find_argument(name, described, question)
        if value is None and name in required:
            value = _fallback(described, question)
        if value is not None:
            filled[name] = value
    return filled


def _find_argument(name: str, described: Mapping[str, Any], question: str) -> Any:
    if "enum" in described:
        lowered = question.lower()
        return next((one for one in described["enum"] if str(one).lower() in lowered), None)
    kind = described.get("type", "string")
    if kind in ("integer", "number"):
        match = _NUMBER.search(question)
        return (int(float(match[0])) if kind == "integer" else float(match[0])) if match else None
    if kind != "string":
        return None
    words = set(re.split(r"[\W_]+", name.lower()))
    for known, pattern in _BY_NAME:
        if not words.isdisjoint(known):
            match = pattern.search(question)
            return match[0].strip() if match else None
    return question


def _fallback(described: Mapping[str, Any], question: str) -> Any:
    if described.get("enum"):
        return described["enum"][0]
    kind = described.get("type", "string")
    empty: dict[str, Any] = {"integer": 0, "number": 0.0, "boolean": True, "array": []}
    if kind == "object":
        return _fill_arguments(described, question)
    return empty.get(kind, question)
