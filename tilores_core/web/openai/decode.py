"""The body of `POST /v1/chat/completions`: bytes in, one checked request out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import orjson
from msgspec import Raw

from tilores_core.contracts import Message
from tilores_core.errors import InvalidRequestError
from tilores_core.web.bodies import cache_control, flag, identifier, nests_deeper, read_json, seconds
from tilores_core.web.openai.body import (
    NULL,
    AudioPart,
    CalledFunction,
    CompletionBody,
    Config,
    FunctionTool,
    ImagePart,
    JsonFormat,
    MessageBody,
    Metadata,
    ParametersBody,
    Part,
    RefusalPart,
    SchemaFormat,
    TextFormat,
    TextPart,
    ToolChoice,
)
from tilores_core.web.request import ChatRequest, Limits, check_limits

_MAX_DEPTH: Final = 64
_PASSED: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "reasoning_effort")
_UNANSWERABLE: Final = ("logprobs", "top_logprobs", "audio", "web_search_options")
_FIXES: Final = {
    "": "send an object with model and messages",
    "model": "GET /v1/models lists the names",
    "messages": "send at least one message with role and content",
    "n": "send one request for each answer you want",
    "*.role": "use one of system, developer, user, assistant, tool, function",
    "*.type": "use one of text, image_url, input_audio for a part, function for a tool",
    "response_format.type": "use one of text, json_object, json_schema",
    "tool_choice.type": "use function; which tools may be called is said by tools alone",
    "tool_choice": 'use "none", "auto", "required" or an object that names a function',
}
_NO_METADATA: Final = Metadata()
# AnythingLLM appends what it found for this turn to its system prompt; that part changes from turn to turn.
_RETRIEVED: Final = "\nContext:\n[CONTEXT 0]:"

HEADERS: Final = (b"x-customer-id", b"x-session-id", b"cache-control", b"user-agent")
"""The headers that a decoded request depends on, besides its body."""


@dataclass(slots=True)
class CompletionRequest:
    """One completion request. `include_usage` is set only together with `stream`.

    `usage_on_finish`: the client stops reading at the finish chunk, so that chunk must carry the usage too. Not
    for all clients: LangChain's adds up what it finds in the chunks and would count twice.
    """

    chat: ChatRequest
    stream: bool = False
    include_usage: bool = False
    usage_on_finish: bool = False


def decode_completion(body: bytes, headers: Mapping[bytes, bytes], limits: Limits) -> CompletionRequest:
    """Check a request body and its headers (names in lower case).

    Raises `InvalidRequestError` whose `param` is the path of the first thing that is wrong, such as
    `messages[1].content[0].type`, and nothing else.
    """
    data = read_json(CompletionBody, body, fixes=_FIXES)
    if data.model.isspace():
        raise _invalid("model", "must be the name of a model", _FIXES["model"])
    messages = check_limits(_messages(data.messages), limits, "messages")
    chat = ChatRequest(messages=messages, model=data.model, parameters=_parameters(data))
    _read_context(data, headers, chat)
    if chat.session_id is None:
        chat.session_id = derive_session(messages)
    if not data.stream:
        return CompletionRequest(chat)
    usage = data.stream_options is not None and bool(data.stream_options.include_usage)
    stops_early = usage and headers.get(b"user-agent", b"").startswith(b"AnythingLLM")
    return CompletionRequest(chat, stream=True, include_usage=usage, usage_on_finish=stops_early)


def decode_messages(value: object) -> tuple[Message, ...]:
    """The messages of a decoded body. Raises `InvalidRequestError` with paths from `messages`."""
    if not value:
        raise _invalid("messages", "must be a list of at least one message", _FIXES["messages"])
    return _messages(read_json(list[MessageBody], _dump(value, "messages"), "messages", _FIXES))


def decode_parameters(value: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a decoded body. Raises `InvalidRequestError`."""
    return _parameters(read_json(ParametersBody, _dump(value, "parameters"), fixes=_FIXES))


def _dump(value: object, at: str) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise _invalid(at, f"cannot be written as JSON: {error}") from None


def _invalid(at: str, what: str, fix: str | None = None) -> InvalidRequestError:
    return InvalidRequestError(f"{at} {what}", param=at, fix=fix)


# --- messages ------------------------------------------------------------------------------------------------


def _messages(bodies: Sequence[MessageBody]) -> tuple[Message, ...]:
    """Only the keys that mean something, so that equal conversations are equal values."""
    messages: list[Message] = []
    for index, body in enumerate(bodies):
        _add_message(body, f"messages[{index}]", messages)
    return tuple(messages)


def _add_message(body: MessageBody, at: str, messages: list[Message]) -> None:
    role = body.role
    if role == "function":
        _add_function_result(body, at, messages)
        return
    if body.audio is not NULL and body.audio != NULL:
        raise _invalid(
            f"{at}.audio", "cannot be known here: this server answers with text", "send its text as content"
        )
    message: Message = {"role": "system" if role == "developer" else role}
    calls = _tool_calls(body, at, len(messages)) if role == "assistant" else []
    content = body.content
    if role == "assistant" and not content and body.refusal:
        content = body.refusal
    if not content and role != "user" and not calls:
        content = ""  # a tool without a result, an answer that was stopped
    message["content"] = content if type(content) is str else _content(content, at, may_be_absent=bool(calls))
    if body.name:
        message["name"] = body.name
    if calls:
        message["tool_calls"] = calls
        _add_state(body, at, message)
    if role == "tool":
        if not body.tool_call_id:
            raise _invalid(f"{at}.tool_call_id", "must be the id of the tool call that this answers")
        message["tool_call_id"] = body.tool_call_id
    messages.append(message)


def _content(
    value: str | list[Part] | None, at: str, *, may_be_absent: bool = False
) -> str | list[dict[str, Any]] | None:
    if isinstance(value, str):
        return value
    if not value:
        if may_be_absent:
            return None
        raise _invalid(f"{at}.content", "must be a string or a list of at least one part")
    parts = [_part(part) for part in value]
    # One text part means the same as the text alone, and the same question must be the same value.
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return parts


def _part(part: Part) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case RefusalPart():
            return {"type": "text", "text": part.refusal}
        case ImagePart():
            given = part.image_url
            if isinstance(given, str):
                return {"type": "image_url", "image_url": {"url": given}}
            image = {"url": given.url}
            if given.detail is not None:
                image["detail"] = given.detail
            return {"type": "image_url", "image_url": image}
        case AudioPart():
            audio = part.input_audio
            return {"type": "input_audio", "input_audio": {"data": audio.data, "format": audio.format}}


def _add_state(body: MessageBody, at: str, message: Message) -> None:
    """What a provider must see again with the tools' results: it is kept as it came."""
    if body.reasoning_content is not None:
        message["reasoning_content"] = body.reasoning_content
    if body.reasoning is not None:
        message["reasoning"] = body.reasoning
    if (details := _open_json(body.reasoning_details, f"{at}.reasoning_details")) is not None:
        if not isinstance(details, list):
            raise _invalid(f"{at}.reasoning_details", "must be a list")
        message["reasoning_details"] = details


def _tool_calls(body: MessageBody, at: str, position: int) -> list[dict[str, Any]]:
    if body.tool_calls is not None:
        calls = []
        for index, given in enumerate(body.tool_calls):
            call = _call(given.id, given.function)
            at_extra = f"{at}.tool_calls[{index}].extra_content"
            if (extra := _open_json(given.extra_content, at_extra)) is not None:
                call["extra_content"] = extra
            calls.append(call)
        return calls
    return [] if body.function_call is None else [_call(f"call_{position}", body.function_call)]


def _call(identifier: str, function: CalledFunction) -> dict[str, Any]:
    called = {"name": function.name, "arguments": function.arguments or ""}
    return {"id": identifier, "type": "function", "function": called}


def _add_function_result(body: MessageBody, at: str, messages: list[Message]) -> None:
    """The result of the older `function_call` as a tool's result.

    It has no id to say which call it answers; models insist on one, so a result without a call gets a call.
    """
    if not body.name:
        raise _invalid(f"{at}.name", "must be the name of the function")
    content = _content(body.content, at)
    calls = messages[-1].get("tool_calls") if messages else None
    if calls and len(calls) == 1 and calls[0]["function"]["name"] == body.name:
        call_id: str = calls[0]["id"]
    else:
        call_id = f"call_{len(messages)}"
        call = _call(call_id, CalledFunction(name=body.name, arguments="{}"))
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
    messages.append({"role": "tool", "content": content, "name": body.name, "tool_call_id": call_id})


# --- parameters ----------------------------------------------------------------------------------------------


def _parameters(body: ParametersBody) -> dict[str, Any]:
    """Those that were given and mean something, under OpenAI's names; `max_completion_tokens` as `max_tokens`."""
    _refuse_unanswerable(body)
    parameters: dict[str, Any] = {name: value for name in _PASSED if (value := getattr(body, name)) is not None}
    if (most := body.max_completion_tokens or body.max_tokens) is not None:
        parameters["max_tokens"] = most
    if body.stop:
        parameters["stop"] = [body.stop] if isinstance(body.stop, str) else body.stop
    if body.logit_bias:
        parameters["logit_bias"] = body.logit_bias
    if body.verbosity is not None and body.verbosity != "medium":
        parameters["verbosity"] = body.verbosity
    # Text is the default: a model without structured output can do it too, and must not be asked whether it can.
    if body.response_format is not None and not isinstance(body.response_format, TextFormat):
        parameters["response_format"] = _response_format(body.response_format)
    _add_tools(body, parameters)
    return parameters


def _refuse_unanswerable(body: ParametersBody) -> None:
    """What a reply of this server cannot hold is refused rather than dropped in silence."""
    for name in _UNANSWERABLE:
        value = getattr(body, name)
        if value and value is not NULL and value != NULL:
            raise _invalid(name, "is not available from this server", f"leave {name} out")
    if body.modalities is not None and body.modalities != ["text"]:
        raise _invalid("modalities", 'must be ["text"]: this server answers with text', "leave modalities out")


def _response_format(wanted: JsonFormat | SchemaFormat) -> dict[str, Any]:
    if isinstance(wanted, JsonFormat):
        return {"type": "json_object"}
    schema = {key: _open_json(value, "response_format.json_schema") for key, value in wanted.json_schema.items()}
    return {"type": "json_schema", "json_schema": schema}


def _add_tools(body: ParametersBody, parameters: dict[str, Any]) -> None:
    """Tools, or the older `functions`; what chooses among them means nothing without any."""
    tools: list[dict[str, Any]] = []
    if body.tools is not None:
        for index, tool in enumerate(body.tools):
            if tool.type == "function":
                at = f"tools[{index}].function"
                tools.append(_function_tool(read_json(FunctionTool, bytes(tool.function), at), at))
            elif tool.type == "custom":
                raise _invalid(f"tools[{index}].type", "must be function", "offer it as a function")
    else:
        for index, function in enumerate(body.functions or ()):
            tools.append(_function_tool(function, f"functions[{index}]"))
    if not tools:
        if body.tool_choice is not None and body.tool_choice not in ("none", "auto"):
            raise _invalid("tool_choice", "chooses among tools, and there are none", "send tools, or leave it out")
        return
    parameters["tools"] = tools
    choice, at = body.tool_choice, "tool_choice.function.name"
    if choice is None and body.function_call is not None:
        called, at = body.function_call, "function_call.name"
        choice = called if isinstance(called, str) else ToolChoice(type="function", function=called)
    if isinstance(choice, ToolChoice):
        name = choice.function.name
        if not any(tool["function"]["name"] == name for tool in tools):
            raise _invalid(at, "must be the name of one of the tools")
        parameters["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif choice is not None:
        parameters["tool_choice"] = choice
    if body.parallel_tool_calls is not None:
        parameters["parallel_tool_calls"] = body.parallel_tool_calls


def _function_tool(function: FunctionTool, at: str) -> dict[str, Any]:
    kept: dict[str, Any] = {"name": function.name}
    if function.description is not None:
        kept["description"] = function.description
    if (schema := _open_json(function.parameters, f"{at}.parameters")) is not None:
        if not isinstance(schema, dict):
            raise _invalid(f"{at}.parameters", "must be an object")
        kept["parameters"] = schema
    if function.strict is not None:
        kept["strict"] = function.strict
    return {"type": "function", "function": kept}


def _open_json(raw: Raw, at: str) -> Any:
    """JSON of any shape that is written out again, for keys and for providers."""
    try:
        value = orjson.loads(bytes(raw))
    except orjson.JSONDecodeError as error:
        raise _invalid(at, f"is not valid JSON: {error.msg}") from None
    if nests_deeper(value, _MAX_DEPTH):
        raise _invalid(at, f"must not be nested more than {_MAX_DEPTH} deep", "send it flatter")
    return value


# --- whose customer, which session, how fresh ------------------------------------------------------------------


def _read_context(data: CompletionBody, headers: Mapping[bytes, bytes], chat: ChatRequest) -> None:
    """Fill in what `metadata`, `config.configurable`, `user` and the headers say; the first that says something wins.

    Only an explicit session id wins over `user`, so the header does too.
    """
    if (header := headers.get(b"cache-control")) is not None:
        chat.max_age, chat.no_cache, chat.no_store = cache_control(header)
    metadata = data.metadata or _NO_METADATA
    configurable = _NO_METADATA if data.config == NULL else _configurable(data.config)
    if configurable is not _NO_METADATA or metadata is not _NO_METADATA:
        for said, at in ((configurable, "config.configurable"), (metadata, "metadata")):
            chat.customer_id = identifier(said.customer_id, f"{at}.customer_id") or chat.customer_id
            chat.session_id = identifier(said.session_id, f"{at}.session_id") or chat.session_id
            if said.max_age is not None:
                chat.max_age = seconds(said.max_age, f"{at}.max_age")
            if said.no_cache is not None:
                chat.no_cache = flag(said.no_cache, f"{at}.no_cache")
    if (header := headers.get(b"x-customer-id")) is not None:
        named = _header_text(header, "X-Customer-Id")
        chat.customer_id = chat.customer_id or named
    if (header := headers.get(b"x-session-id")) is not None:
        named = _header_text(header, "X-Session-Id")
        chat.session_id = chat.session_id or named
    # Open WebUI's pipelines send an object as user.
    if chat.session_id is None and data.user != NULL and bytes(data.user)[:1] == b'"':
        chat.session_id = identifier(read_json(str, bytes(data.user), "user"), "user")


def _configurable(raw: Raw) -> Metadata:
    try:
        config = read_json(Config, bytes(raw), "config")
    except InvalidRequestError as error:
        # In this protocol the key is unknown, and so ignored, unless it has LangServe's shape.
        if error.param in ("config", "config.configurable"):
            return _NO_METADATA
        raise
    return config.configurable or _NO_METADATA


def _header_text(value: bytes, name: str) -> str | None:
    try:
        return identifier(value.decode().strip(), name)
    except UnicodeDecodeError:
        raise _invalid(name, "must be UTF-8 text") from None


def derive_session(messages: tuple[Message, ...]) -> str:
    """32 hex digits that stay the same while a conversation grows: of its first system and first user message."""
    system = user = ""
    for message in messages:
        if message["role"] == "system" and not system:
            system = _text_of(message).partition(_RETRIEVED)[0]
        elif message["role"] == "user":
            user = _text_of(message)
            break
    # The length keeps "ab" + "c" apart from "a" + "bc".
    return sha256(f"{len(system)}:{system}{user}".encode()).hexdigest()[:32]


def _text_of(message: Message) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else orjson.dumps(content).decode()
