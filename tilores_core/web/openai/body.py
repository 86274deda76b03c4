"""The body of `POST /v1/chat/completions`, without the keys that `other_keys` reads. Null means absent.

What each key of the OpenAI SDK's request type comes to is in the decoder's test, which compares the two.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Raw, Struct, field

from tilores_core.web.bodies import Count, FilledText, Identifier, Integer, ShortText

Share = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
TokenLimit = Annotated[int, Meta(ge=-1, le=2**63 - 1)]
"""-1 is none, as servers of open models have it."""
CallId = Annotated[str, Meta(max_length=65_536)]
"""Some gateways put the signature of a thought into it."""
NULL: Final = Raw(b"null")
"""Where a key is absent; from a factory, as a default would have to stand in the JSON Schema."""


# --- messages ------------------------------------------------------------------------------------------------


class ImageUrl(Struct):
    url: Annotated[str, Meta(min_length=1)]
    detail: Literal["auto", "low", "high", "original"] | None = None


class InputAudio(Struct):
    data: Annotated[str, Meta(min_length=1)]
    format: ShortText


class TextPart(Struct, tag_field="type", tag="text"):
    text: str


class RefusalPart(Struct, tag_field="type", tag="refusal"):
    """What an assistant said when it refused, coming back as history."""

    refusal: str


class ImagePart(Struct, tag_field="type", tag="image_url"):
    image_url: ImageUrl | FilledText


class InputImagePart(ImagePart, tag="input_image"):
    """As the Responses API has it."""


class AudioPart(Struct, tag_field="type", tag="input_audio"):
    input_audio: InputAudio


class InputTextPart(TextPart, tag="input_text"):
    """As the Responses API has it."""


class OutputTextPart(TextPart, tag="output_text"):
    """As the Responses API has it."""


class LeftOutPart(Struct, tag_field="type"):
    """What LangChain, LibreChat and others keep of an answer beside its text; only an assistant's, and left out: its
    calls stand in `tool_calls` too, and thoughts go back in the keys that they came in."""


class ThinkingPart(LeftOutPart, tag="thinking"):
    pass


class RedactedThinkingPart(LeftOutPart, tag="redacted_thinking"):
    pass


class ThinkPart(LeftOutPart, tag="think"):
    pass


class ReasoningPart(LeftOutPart, tag="reasoning"):
    pass


class ReasoningContentPart(LeftOutPart, tag="reasoning_content"):
    pass


class ToolUsePart(LeftOutPart, tag="tool_use"):
    pass


class ToolCallPart(LeftOutPart, tag="tool_call"):
    pass


LeftOut = ThinkingPart | RedactedThinkingPart | ThinkPart | ReasoningPart | ReasoningContentPart | ToolUsePart
Part = (
    TextPart
    | InputTextPart
    | OutputTextPart
    | RefusalPart
    | ImagePart
    | InputImagePart
    | AudioPart
    | LeftOut
    | ToolCallPart
)


class CalledFunction(Struct):
    name: ShortText
    arguments: str | dict[str, Raw] | None = None


class ToolCall(Struct):
    """A tool call in the history. One without an id, as Gemini's OpenAI mode has them, is paired by place.

    `extra_content`: what the provider must see again with the call, as an answer of this server gave it.
    """

    function: CalledFunction
    id: CallId | None = None
    type: Literal["function"] | None = None
    extra_content: Raw = field(default_factory=NULL.copy)


class MessageBody(Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: Annotated[str, Meta(max_length=256)] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: Raw = field(default_factory=NULL.copy)
    thinking_blocks: Raw = field(default_factory=NULL.copy)
    function_call: CalledFunction | None = None
    tool_call_id: CallId | None = None
    audio: Raw = field(default_factory=NULL.copy)


# --- parameters ----------------------------------------------------------------------------------------------


class FunctionTool(Struct):
    """`input_schema` and `inputSchema`: what Anthropic and MCP call `parameters`."""

    name: ShortText
    description: str | None = None
    parameters: Raw = field(default_factory=NULL.copy)
    strict: bool | None = None
    input_schema: Raw = field(default_factory=NULL.copy)
    inputSchema: Raw = field(default_factory=NULL.copy)


class Tool(Struct):
    """Kinds that the protocol does not have are dropped: a request must not fail because it offers them too. Without
    a `function` it is one itself, as the Responses API and Anthropic have it."""

    type: str = "function"
    function: Raw = field(default_factory=NULL.copy)
    name: ShortText | None = None
    description: str | None = None
    parameters: Raw = field(default_factory=NULL.copy)
    strict: bool | None = None
    input_schema: Raw = field(default_factory=NULL.copy)
    inputSchema: Raw = field(default_factory=NULL.copy)


class NamedFunction(Struct):
    name: ShortText


class ToolChoice(Struct):
    """Some clients send an object in place of each word, Anthropic's words, or the name as the Responses API has
    it."""

    type: Literal["function", "tool", "none", "auto", "required", "any"] = "function"
    function: NamedFunction | None = None
    name: ShortText | None = None


class TextFormat(Struct, tag_field="type", tag="text"):
    pass


class JsonFormat(Struct, tag_field="type", tag="json_object"):
    """`schema`: as llama.cpp, Together and others take it."""

    schema: Raw = field(default_factory=NULL.copy)


class SchemaFormat(Struct, tag_field="type", tag="json_schema"):
    json_schema: dict[str, Raw]


class StreamOptions(Struct):
    include_usage: bool | None = None


class Metadata(Struct):
    """The request's metadata. `customer_id`, `session_id`, `max_age` (seconds) and `no_cache` take effect."""

    customer_id: Identifier | None = None
    session_id: Identifier | None = None
    max_age: str | float | None = None
    no_cache: bool | int | str | None = None


class ServerParameters(Struct):
    """What servers of open models take beside OpenAI's parameters (`SERVER_PARAMETERS`), also within `extra_body`."""

    top_k: Integer | None = None
    min_p: Share | None = None
    top_a: Share | None = None
    typical_p: Share | None = None
    repetition_penalty: Annotated[float, Meta(ge=0, le=100)] | None = None
    length_penalty: float | None = None
    min_tokens: Count | None = None
    ignore_eos: bool | None = None
    stop_token_ids: Annotated[list[Integer], Meta(max_length=1024)] | None = None
    bad_words: Annotated[list[str], Meta(max_length=1024)] | None = None
    enable_thinking: bool | None = None
    thinking_budget: Integer | None = None
    thinking: bool | dict[str, Any] | None = None
    think: bool | ShortText | None = None
    reasoning: dict[str, Any] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    structured_outputs: dict[str, Any] | None = None
    guided_json: str | dict[str, Any] | None = None
    guided_choice: Annotated[list[str], Meta(max_length=1024)] | None = None
    guided_regex: str | None = None
    guided_grammar: str | None = None
    grammar: str | None = None
    provider: dict[str, Any] | None = None
    transforms: Annotated[list[str], Meta(max_length=16)] | None = None


class ParametersBody(ServerParameters):
    """What shapes the model's answer."""

    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Share | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    max_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    n: Annotated[int, Meta(ge=1, le=1)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=16)] | None = None
    seed: Integer | None = None
    response_format: TextFormat | JsonFormat | SchemaFormat | None = None
    logit_bias: Annotated[dict[str, Annotated[float, Meta(ge=-100, le=100)]], Meta(max_length=1024)] | None = None
    reasoning_effort: ShortText | None = None
    verbosity: ShortText | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required", "any"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[FunctionTool], Meta(max_length=128)] | None = None
    function_call: Literal["none", "auto"] | NamedFunction | None = None
    logprobs: bool | None = None
    top_logprobs: Integer | None = None
    modalities: list[str] | None = None
    audio: Raw = field(default_factory=NULL.copy)
    web_search_options: Raw = field(default_factory=NULL.copy)
    enable_search: bool | None = None
    search_parameters: dict[str, Any] | None = None
    models: list[Any] | None = None
    route: Any = None
    plugins: list[Any] | None = None
    extra_body: dict[str, Any] | None = None


class CompletionBody(ParametersBody, kw_only=True):
    """The whole body. `config` is LangServe's and is looked at only when it has that shape."""

    model: ShortText
    messages: Annotated[list[MessageBody], Meta(min_length=1, description="One of them is a user's and has text.")]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: Metadata | None = None
    config: Raw = field(default_factory=NULL.copy)
    user: Raw = field(default_factory=NULL.copy)


class Config(Struct):
    configurable: Metadata | None = None
