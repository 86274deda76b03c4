"""A generateContent request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tilores_core.testing.fake_upstream.dialects.base import count
from tilores_core.testing.fake_upstream.values import Asked, Problem, Tool

_PER_CONTENT = 3


def read_contents(body: Mapping[str, Any], model: str, *, streamed: bool) -> Asked:
    contents = _contents(body)
    config: Mapping[str, Any] = body.get("generationConfig") or {}
    _check_temperature(config.get("temperature"))
    texts = [text_of(content) for content in contents]
    asking = [text for c, text in zip(contents, texts, strict=True) if c.get("role", "user") == "user" and text]
    tools = _tools(body.get("tools"))
    return Asked(
        model=model,
        streamed=streamed,
        question=asking[-1] if asking else "",
        words=count(text_of(body.get("systemInstruction") or {}), *texts) + _PER_CONTENT * len(contents),
        body=body,
        tool_result=_result(contents[-1]),
        tools=tools,
        choice=_choice(body.get("toolConfig"), tools),
        max_tokens=_limit(config.get("maxOutputTokens")),
        stop=tuple(config.get("stopSequences") or ()),
        schema=_schema(config),
        images=sum(("inlineData" in part or "fileData" in part) for c in contents for part in c["parts"]),
    )


def text_of(content: Mapping[str, Any]) -> str:
    return " ".join(str(part["text"]) for part in content.get("parts") or [] if part.get("text"))


def _contents(body: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise Problem("field", "* GenerateContentRequest.contents: contents is not specified", param="contents")
    for number, content in enumerate(contents):
        if not isinstance(content, dict) or content.get("role", "user") not in ("user", "model", "function"):
            raise Problem("field", "Please use a valid role: user, model.", param=f"contents[{number}].role")
        if not content.get("parts"):
            text = f"* GenerateContentRequest.contents[{number}].parts: contents.parts must not be empty."
            raise Problem("field", text, param=f"contents[{number}].parts")
    return contents


def _check_temperature(value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2):
        raise Problem(
            "field", "* GenerateContentRequest.generation_config.temperature: must be in the range [0.0, 2.0]"
        )


def _limit(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Problem("field", "* GenerateContentRequest.generation_config.max_output_tokens: must be positive.")
    return value


def _tools(tools: Any) -> tuple[Tool, ...]:
    declared = [made for tool in tools or [] for made in tool.get("functionDeclarations") or []]
    # Google takes the names of fields in both spellings, and its SDK sends both.
    schemas = ("parametersJsonSchema", "parameters_json_schema", "parameters")
    return tuple(
        Tool(name=made["name"], parameters=next((made[key] for key in schemas if made.get(key)), {}))
        for made in declared
    )


def _choice(config: Any, tools: tuple[Tool, ...]) -> str | None:
    calling = (config or {}).get("functionCallingConfig") or {}
    mode = str(calling.get("mode", "AUTO")).upper()
    if mode == "NONE":
        return "none"
    if mode != "ANY":
        return None
    names = calling.get("allowedFunctionNames") or []
    if any(name not in [tool.name for tool in tools] for name in names):
        raise Problem("field", "Function calling config: allowed_function_names is not among the declarations.")
    return str(names[0]) if len(names) == 1 else "any"


def _result(content: Mapping[str, Any]) -> str | None:
    found = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
    return orjson.dumps(found[-1].get("response")).decode() if found else None


def _schema(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if config.get("responseMimeType") != "application/json":
        return None
    return config.get("responseJsonSchema") or config.get("responseSchema") or {}
