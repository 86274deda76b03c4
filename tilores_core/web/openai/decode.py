"""The body of `POST /v1/chat/completions`: bytes in, one checked request out."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from operator import attrgetter
from typing import Any, Final

import orjson
from msgspec import Raw, Struct

from tilores_core.contracts import Message
from tilores_core.errors import InvalidRequestError
from tilores_core.llm.parameters import SAMPLER_PARAMETERS, SERVER_PARAMETERS
from tilores_core.settings import ChatTable
from tilores_core.web.bodies import cache_control, convert, flag, identifier, nests_deeper, read_json, seconds
from tilores_core.web.openai.body import (
    NULL,
    CompletionBody,
    Config,
    FunctionTool,
    JsonFormat,
    MessageBody,
    Metadata,
    NamedFunction,
    ParametersBody,
    SchemaFormat,
    ServerParameters,
    TextFormat,
    Tool,
    ToolChoice,
)
from tilores_core.web.openai.messages import KINDS, MAX_DEPTH, invalid, open_json, read_messages
from tilores_core.web.openai.other_keys import read_body
from tilores_core.web.request import ChatRequest, check_limits

_PASSED: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "reasoning_effort")
_UNANSWERABLE: Final = (
    *("logprobs", "top_logprobs", "audio", "web_search_options", "enable_search", "search_parameters"),
    *("models", "route", "plugins"),  # an operator says which models are asked, and that they know no more
)
_servers = attrgetter(*SERVER_PARAMETERS, "extra_body")
_NONE_OF_THEM: Final = (None,) * (len(SERVER_PARAMETERS) + 1)
_FIXES: Final = {
    "": "send an object with model and messages",
    "model": "GET /v1/models lists the names",
    "messages": "send at least one message with role and content",
    "n": "send one request for each answer you want",
    "*.role": "use one of system, developer, user, assistant, tool, function",
    "*.type": KINDS,
    "*.function": 'send {"type": "function", "function": {"name": …, "parameters": …}}',
    "response_format.type": "use one of text, json_object, json_schema",
    "tool_choice.type": "use function; which tools may be called is said by tools alone",
    "tool_choice": 'use "none", "auto", "required" or an object that names a function',
}
_NO_METADATA: Final = Metadata()
# AnythingLLM appends what it found for this turn to its system prompt; that part changes from turn to turn.
_RETRIEVED: Final = "\nContext:\n[CONTEXT 0]:"

HEADERS: Final = (b"x-customer-id", b"x-session-id", b"cache-control", b"user-agent")
"""The headers that a decoded request depends on, besides its body."""


class CompletionRequest(Struct):
    """One completion request. `include_usage` is set only together with `stream`.

    `usage_on_finish`: the client stops reading at the finish chunk, so that chunk must carry the usage too. Not
    for all clients: LangChain's adds up what it finds in the chunks and would count twice. `functions`: the client
    offers those in place of tools, and looks for a call where the older protocol has it.
    """

    chat: ChatRequest
    stream: bool = False
    include_usage: bool = False
    usage_on_finish: bool = False
    functions: bool = False


def decode_completion(body: bytes, headers: Mapping[bytes, bytes], limits: ChatTable) -> CompletionRequest:
    """Check a request body and its headers (names in lower case).

    Raises `InvalidRequestError` whose `param` is the path of the first thing that is wrong, such as
    `messages[1].content[0].type`, and nothing else.
    """
    data, passed = read_body(body, _FIXES)
    if data.model.isspace():
        raise invalid("model", "must be the name of a model", _FIXES["model"])
    messages = check_limits(read_messages(data.messages), limits, "messages")
    chat = ChatRequest(messages=messages, model=data.model, parameters=_parameters(data, passed))
    _read_context(data, headers, chat)
    if chat.session_id is None:
        chat.session_id = derive_session(messages)
    functions = bool(data.functions) and data.tools is None
    if not data.stream:
        return CompletionRequest(chat, functions=functions)
    usage = data.stream_options is not None and bool(data.stream_options.include_usage)
    stops_early = usage and headers.get(b"user-agent", b"").startswith(b"AnythingLLM")
    return CompletionRequest(chat, stream=True, include_usage=usage, usage_on_finish=stops_early, functions=functions)


def decode_messages(value: object) -> tuple[Message, ...]:
    """The messages of a decoded body. Raises `InvalidRequestError` with paths from `messages`."""
    if not value:
        raise invalid("messages", "must be a list of at least one message", _FIXES["messages"])
    return read_messages(read_json(list[MessageBody], _dump(value, "messages"), "messages", _FIXES))


def decode_parameters(value: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a decoded body. Raises `InvalidRequestError`."""
    return _parameters(read_json(ParametersBody, _dump(value, "parameters"), fixes=_FIXES), {})


def _dump(value: object, at: str) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise invalid(at, f"cannot be written as JSON: {error}") from None


# --- parameters ----------------------------------------------------------------------------------------------


def _parameters(body: ParametersBody, passed: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were given and mean something, under OpenAI's names; `max_completion_tokens` as `max_tokens`. And
    those that are `passed` on as they are."""
    _refuse_unanswerable(body)
    parameters: dict[str, Any] = {name: value for name in _PASSED if (value := getattr(body, name)) is not None}
    for name in ("max_tokens", "max_completion_tokens"):  # the second wins
        if (most := getattr(body, name)) == 0:
            raise invalid(name, "must be at least 1", "leave it out for no limit")
        if most is not None and most > 0:
            parameters["max_tokens"] = most
    if body.stop and (stops := [text for text in ([body.stop] if isinstance(body.stop, str) else body.stop) if text]):
        parameters["stop"] = stops
    if body.logit_bias:
        parameters["logit_bias"] = body.logit_bias
    if body.verbosity is not None and body.verbosity != "medium":
        parameters["verbosity"] = body.verbosity
    # Text is the default: a model without structured output can do it too, and must not be asked whether it can.
    if body.response_format is not None and not isinstance(body.response_format, TextFormat):
        parameters["response_format"] = _response_format(body.response_format)
    _add_tools(body, parameters)
    if _servers(body) != _NONE_OF_THEM:
        _add_server_parameters(body, parameters)
    if passed:
        parameters.update(passed)
    return parameters


def _add_server_parameters(body: ParametersBody, parameters: dict[str, Any]) -> None:
    """What servers of open models understand; a provider that cannot say it to its model refuses it."""
    within = body.extra_body or {}
    if unknown := within.keys() - {*SERVER_PARAMETERS, *SAMPLER_PARAMETERS}:
        at = f"extra_body.{min(unknown)[:100]}"
        raise invalid(at, "is not known here", "send what is OpenAI's in the body itself, and leave out the rest")
    for given, at in ((body, ""), (convert(ServerParameters, within, "extra_body"), "extra_body.")):
        for name in SERVER_PARAMETERS:
            if (value := getattr(given, name)) is not None:
                parameters[name] = _check_depth(value, f"{at}{name}")
    for name in within.keys() & {*SAMPLER_PARAMETERS}:
        parameters[name] = _check_depth(within[name], f"extra_body.{name}")
    effort = parameters.get("reasoning", {}).get("effort")
    if len(parameters.get("reasoning", ())) == 1 and isinstance(effort, str):  # OpenRouter's way to say the same
        parameters.setdefault("reasoning_effort", effort)
        del parameters["reasoning"]


def _check_depth(value: Any, at: str) -> Any:
    if nests_deeper(value, MAX_DEPTH):
        raise invalid(at, f"must not be nested more than {MAX_DEPTH} deep", "send it flatter")
    return value


def _refuse_unanswerable(body: ParametersBody) -> None:
    """What a reply of this server cannot hold is refused rather than dropped in silence."""
    for name in _UNANSWERABLE:
        value = getattr(body, name)
        if value and value is not NULL and value != NULL:
            raise invalid(name, "is not available from this server", f"leave {name} out")
    if body.modalities is not None and body.modalities != ["text"]:
        raise invalid("modalities", 'must be ["text"]: this server answers with text', "leave modalities out")


def _response_format(wanted: JsonFormat | SchemaFormat) -> dict[str, Any]:
    if isinstance(wanted, JsonFormat):
        schema = open_json(wanted.schema, "response_format.schema")
        if schema is None:
            return {"type": "json_object"}
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    schema = {key: open_json(value, "response_format.json_schema") for key, value in wanted.json_schema.items()}
    return {"type": "json_schema", "json_schema": schema}


def _add_tools(body: ParametersBody, parameters: dict[str, Any]) -> None:
    """Tools, or the older `functions`; what chooses among them means nothing without any."""
    tools: list[dict[str, Any]] = []
    if body.tools is not None:
        for index, tool in enumerate(body.tools):
            at = f"tools[{index}]"
            if tool.type == "function" or tool.input_schema != NULL:
                if tool.name is not None and tool.function == NULL:
                    tools.append(_function_tool(tool, tool.name, at))
                    continue
                function = read_json(FunctionTool, bytes(tool.function), f"{at}.function", _FIXES)
                tools.append(_function_tool(function, function.name, f"{at}.function"))
            elif tool.type == "custom":
                raise invalid(f"{at}.type", "must be function", "offer it as a function")
    else:
        for index, function in enumerate(body.functions or ()):
            tools.append(_function_tool(function, function.name, f"functions[{index}]"))
    choice: str | ToolChoice | None = body.tool_choice
    at = "tool_choice.function.name"
    if isinstance(choice, ToolChoice):
        if choice.name is not None and choice.function is None:
            choice.function = NamedFunction(choice.name)
        choice = choice if choice.type in ("function", "tool") else choice.type
    if not tools:
        if choice not in (None, "none", "auto"):
            raise invalid("tool_choice", "chooses among tools, and there are none", "send tools, or leave it out")
        return
    parameters["tools"] = tools
    if choice is None and body.function_call is not None:
        called, at = body.function_call, "function_call.name"
        choice = called if isinstance(called, str) else ToolChoice(type="function", function=called)
    if isinstance(choice, ToolChoice):
        if choice.function is None:
            raise invalid("tool_choice.function", "is required", "name the function")
        name = choice.function.name
        if not any(tool["function"]["name"] == name for tool in tools):
            raise invalid(at, "must be the name of one of the tools")
        parameters["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif choice is not None:
        parameters["tool_choice"] = "required" if choice == "any" else choice
    if body.parallel_tool_calls is not None:
        parameters["parallel_tool_calls"] = body.parallel_tool_calls


def _function_tool(function: FunctionTool | Tool, name: str, at: str) -> dict[str, Any]:
    kept: dict[str, Any] = {"name": name}
    if function.description is not None:
        kept["description"] = function.description
    key = next((key for key in ("input_schema", "inputSchema") if getattr(function, key) != NULL), "parameters")
    if (schema := open_json(getattr(function, key), f"{at}.{key}")) is not None:
        if not isinstance(schema, dict):
            raise invalid(f"{at}.{key}", "must be an object")
        kept["parameters"] = schema
    if function.strict is not None:
        kept["strict"] = function.strict
    return {"type": "function", "function": kept}


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
        raise invalid(name, "must be UTF-8 text") from None


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
