from __future__ import annotations

import copy
import json
from typing import Any, get_args, get_type_hints

import orjson
import pytest
from hypothesis import given, strategies as st

from tilores_core.errors import InvalidRequestError
from tilores_core.llm.parameters import SERVER_PARAMETERS
from tilores_core.settings import ChatTable
from tilores_core.web.openai.body import CompletionBody, ImageUrl, ServerParameters
from tilores_core.web.openai.decode import CompletionRequest, decode_completion, decode_messages

USER = {"role": "user", "content": "What is Edwina Hawthorne's credit score?"}
LIMITS = ChatTable(max_messages=20, max_characters=1000)


def decode(headers: Any = None, /, **fields: Any) -> CompletionRequest:
    body = {"model": "demo:simulated-1", "messages": [USER], **fields}
    raw = {name.lower().encode(): value.encode() for name, value in (headers or {}).items()}
    return decode_completion(orjson.dumps(body), raw, LIMITS)


def refuse(**fields: Any) -> str | None:
    with pytest.raises(InvalidRequestError) as caught:
        decode(**fields)
    assert caught.value.message
    return caught.value.param


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "Edwina", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "Edwina"}]}]},
        {"response_format": {"type": "Edwina"}},
        {"tool_choice": "Edwina"},
    ],
)
def test_value_that_is_not_allowed_is_not_quoted_and_the_allowed_ones_are_named(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decode(**fields)
    assert "Edwina" not in f"{caught.value.message} {caught.value.fix}"
    assert caught.value.fix


# --- the least, and the whole ----------------------------------------------------------------------------


def test_the_least_request() -> None:
    wanted = decode()
    assert (wanted.stream, wanted.include_usage, wanted.usage_on_finish) == (False, False, False)
    assert wanted.chat.messages == (USER,)
    assert wanted.chat.model == "demo:simulated-1"
    assert wanted.chat.parameters == {}
    assert wanted.chat.customer_id is None
    assert (wanted.chat.max_age, wanted.chat.no_cache, wanted.chat.no_store) == (None, False, False)


def test_null_means_absent_for_every_optional_field() -> None:
    names = [
        *("stream", "stream_options", "temperature", "top_p", "presence_penalty", "frequency_penalty", "max_tokens"),
        *(
            "max_completion_tokens",
            "stop",
            "seed",
            "n",
            "user",
            "response_format",
            "logit_bias",
            "metadata",
            "config",
        ),
        *("reasoning_effort", "tools", "tool_choice", "parallel_tool_calls"),
    ]
    assert decode(**dict.fromkeys(names)) == decode()


def test_unknown_keys_are_ignored_in_the_body_and_in_messages() -> None:
    message = {**USER, "attachments": [], "cache_control": {"type": "ephemeral"}, "id": 7}
    assert decode(messages=[message], chat_id="7", variables={"order": []}, store=True, functions=[]) == decode()


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b'"text"', b"1", b"\xff", b'{"a":NaN}', b"[" * 5000])
def test_what_is_no_json_object(body: bytes) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decode_completion(body, {}, LIMITS)
    assert caught.value.param is None


@pytest.mark.parametrize("model", ["", "  ", None, 3, ["demo"], "x" * 300])
def test_model_is_required(model: Any) -> None:
    assert refuse(model=model) == "model"


# --- messages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("messages", [None, [], {}, "hello", 3])
def test_messages_must_be_a_list_with_something_in_it(messages: Any) -> None:
    assert refuse(messages=messages) == "messages"


@pytest.mark.parametrize("kind", ["thinking", "redacted_thinking", "think", "reasoning", "tool_use", "tool_call"])
def test_what_clients_keep_of_an_answer_beside_its_text_is_left_out(kind: str) -> None:
    said = [{"type": kind, "thinking": "Hm."}, {"type": "output_text", "text": "Forty.", "annotations": []}]
    asked = {"role": "user", "content": [{"type": "input_text", "text": "Why?"}]}
    kept = decode(
        messages=[asked, {"role": "assistant", "content": said}, {"role": "assistant", "content": said[:1]}]
    )
    assert [message["content"] for message in kept.chat.messages] == ["Why?", "Forty.", ""]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("hello", ""),
        (None, ""),
        ({"content": "x"}, ".role"),
        ({"role": "robot", "content": "x"}, ".role"),
        ({"role": ["user"], "content": "x"}, ".role"),
        ({"role": "user"}, ".content"),
        ({"role": "user", "content": None}, ".content"),
        ({"role": "user", "content": 5}, ".content"),
        ({"role": "user", "content": {"text": "x"}}, ".content"),
        ({"role": "user", "content": []}, ".content"),
        ({"role": "user", "content": "x", "name": 5}, ".name"),
        ({"role": "tool", "content": "x"}, ".tool_call_id"),
        ({"role": "tool", "content": "x", "tool_call_id": ""}, ".tool_call_id"),
        ({"role": "function", "content": "x"}, ".name"),
        ({"role": "user", "content": ["x"]}, ".content[0]"),
        ({"role": "user", "content": [{"type": "text"}]}, ".content[0].text"),
        ({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "video"}]}, ".content[1].type"),
        ({"role": "user", "content": [{"type": []}]}, ".content[0].type"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": ""}]}, ".content[0].image_url"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, ".content[0].image_url.url"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "detail": "huge"}}]},
            ".content[0].image_url.detail",
        ),
        ({"role": "user", "content": [{"type": "input_audio"}]}, ".content[0].input_audio"),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x"}}]},
            ".content[0].input_audio.format",
        ),
        ({"role": "assistant", "tool_calls": {}}, ".tool_calls"),
        ({"role": "assistant", "tool_calls": ["x"]}, ".tool_calls[0]"),
        ({"role": "assistant", "tool_calls": [{"type": "custom"}]}, ".tool_calls[0].type"),
        ({"role": "assistant", "tool_calls": [{"id": 7, "function": {"name": "f"}}]}, ".tool_calls[0].id"),
        ({"role": "assistant", "tool_calls": [{"id": "c"}]}, ".tool_calls[0].function"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "function": {}}]}, ".tool_calls[0].function.name"),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": []}}]},
            ".tool_calls[0].function.arguments",
        ),
        ({"role": "user", "content": [{"type": "thinking", "thinking": "Hm."}]}, ".content[0].type"),
    ],
)
def test_a_wrong_message_is_named(message: Any, param: str) -> None:
    assert refuse(messages=[USER, message]) == f"messages[1]{param}"


def test_developer_is_system() -> None:
    assert decode(messages=[{"role": "developer", "content": "Be brief."}, USER]).chat.messages[0]["role"] == "system"


def test_names_are_kept_and_empty_ones_dropped() -> None:
    messages = decode(messages=[{**USER, "name": "edwina"}, {**USER, "name": ""}]).chat.messages
    assert messages == ({**USER, "name": "edwina"}, USER)


def test_one_text_part_equals_the_text() -> None:
    parts = [{"type": "text", "text": USER["content"], "cache_control": {"type": "ephemeral"}}]
    assert decode(messages=[{"role": "user", "content": parts}]) == decode()


def test_parts_keep_what_a_model_needs() -> None:
    content: list[dict[str, Any]] = [
        {"type": "text", "text": "Who is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "high"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    noisy = [{**part, "extra": 1} for part in content]
    assert decode(messages=[{"role": "user", "content": noisy}]).chat.messages[0]["content"] == content


def test_a_tool_round_trip_in_the_history() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bath"}'}}
    history = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [{**call, "index": 0}], "refusal": None},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]
    assert decode(messages=history).chat.messages == (
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "rain", "tool_call_id": "call_1"},
    )


@pytest.mark.parametrize("nothing", [{}, {"id": None}, {"id": ""}], ids=["missing", "null", "empty"])
def test_calls_without_ids_are_paired_by_place(nothing: dict[str, Any]) -> None:
    call = {**nothing, "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    turn = [
        {"role": "assistant", "content": None, "tool_calls": [call, call]},
        *({"role": "tool", "tool_call_id": nothing.get("id"), "content": said} for said in ("rain", "sun")),
    ]
    _, *history = decode(messages=[USER, *turn, *turn]).chat.messages
    ids = [call["id"] for message in history for call in message.get("tool_calls", ())]
    assert [message["tool_call_id"] for message in history if message["role"] == "tool"] == ids
    assert len(set(ids)) == 4


def test_the_older_function_messages_become_a_tool_call_and_its_result() -> None:
    called = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}}
    _, call, result = decode(
        messages=[USER, called, {"role": "function", "name": "weather", "content": "rain"}]
    ).chat.messages
    assert call["tool_calls"][0]["function"] == {"name": "weather", "arguments": "{}"}
    assert result["role"] == "tool"
    assert result["tool_call_id"] == call["tool_calls"][0]["id"]


def test_a_refusal_in_the_history_is_text() -> None:
    said = {"role": "assistant", "content": [{"type": "refusal", "refusal": "I would rather not."}]}
    assert decode(messages=[USER, said, USER]).chat.messages[1]["content"] == "I would rather not."


@pytest.mark.parametrize(
    "messages",
    [[USER] * 21, [{"role": "user", "content": "x" * 1001}], [{"role": "system", "content": " "}]],
    ids=["many", "long", "no question"],
)
def test_limits(messages: Any) -> None:
    assert refuse(messages=messages) == "messages"


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "assistant"},
        {"role": "system", "content": []},
        {"role": "tool", "content": None, "tool_call_id": "call_1"},
    ],
)
def test_message_that_says_nothing_is_taken(message: Any) -> None:
    """An answer that was stopped, a tool without a result."""
    assert decode(messages=[USER, message, USER]).chat.messages[1]["content"] == ""


def test_image_in_a_system_message_is_refused() -> None:
    image = [{"type": "image_url", "image_url": "https://example.com/a.png"}]
    for role in ("system", "developer"):
        assert refuse(messages=[{"role": role, "content": image}, USER]) == "messages[0].content"


def test_image_as_text_is_its_url() -> None:
    content = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": "https://example.com/a.png"}]
    parts = decode(messages=[{"role": "user", "content": content}]).chat.messages[0]["content"]
    assert parts is not None
    assert parts[1] == {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def test_system_message_alone_is_the_question() -> None:
    asked = [{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Summarise E-1."}]
    first, last = decode(messages=asked).chat.messages
    assert (first["role"], last) == ("system", {"role": "user", "content": "Summarise E-1."})
    greeted = [asked[0], {"role": "assistant", "content": "Hello."}, asked[1]]  # the caller is silent
    assert decode(messages=greeted).chat.messages[2] == last
    assert refuse(messages=[asked[0], {"role": "assistant", "content": "Hello."}]) == "messages"


# --- parameters ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("temperature", 0, 2), ("top_p", 0, 1), ("presence_penalty", -2, 2), ("frequency_penalty", -2, 2)],
)
def test_numbers_have_a_range(name: str, low: float, high: float) -> None:
    assert decode(**{name: low}).chat.parameters == {name: low}
    assert decode(**{name: float(high)}).chat.parameters == {name: high}
    wrongs: list[Any] = [low - 0.1, high + 0.1, "1", True, [], 1e300]
    for wrong in wrongs:
        assert refuse(**{name: wrong}) == name


def test_equal_numbers_are_equal_bytes() -> None:
    assert orjson.dumps(decode(temperature=1).chat.parameters) == orjson.dumps(
        decode(temperature=1.0).chat.parameters
    )


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_token_limits(name: str) -> None:
    assert decode(**{name: 5}).chat.parameters == {"max_tokens": 5}
    assert decode(**{name: -1}) == decode()  # no limit, as servers of open models have it
    for wrong in (0, -2, 1.5, "5", True):
        assert refuse(**{name: wrong}) == name


def test_max_completion_tokens_wins() -> None:
    assert decode(max_tokens=5, max_completion_tokens=6).chat.parameters == {"max_tokens": 6}
    assert decode(max_completion_tokens=6, max_tokens=5).chat.parameters == {"max_tokens": 6}


def test_more_than_one_choice_is_refused() -> None:
    assert decode(n=1) == decode()
    for wrong in (2, 0, "1", True):
        assert refuse(n=wrong) == "n"


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ({"stop": "END"}, {"stop": ["END"]}),
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"stop": []}, {}),
        ({"stop": ""}, {}),
        ({"stop": ["a", ""]}, {"stop": ["a"]}),
        ({"seed": -3}, {"seed": -3}),
        ({"logit_bias": {"42": -100}}, {"logit_bias": {"42": -100.0}}),
        ({"logit_bias": {}}, {}),
        ({"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}, "x": 1}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
        ),
        (
            {"response_format": {"type": "json_object", "schema": {"type": "object"}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"type": "object"}},
                }
            },
        ),
    ],
)
def test_other_parameters(given_: dict[str, Any], kept: dict[str, Any]) -> None:
    assert decode(**given_).chat.parameters == kept


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stop": ["a", 1]}, "stop[1]"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"seed": 1.5}, "seed"),
        ({"logit_bias": [1]}, "logit_bias"),
        ({"logit_bias": {"1": 101}}, "logit_bias"),
        ({"reasoning_effort": 3}, "reasoning_effort"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"metadata": "x"}, "metadata"),
        ({"tools": {}}, "tools"),
        ({"tools": ["x"]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": 1}}]},
            "tools[0].function.parameters",
        ),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
    ],
)
def test_wrong_parameters_are_named(fields: dict[str, Any], param: str) -> None:
    assert refuse(**fields) == param


TOOL: dict[str, Any] = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def test_tools_are_kept() -> None:
    choice = {"type": "function", "function": {"name": "weather"}}
    kept = decode(
        tools=[{**TOOL, "cache_control": {}}], tool_choice=choice, parallel_tool_calls=False
    ).chat.parameters
    assert kept == {"tools": [TOOL], "tool_choice": choice, "parallel_tool_calls": False}


def test_tools_of_other_kinds_do_no_harm() -> None:
    assert decode(tools=[{"type": "web_search"}], tool_choice="auto", parallel_tool_calls=True) == decode()
    assert decode(tools=[{"type": "web_search"}, TOOL]).chat.parameters == {"tools": [TOOL]}
    assert decode(tools=[]) == decode()


@pytest.mark.parametrize("word", ["auto", "none", "required", "any"])
def test_choice_of_tools_may_be_an_object_or_anthropics_word(word: str) -> None:
    wanted = "required" if word == "any" else word
    for choice in (word, {"type": word}):
        assert decode(tools=[TOOL], tool_choice=choice).chat.parameters == {"tools": [TOOL], "tool_choice": wanted}
    assert refuse(tools=[TOOL], tool_choice={"type": "function"}) == "tool_choice.function"


def test_long_id_of_a_call_comes_back_whole() -> None:
    long = "call_1__thought__" + "A" * 5000
    calls = [{"id": long, "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    result = {"role": "tool", "tool_call_id": long, "content": "r"}
    kept = decode_messages([USER, {"role": "assistant", "tool_calls": calls}, result])
    assert kept[1]["tool_calls"][0]["id"] == kept[2]["tool_call_id"] == long


def test_tools_and_images_in_the_form_of_the_responses_api() -> None:
    flat: dict[str, Any] = {"type": "function", **dict(TOOL["function"])}
    assert decode(tools=[flat]).chat.parameters == {"tools": [TOOL]}
    assert refuse(tools=[{**flat, "parameters": []}]) == "tools[0].parameters"
    assert refuse(tools=[{"type": "function"}]) == "tools[0].function"
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    (message,) = decode(
        messages=[{"role": "user", "content": [{"type": "input_text", "text": "?"}, image]}]
    ).chat.messages
    assert isinstance(message["content"], list)
    assert message["content"][1] == {"type": "image_url", "image_url": {"url": image["image_url"]}}


def test_tools_in_the_form_of_anthropic() -> None:
    function = TOOL["function"]
    named = {"name": function["name"], "input_schema": function["parameters"]}
    told = {key: function[key] for key in function if key not in ("name", "parameters")}
    forms: list[dict[str, Any]] = [
        {**named, **told},
        {"type": "custom", **named, **told},
        {"function": function},
        {"type": "function", "function": {**named, **told}},
        {**told, "name": function["name"], "inputSchema": function["parameters"]},
    ]
    for tool in forms:
        assert decode(tools=[tool]).chat.parameters == {"tools": [TOOL]}
    assert refuse(tools=[{"name": "f", "input_schema": 1}]) == "tools[0].input_schema"
    with pytest.raises(InvalidRequestError, match="function must be an object") as caught:
        decode(tools=[{"functionDeclarations": [function]}])
    assert '"function": {"name"' in str(caught.value.fix)
    chosen = {"type": "function", "function": {"name": function["name"]}}
    for choice in ({"type": "tool"}, {"type": "function"}, {}):
        choice = {**choice, "name": function["name"]}
        assert decode(tools=[TOOL], tool_choice=choice).chat.parameters["tool_choice"] == chosen


def test_the_chosen_tool_must_be_there() -> None:
    choice = {"type": "function", "function": {"name": "other"}}
    assert refuse(tools=[TOOL], tool_choice=choice) == "tool_choice.function.name"


def test_functions_of_the_older_form_become_tools() -> None:
    function = TOOL["function"]
    assert decode(functions=[function]).functions
    assert not decode(functions=[function], tools=[TOOL]).functions
    assert decode(functions=[function], function_call="auto").chat.parameters == {
        "tools": [TOOL],
        "tool_choice": "auto",
    }
    chosen = decode(functions=[function], function_call={"name": "weather"}).chat.parameters["tool_choice"]
    assert chosen == {"type": "function", "function": {"name": "weather"}}
    assert refuse(functions=[function], function_call={"name": "other"}) == "function_call.name"
    assert refuse(functions=[{"name": "f", "parameters": []}]) == "functions[0].parameters"


@pytest.mark.parametrize(
    ("name", "wanted", "nothing"),
    [
        ("logprobs", True, False),
        ("top_logprobs", 2, 0),
        ("modalities", ["text", "audio"], ["text"]),
        ("audio", {"voice": "alloy", "format": "mp3"}, None),
        ("web_search_options", {}, None),
    ],
)
def test_what_a_reply_cannot_hold_is_refused_and_named(name: str, wanted: Any, nothing: Any) -> None:
    assert refuse(**{name: wanted}) == name
    assert decode(**{name: nothing}) == decode()


def test_verbosity_is_passed_on_unless_it_is_the_default() -> None:
    assert decode(verbosity="medium") == decode()
    assert decode(verbosity="low").chat.parameters == {"verbosity": "low"}


GIVEN = {
    "top_k": 20,
    "min_p": 0.1,
    "top_a": 0.1,
    "typical_p": 0.5,
    "repetition_penalty": 1.1,
    "length_penalty": 0.5,
    "min_tokens": 3,
    "ignore_eos": True,
    "stop_token_ids": [2],
    "bad_words": ["x"],
    "enable_thinking": False,
    "thinking_budget": 128,
    "think": "high",
    "thinking": {"type": "enabled"},
    "reasoning": {"max_tokens": 9},
    "chat_template_kwargs": {"enable_thinking": False},
    "structured_outputs": {"choice": ["yes"]},
    "guided_json": {"type": "object"},
    "guided_choice": ["yes"],
    "guided_regex": "y",
    "guided_grammar": "g",
    "grammar": "root",
    "provider": {"data_collection": "deny"},
    "transforms": ["middle-out"],
}


def test_what_servers_of_open_models_take_is_passed_on_also_within_extra_body() -> None:
    assert set(GIVEN) == set(SERVER_PARAMETERS) == set(ServerParameters.__struct_fields__)
    assert decode(**GIVEN).chat.parameters == decode(extra_body=GIVEN).chat.parameters == GIVEN
    assert decode(top_k=1, extra_body={"top_k": 2}).chat.parameters == {"top_k": 2}
    assert decode(**dict.fromkeys(GIVEN), extra_body={}) == decode()
    assert decode(reasoning={"effort": "low"}).chat.parameters == {"reasoning_effort": "low"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"extra_body": {"repitition_penalty": 1.1}}, "extra_body.repitition_penalty"),
        ({"extra_body": {"min_p": 2}}, "extra_body.min_p"),
        ({"top_k": "many"}, "top_k"),
        ({"enable_search": True}, "enable_search"),
        ({"models": ["acme/other"]}, "models"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"chat_template_kwargs": {"a": json.loads("[" * 200 + "]" * 200)}}, "chat_template_kwargs"),
    ],
)
def test_wrong_or_unknown_parameter_of_a_server_is_named(fields: dict[str, Any], param: str) -> None:
    assert refuse(**fields) == param


# What LangChain, LiteLLM, Open WebUI, LibreChat, llama.cpp's pages, Copilot and others send by default.
OWN_KEYS: dict[str, Any] = {
    **dict.fromkeys(("session_id", "chat_id", "id", "parent_id", "conversationId", "thread_id", "trace_id"), "7"),
    **dict.fromkeys(("custom_llm_provider", "litellm_call_id", "litellm_metadata", "api_base", "timeout"), "x"),
    **{key: ["x"] for key in ("background_tasks", "features", "variables", "tool_ids", "tool_servers", "files")},
    **dict.fromkeys(("endpoint", "modelLabel", "promptPrefix", "intent", "snippy", "nwo", "raw", "prompt"), "x"),
    **dict.fromkeys(("messageId", "message", "model_item", "modelId", "providerOptions", "stream_reasoning"), "x"),
    **dict.fromkeys(("cache_prompt", "timings_per_token", "include_reasoning", "add_generation_prompt"), True),
    **dict.fromkeys(("reasoning_format", "keep_alive", "usage", "include_usage", "tags", "suffix"), "x"),
    "options": {"num_ctx": 4096, "temperature": None},
    "system": "",
    "mirostat": 0,
    "no_cache": False,
    "use_beam_search": False,
}


def test_keys_that_clients_send_of_their_own_are_ignored() -> None:
    assert decode(**OWN_KEYS) == decode()


@pytest.mark.parametrize(
    ("fields", "param", "fix"),
    [
        ({"max_token": 5}, "max_token", "max_tokens"),
        ({"temprature": 0}, "temprature", "temperature"),
        ({"respone_format": {"type": "json_object"}}, "respone_format", "response_format"),
        ({"enable_think": True}, "enable_think", "enable_thinking"),
        ({"stops": ["x"]}, "stops", "stop"),
        ({"system": "Be brief."}, "system", "role system"),
        ({"instructions": "Be brief."}, "instructions", "role system"),
        ({"format": "json"}, "format", "response_format"),
        ({"generationConfig": {"responseMimeType": "x"}}, "responseMimeType", "response_format"),
        ({"customer_id": "C1"}, "customer_id", "metadata"),
        ({"cache": {"no-cache": True}}, "cache", "Cache-Control"),
        ({f"key{number}": 1 for number in range(300)}, None, "OpenAI"),
    ],
)
def test_key_that_would_shape_the_answer_and_is_not_known_is_refused(
    fields: dict[str, Any], param: str | None, fix: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decode(**fields)
    assert caught.value.param == param
    assert fix in str(caught.value.fix)


def test_other_names_of_a_parameter_are_read() -> None:
    for name in ("max_new_tokens", "max_output_tokens", "maxTokens", "maxOutputTokens", "num_predict", "n_predict"):
        assert decode(**{name: 5, "max_tokens": None}).chat.parameters == {"max_tokens": 5}
        assert decode(**{name: 5, "max_tokens": 7}).chat.parameters == {"max_tokens": 7}
    assert decode(topP=0.5, frequencyPenalty=1, repeat_penalty=1.1, random_seed=4, stopSequences=["x"]) == decode(
        top_p=0.5, frequency_penalty=1, repetition_penalty=1.1, seed=4, stop=["x"]
    )
    options = {"temperature": 0.5, "num_predict": 9, "num_ctx": 4096}
    assert decode(options=options) == decode(temperature=0.5, max_tokens=9)
    assert refuse(max_new_tokens="many") == "max_tokens"


def test_other_parameters_of_samplers_are_passed_on_unless_they_change_nothing() -> None:
    given = {"mirostat": 2, "dry_multiplier": 0.8, "documents": [{"text": "x"}], "do_sample": False}
    assert decode(**given).chat.parameters == decode(extra_body=given).chat.parameters == given
    assert decode(mirostat=0, xtc_probability=0.0, do_sample=True, skip_special_tokens=True) == decode()
    assert decode(enableThinking=False).chat.parameters == {"enable_thinking": False}
    assert refuse(documents=json.loads("[" * 200 + "]" * 200)) == "documents"
    assert refuse(extra_body={"documents": json.loads("[" * 200 + "]" * 200)}) == "extra_body.documents"


_HINT = "changes no answer"
_REFUSED = "refused unless it asks for nothing"
KEYS: dict[str, str] = {
    **dict.fromkeys(("messages", "model", "metadata", "user", "n"), "used"),
    **dict.fromkeys(("stream", "stream_options", "functions", "function_call"), "used"),
    **dict.fromkeys(("temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias"), "passed on"),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "stop", "seed", "response_format"), "passed on"),
    **dict.fromkeys(("reasoning_effort", "verbosity", "tools", "tool_choice", "parallel_tool_calls"), "passed on"),
    **dict.fromkeys(("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "prediction"), _HINT),
    **dict.fromkeys(("safety_identifier", "service_tier", "store", "moderation"), _HINT),
    **dict.fromkeys(("logprobs", "top_logprobs", "modalities", "audio", "web_search_options"), _REFUSED),
}


def test_every_key_of_the_sdks_request_has_a_decision() -> None:
    from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

    known = set(get_type_hints(CompletionCreateParamsStreaming))
    assert known - KEYS.keys() == set(), "decide what these come to"
    decided = {field for field in CompletionBody.__struct_fields__ if field != "config"}
    decided -= {*SERVER_PARAMETERS, "extra_body", "enable_search", "search_parameters", "models", "route", "plugins"}
    assert {key for key, decision in KEYS.items() if decision.startswith(("used", "passed", "refused"))} == decided


_TURN = {"role": "passed on", "content": "passed on", "name": "passed on"}
_PART = {"type": "used", "prompt_cache_breakpoint": _HINT}
NESTED: dict[str, dict[str, str]] = {
    "ChatCompletionStreamOptionsParam": {"include_usage": "used", "include_obfuscation": _HINT},
    **dict.fromkeys(
        (f"ChatCompletion{role}MessageParam" for role in ("User", "System", "Developer", "Function")), _TURN
    ),
    "ChatCompletionAssistantMessageParam": {
        **_TURN,
        **dict.fromkeys(("refusal", "tool_calls", "function_call"), "passed on"),
        "audio": "refused",
    },
    "ChatCompletionToolMessageParam": {"role": "used", "content": "passed on", "tool_call_id": "passed on"},
    "ChatCompletionContentPartTextParam": {**_PART, "text": "passed on"},
    "ChatCompletionContentPartImageParam": {**_PART, "image_url": "passed on"},
    "ChatCompletionContentPartInputAudioParam": {**_PART, "input_audio": "passed on"},
    "ChatCompletionContentPartRefusalParam": {"type": "used", "refusal": "passed on"},
    "ChatCompletionFunctionToolParam": {"type": "used", "function": "passed on"},
    "ChatCompletionNamedToolChoiceParam": {"type": "used", "function": "passed on"},
    "ChatCompletionMessageFunctionToolCallParam": dict.fromkeys(("id", "type", "function"), "passed on"),
}
UNIONS = {
    "ChatCompletionContentPartParam": {
        *("ChatCompletionContentPartTextParam", "ChatCompletionContentPartImageParam"),
        *("ChatCompletionContentPartInputAudioParam", "File"),
    },
    "ChatCompletionToolUnionParam": {"ChatCompletionFunctionToolParam", "ChatCompletionCustomToolParam"},
    "ChatCompletionToolChoiceOptionParam": {
        *("Literal", "ChatCompletionNamedToolChoiceParam", "ChatCompletionNamedToolChoiceCustomParam"),
        "ChatCompletionAllowedToolChoiceParam",
    },
    "ChatCompletionMessageToolCallUnionParam": {
        *("ChatCompletionMessageFunctionToolCallParam", "ChatCompletionMessageCustomToolCallParam"),
    },
}


def test_there_is_a_decision_for_each_nested_key_of_the_sdk() -> None:
    """The parts that are refused as a whole are in the test below."""
    from openai.types import chat

    for name, decided in NESTED.items():
        assert set(get_type_hints(getattr(chat, name))) == decided.keys(), name
    detail = get_type_hints(chat.chat_completion_content_part_image_param.ImageURL)["detail"]
    assert set(get_args(get_args(get_type_hints(ImageUrl)["detail"])[0])) == set(get_args(detail))
    for name, kinds in UNIONS.items():
        assert {getattr(kind, "__name__", "") for kind in get_args(getattr(chat, name))} == kinds, name


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages[0].content[0].type"),
        ({"messages": [USER, {"role": "assistant", "content": "x", "audio": {"id": "a"}}]}, "messages[1].audio"),
        ({"tools": [TOOL, {"type": "custom", "custom": {"name": "f"}}]}, "tools[1].type"),
        ({"tools": [TOOL], "tool_choice": {"type": "custom", "custom": {"name": "f"}}}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice.type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
    ],
)
def test_what_no_answer_would_follow_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    assert refuse(**fields) == param


def test_a_refusal_beside_empty_content_is_accepted() -> None:
    said: dict[str, Any] = {
        "role": "assistant",
        "content": None,
        "refusal": "I cannot help.",
        "tool_calls": None,
        "annotations": [],
    }
    assert decode(messages=[USER, said, USER]).chat.messages[1] == {"role": "assistant", "content": "I cannot help."}


def test_a_schema_too_deep_to_be_written_out() -> None:
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"items": deep}
    tool = {"type": "function", "function": {"name": "f", "parameters": deep}}
    assert refuse(tools=[tool]) == "tools[0].function.parameters"
    form = {"type": "json_schema", "json_schema": deep}
    assert refuse(response_format=form) == "response_format.json_schema"


# --- streaming -------------------------------------------------------------------------------------------


def test_streaming() -> None:
    asked = {"include_usage": True}
    assert decode(stream=True).stream is True
    assert decode(stream=True).include_usage is False
    assert decode(stream=True, stream_options=asked).include_usage is True
    assert decode(stream=False, stream_options=asked).include_usage is False


def test_usage_goes_on_the_finish_chunk_for_the_client_that_stops_there() -> None:
    agent = {"User-Agent": "AnythingLLM/1.16.0"}
    asked = {"include_usage": True}
    assert decode(agent, stream=True, stream_options=asked).usage_on_finish is True
    assert decode(agent, stream=True).usage_on_finish is False
    assert decode({"User-Agent": "OpenAI/JS 4.95.1"}, stream=True, stream_options=asked).usage_on_finish is False


# --- who, and how fresh ----------------------------------------------------------------------------------


def test_the_customer() -> None:
    header = {"X-Customer-Id": "B"}
    assert decode(header).chat.customer_id == "B"
    assert decode(header, metadata={"customer_id": "A"}).chat.customer_id == "A"
    assert decode(header, metadata={"customer_id": ""}).chat.customer_id == "B"
    assert decode(config={"configurable": {"customer_id": "C"}}).chat.customer_id == "C"
    assert decode(metadata={"customer_id": 7}).chat.customer_id == "7"
    wrongs: list[Any] = [True, [], "x" * 257, "a\nb", 1.5]
    for wrong in wrongs:
        assert refuse(metadata={"customer_id": wrong}) == "metadata.customer_id"


def test_a_header_that_is_no_text() -> None:
    body = orjson.dumps({"model": "m", "messages": [USER]})
    with pytest.raises(InvalidRequestError) as caught:
        decode_completion(body, {b"x-customer-id": b"\xff\xfe"}, LIMITS)
    assert caught.value.param == "X-Customer-Id"


def test_the_session() -> None:
    header = {"X-Session-Id": "header"}
    assert decode(header, user="user", metadata={"session_id": "body"}).chat.session_id == "body"
    assert decode(header, user="user").chat.session_id == "header"
    assert decode(user="user").chat.session_id == "user"
    assert decode(config={"configurable": {"session_id": "c"}}, user="user").chat.session_id == "c"


def test_a_user_that_is_an_object_is_ignored() -> None:
    assert decode(user={"id": "1", "email": "edwina@example.test"}) == decode()


def test_a_session_is_derived_from_the_beginning() -> None:
    system = {"role": "system", "content": "Be brief."}
    first = decode(messages=[system, USER]).chat.session_id
    assert first is not None
    assert len(first) == 32
    int(first, 16)
    longer = [system, USER, {"role": "assistant", "content": "712"}, {"role": "user", "content": "Sure?"}]
    assert decode(messages=longer).chat.session_id == first
    assert decode(messages=[USER]).chat.session_id != first
    assert decode(messages=[system, {"role": "user", "content": "Other"}]).chat.session_id != first


def test_what_anythingllm_retrieved_does_not_change_the_session() -> None:
    def session(snippet: str) -> str | None:
        found = f"\nContext:\n[CONTEXT 0]:\n{snippet}\n[END CONTEXT 0]\n\n" if snippet else ""
        return decode(messages=[{"role": "system", "content": f"Be brief.{found}"}, USER]).chat.session_id

    assert session("one") == session("two") == session("")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("no-cache", (None, True, False)),
        ("No-Store", (None, False, True)),
        ("max-age=60, no-cache", (60.0, True, False)),
        ('max-age="5"', (5.0, False, False)),
        ("max-age=soon", (None, False, False)),
        ("max-age=²", (None, False, False)),
        ("max-age=" + "9" * 400, (None, False, False)),
        ("only-if-cached", (None, False, False)),
    ],
)
def test_cache_control(header: str, expected: tuple[float | None, bool, bool]) -> None:
    chat = decode({"Cache-Control": header}).chat
    assert (chat.max_age, chat.no_cache, chat.no_store) == expected


def test_freshness_in_the_body_wins_over_the_header() -> None:
    header = {"Cache-Control": "max-age=60, no-cache"}
    chat = decode(header, metadata={"max_age": "5.5", "no_cache": "false"}).chat
    assert (chat.max_age, chat.no_cache) == (5.5, False)
    chat = decode(config={"configurable": {"max_age": 9, "no_cache": True}}).chat
    assert (chat.max_age, chat.no_cache) == (9.0, True)


@pytest.mark.parametrize("wrong", ["soon", -1, True, [], "inf", "nan", "-0.1"])
def test_a_wrong_age(wrong: Any) -> None:
    assert refuse(metadata={"max_age": wrong}) == "metadata.max_age"
    assert refuse(config={"configurable": {"max_age": wrong}}) == "config.configurable.max_age"


@pytest.mark.parametrize("wrong", ["perhaps", 2, [], 0.5])
def test_a_wrong_flag(wrong: Any) -> None:
    assert refuse(metadata={"no_cache": wrong}) == "metadata.no_cache"


# --- anything at all -------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
WHOLE: dict[str, Any] = {
    "model": "demo:simulated-1",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": ""}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "x"},
        {"role": "assistant", "content": "", "function_call": {"name": "g", "arguments": ""}},
        {"role": "function", "name": "g", "content": "x"},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "d", "format": "wav"}}]},
    ],
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 1,
    "max_tokens": 5,
    "stop": ["x"],
    "seed": 1,
    "n": 1,
    "user": "u",
    "response_format": {"type": "json_schema", "json_schema": {}},
    "logit_bias": {"1": 1},
    "metadata": {"customer_id": "A", "session_id": "B", "max_age": 1, "no_cache": True},
    "config": {"configurable": {"customer_id": "A"}},
    "reasoning_effort": "low",
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "parallel_tool_calls": True,
}


def _paths(value: Any) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(), *[(key, *rest) for key, below in inner for rest in _paths(below)]]


def _decodes_or_refuses(body: bytes, headers: dict[bytes, bytes]) -> None:
    try:
        wanted = decode_completion(body, headers, LIMITS)
    except InvalidRequestError:
        return
    # Whatever was accepted can be told apart by its bytes, and has only the keys of our messages.
    orjson.dumps([wanted.chat.messages, wanted.chat.parameters])
    for message in wanted.chat.messages:
        assert message.keys() <= {"role", "content", "name", "tool_calls", "tool_call_id"}
        assert message["role"] in {"system", "user", "assistant", "tool"}


def test_the_whole_request_is_accepted() -> None:
    assert decode_completion(orjson.dumps(WHOLE), {}, LIMITS).chat.customer_id == "A"


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    _decodes_or_refuses(body, {})


@given(JSON)
def test_any_json(value: Any) -> None:
    _decodes_or_refuses(orjson.dumps(value), {})


@given(st.sampled_from(_paths(WHOLE)), JSON)
def test_any_json_in_any_place(path: tuple[Any, ...], value: Any) -> None:
    body: Any = {"": copy.deepcopy(WHOLE)}
    place: Any = body
    for step in ("", *path)[:-1]:
        place = place[step]
    place[("", *path)[-1]] = value
    _decodes_or_refuses(orjson.dumps(body[""]), {})


@given(
    st.dictionaries(
        st.sampled_from([b"x-customer-id", b"x-session-id", b"cache-control", b"user-agent"]), st.binary(max_size=60)
    )
)
def test_any_headers(headers: dict[bytes, bytes]) -> None:
    _decodes_or_refuses(orjson.dumps(WHOLE), headers)
    _decodes_or_refuses(orjson.dumps({"model": "m", "messages": [USER]}), headers)
