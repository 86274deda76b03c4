"""Providers that speak OpenAI's chat completions: OpenAI, Groq, Mistral, DeepSeek, OpenRouter, vLLM and others."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Final

import orjson

from tilores_core.contracts import CompletionPiece, CompletionRequest, Message
from tilores_core.errors import InvalidRequestError
from tilores_core.llm.catalogue import Catalogue, ModelData
from tilores_core.llm.failures import UpstreamError
from tilores_core.llm.http_address import HttpAddress
from tilores_core.llm.normalizer import OPAQUE, OWN_KEYS
from tilores_core.llm.openai_client import OpenAIClient
from tilores_core.llm.parameters import SAMPLER_PARAMETERS, SERVER_PARAMETERS, Field, Fields
from tilores_core.llm.provider import ChatProvider
from tilores_core.llm.settings import ProviderSettings
from tilores_core.llm.transport import library_of

_NOT_PLAIN: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf", "enum", "const"})

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def _write_tools(tools: Sequence[Mapping[str, Any]], model: ModelData) -> Mapping[str, Any]:
    return {"tools": [_as_object(tool) for tool in tools]}


def _as_object(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tool with an object's schema where it has one of nothing: some servers want its type and its properties."""
    schema = tool["function"].get("parameters")
    if (
        not isinstance(schema, Mapping)
        or ("type" in schema and "properties" in schema)
        or not _NOT_PLAIN.isdisjoint(schema)
    ):
        return tool
    if schema.get("type", "object") != "object":
        return tool
    return {**tool, "function": {**tool["function"], "parameters": {"type": "object", "properties": {}, **schema}}}


OPENAI_FIELDS: Final[Mapping[str, Field]] = {
    name: name
    for name in (
        "temperature",
        "top_p",
        "max_tokens",
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "reasoning_effort",
        "verbosity",
        "response_format",
        "tool_choice",
        "parallel_tool_calls",
    )
} | {"tools": _write_tools}
"""The protocol's parameters, each under its own name."""

SERVER_FIELDS: Final[Mapping[str, Field]] = {
    **OPENAI_FIELDS,
    **{name: name for name in (*SERVER_PARAMETERS, *SAMPLER_PARAMETERS)},
}
"""Those of OpenAI's protocol and of servers of open models."""

_NO_NAME: Final = re.compile(r"[\s<|\\/>]+")  # what OpenAI takes in no name
_USAGE_TOO: Final = {"include_usage": True}
# Keys that a refusal makes us replace, by what it says then.
_REPLACED: Final = {"max_tokens": "max_completion_tokens", "stream_options": "stream_options"}
_THOUGHTS_TOO: Final = "thoughts of every answer"
_OF_MESSAGES: Final = frozenset({"reasoning_content", "reasoning", "reasoning_details", "thinking_blocks", "name"})
_FORBIDDEN: Final = re.compile(
    "unsupported|not (supported|permitted|allowed)|forbidden|unrecognized|unexpected|unknown", re.IGNORECASE
)
_KEY: Final = re.compile(r"\w+")
_MODELS_KEPT: Final = 256


class OpenAIProtocolProvider(ChatProvider):
    """A `ChatProvider` at `default_base_url` or, when the settings have one, at theirs.

    `parameters` are names of the request's body. `message_state`: which keys of an assistant message that called
    tools go back to this provider; `extra_content`: whether that of a tool call does; `names`: whether it takes the
    names of those who speak. `call_ids`: the form of a call's id, and the length of what stands for one of another
    form.
    """

    default_base_url: ClassVar[str]
    path: ClassVar[str] = "/chat/completions"
    parameters: ClassVar[Fields] = OPENAI_FIELDS
    message_state: ClassVar[Sequence[str]] = ()
    extra_content: ClassVar[bool] = False
    names: ClassVar[bool] = True
    call_ids: ClassVar[tuple[re.Pattern[str], int] | None] = None

    def __init__(self, settings: ProviderSettings, catalogue: Catalogue) -> None:
        super().__init__(settings, catalogue)
        self._client: OpenAIClient | None = None
        self._learnt: dict[str, set[str]] = {}  # by model, keys of the body that are refused

    # --- asked directly

    def complete(self, request: CompletionRequest) -> AsyncGenerator[CompletionPiece]:
        data = self.find(request.model)
        messages = [one if len(one) == 2 and one.get("content") else self.message(one) for one in request.messages]
        body: dict[str, Any] = {"model": data.id, "messages": messages}
        if request.parameters:
            body.update(self.wire_parameters(data, request.parameters))
        body["stream"] = request.stream
        if request.stream:
            body["stream_options"] = _USAGE_TOO
        self.adapt(body, data)
        if self._learnt and (refused := self._learnt.get(data.id)):
            _replace(body, refused)
        return self._connect().complete(_write_body(body))

    async def warm_up(self) -> None:
        self.check_key()
        await self._connect().open()

    def message(self, message: Message) -> dict[str, Any]:
        """A message as it goes over the wire."""
        role, content = message["role"], message.get("content") or ""
        if role == "tool":
            return {
                "role": "tool",
                "content": content,
                "tool_call_id": self._call_id(message.get("tool_call_id", "")),
            }
        written = self._assistant(message, content) if role == "assistant" else {"role": role, "content": content}
        if self.names and (name := message.get("name")):
            written["name"] = _NO_NAME.sub("_", name)[:64]
        return written

    def wire_parameters(self, model: ModelData, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters as keys of the body. Raises `UnsupportedParameterError`."""
        return self.translated(model, parameters)

    def adapt(self, body: dict[str, Any], model: ModelData) -> None:
        """Change a body into what this provider wants otherwise."""

    def read_event(self, event: dict[str, Any]) -> None:
        """Change an event, or a whole reply, into what the protocol says."""

    def _relent(self, error: UpstreamError, body: bytes) -> bytes | None:
        """The request without a key that is refused, and that the caller did not ask for by that name; the refusal is
        remembered. OpenAI's newer models, which Azure serves under any name, take a limit of tokens by its newer name
        alone; some servers do not know `stream_options`, others no thoughts or names in the messages."""
        if error.status_code not in (400, 422):
            return None
        said = str(error.body)
        sent = json.loads(body)  # not by orjson, which makes floats of integers that have more than 64 bits
        refused = {key for key, name in _REPLACED.items() if key in sent and name in said}
        if "reasoning_content" in said and "passed back" in said:
            refused.add(_THOUGHTS_TOO)
        if "messages" in said and _FORBIDDEN.search(said):
            named = set(_KEY.findall(said)) & _OF_MESSAGES
            refused |= {f"messages.{key}" for key in named if any(key in message for message in sent["messages"])}
        if not refused:
            return None
        if len(self._learnt) >= _MODELS_KEPT:  # callers may name models that are in no list
            self._learnt.clear()
        self._learnt.setdefault(sent["model"], set()).update(refused)
        _replace(sent, refused)
        return _write_body(sent)

    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        return {"Authorization": f"Bearer {self.key().get_secret_value()}"}

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()
        await super().aclose()

    def _assistant(self, message: Message, content: Any) -> dict[str, Any]:
        calls = message.get("tool_calls")
        if not calls:
            return {"role": "assistant", "content": content}
        written: dict[str, Any] = {
            "role": "assistant",
            "content": content or None,
            "tool_calls": [self._tool_call(call) for call in calls],
        }
        for key in self.message_state:
            if key in message:
                written[key] = message[key]  # type: ignore[literal-required]
        return written

    def _tool_call(self, call: Mapping[str, Any]) -> dict[str, Any]:
        function = call["function"]
        written: dict[str, Any] = {
            "id": self._call_id(call.get("id")),
            "type": "function",
            # As it was written by the model, in JSON or not: read and written again it might be another number.
            "function": {"name": function["name"], "arguments": function.get("arguments") or "{}"},
        }
        if self.extra_content and "extra_content" in call:
            extra = call["extra_content"]
            if isinstance(extra, dict) and isinstance(own := extra.get(OWN_KEYS), dict):
                written.update((key, own[key]) for key in OPAQUE if key in own)
                extra = {key: value for key, value in extra.items() if key != OWN_KEYS}
            if extra:
                written["extra_content"] = extra
        return written

    def _call_id(self, given: Any) -> Any:
        """The same for a call and its result."""
        if self.call_ids is None or self.call_ids[0].fullmatch(str(given)):
            return given
        return sha256(str(given).encode()).hexdigest()[: self.call_ids[1]]

    def _connect(self) -> OpenAIClient:
        if self._client is None:
            settings = self.settings
            address = HttpAddress(
                (settings.base_url or self.default_base_url) + self.path,
                {"Content-Type": "application/json", "User-Agent": "tilores-core", **self.headers()},
                read_seconds=settings.timeout_seconds,
                connect_seconds=settings.connect_seconds,
                max_connections=settings.max_connections,
            )
            read_event = None if _does_nothing(self) else self.read_event
            self._client = OpenAIClient(address, read_event=read_event, relent=self._relent)
        return self._client

    # --- by LangChain

    def chat_model(self, model: str, parameters: Mapping[str, Any]) -> BaseChatModel:
        data = self.find(model)
        return self.make(data, self.wire_parameters(data, parameters))

    def make(self, model: ModelData, fields: dict[str, Any]) -> BaseChatModel:
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(
            **self.arguments(model), extra_body=fields or None, use_responses_api=False, stream_chunk_timeout=None
        )

    def arguments(self, model: ModelData) -> dict[str, Any]:
        """Arguments of LangChain's class that are not the request's; nothing is left for the environment to say."""
        import openai

        library = library_of(openai)
        return {
            "model": model.id,
            "api_key": self.key(),
            "base_url": self.settings.base_url or self.default_base_url,
            "timeout": self.http.timeout(library),
            "max_retries": 0,
            "stream_usage": True,
            "http_async_client": self.http.async_client(library),
            "http_client": self.http.sync_client(library),
        }


def _replace(body: dict[str, Any], refused: set[str]) -> None:
    for key in refused:
        if key == _THOUGHTS_TOO:
            body["messages"] = with_thoughts(body["messages"])
        elif (name := key.removeprefix("messages.")) != key:
            for message in body["messages"]:
                message.pop(name, None)
        elif key in body:
            value = body.pop(key)
            if _REPLACED[key] != key:
                body[_REPLACED[key]] = value


def with_thoughts(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every answer with its thoughts, though they be none, as DeepSeek's models want it beside tool calls."""
    return [{"reasoning_content": "", **one} if one["role"] == "assistant" else one for one in messages]


def _does_nothing(provider: OpenAIProtocolProvider) -> bool:
    return type(provider).read_event is OpenAIProtocolProvider.read_event


def _write_body(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # integers of more than 64 bits, text that is not valid Unicode
        pass
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(
            f"the request cannot be written as JSON: {type(error).__name__}", param="messages"
        ) from None
