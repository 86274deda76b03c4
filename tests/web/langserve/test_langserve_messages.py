from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from tilores_core.contracts import Message
from tilores_core.errors import InvalidRequestError
from tilores_core.settings import ChatTable
from tilores_core.web.langserve.messages import parse_messages

USER = {"role": "user", "content": "hi"}


def lang(kind: str, content: object = "hi", **more: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "additional_kwargs": {},
        "response_metadata": {},
        "name": None,
        "id": None,
        "example": False,
    }
    return {"type": kind, "content": content, **plain, **more}


@pytest.mark.parametrize(
    "value",
    [
        "hi",
        ["hi"],
        [["human", "hi"]],
        [["user", "hi"]],
        [{"role": "user", "content": "hi"}],
        [lang("human")],
        [lang("HumanMessageChunk")],
        [lang("chat", role="user")],
        [lang("generic", role="human")],
        {"messages": ["hi"], "input": 3},
        {"messages": [lang("human")], "lc_serializable": True, "lc_kwargs": {}, "lc_namespace": []},
        {"input": "hi", "chat_history": []},
        {"input": "hi", "chat_history": None},
        {"input": ["hi"]},
        {"input": lang("human")},
        {"question": "hi"},
        {"query": "hi", "chat_history": []},
        {"messages": "hi"},
        {"messages": lang("human")},
        lang("human"),
        {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain_core", "prompt_values", "StringPromptValue"],
            "kwargs": {"value": "hi"},
        },
        {"input": {"role": "user", "content": "hi", "cache_control": {}}},
        [{"type": "human", "data": {"content": "hi", "additional_kwargs": {}, "type": "human"}}],
        {"type": "human", "data": {"content": "hi"}},
        {"text": "hi", "type": "StringPromptValue"},
        {
            "lc_serializable": True,
            "lc_kwargs": {},
            "lc_namespace": ["langchain_core", "prompt_values"],
            "value": "hi",
        },
    ],
)
def test_every_shape_of_one_user_message(value: object) -> None:
    assert parse_messages(value) == (USER,)


@pytest.mark.parametrize(
    ("item", "role"),
    [
        (lang("ai"), "assistant"),
        (lang("AIMessageChunk", tool_calls=[], tool_call_chunks=[], chunk_position=None), "assistant"),
        (lang("system"), "system"),
        (lang("SystemMessageChunk"), "system"),
        ({"role": "developer", "content": "hi"}, "system"),
        ({"role": "assistant", "content": "hi", "type": "message"}, "assistant"),
        (["ai", "hi"], "assistant"),
        (["system", "hi"], "system"),
        (["developer", "hi"], "system"),
    ],
)
def test_roles(item: object, role: str) -> None:
    assert parse_messages([item]) == ({"role": role, "content": "hi"},)


def test_chat_history_beside_the_input_comes_first() -> None:
    expected = (
        {"role": "user", "content": "Who is Edwina?"},
        {"role": "assistant", "content": "A customer."},
        USER,
    )
    for history in (
        [lang("human", "Who is Edwina?"), lang("ai", "A customer.")],
        [["human", "Who is Edwina?"], ["ai", "A customer."]],
        [["Who is Edwina?", "A customer."]],
    ):
        assert parse_messages({"input": "hi", "chat_history": history}) == expected
        assert parse_messages({"input": "hi", "chat_history": [], "history": history}) == expected


@pytest.mark.parametrize(
    ("history", "param"),
    [(7, "input.chat_history"), ([7], "input.chat_history[0]"), ([["human", 7]], "input.chat_history[0][1]")],
)
def test_a_wrong_chat_history_is_named(history: object, param: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        parse_messages({"input": "hi", "chat_history": history})
    assert refused.value.param == param


def test_a_name_is_kept() -> None:
    assert parse_messages([lang("human", name="Edwina")]) == ({**USER, "name": "Edwina"},)
    assert parse_messages([{**USER, "name": ""}]) == (USER,)


def test_tool_calls_of_every_form() -> None:
    expected = {
        "id": "c1",
        "type": "function",
        "function": {"name": "look_up", "arguments": '{"city":"Leeds"}'},
    }
    args = {"city": "Leeds"}
    for item in (
        lang("ai", "", tool_calls=[{"name": "look_up", "args": args, "id": "c1", "type": "tool_call"}]),
        lang("ai", "", additional_kwargs={"tool_calls": [expected]}),
        lang("ai", "", invalid_tool_calls=[{"name": "look_up", "args": '{"city":"Leeds"}', "id": "c1"}]),
        {"role": "assistant", "content": None, "tool_calls": [expected]},
        lang("ai", [{"type": "tool_use", "name": "look_up"}], tool_calls=[expected]),
    ):
        assert parse_messages([item]) == ({"role": "assistant", "content": None, "tool_calls": [expected]},)
    assert parse_messages([lang("ai", "so", tool_calls=[expected])])[0]["content"] == "so"
    assert parse_messages([lang("tool", "rain", tool_call_id="c1")]) == (
        {"role": "tool", "content": "rain", "tool_call_id": "c1"},
    )


def test_a_function_and_its_result_find_each_other() -> None:
    call, result = parse_messages(
        [
            lang("ai", "", additional_kwargs={"function_call": {"name": "look_up", "arguments": "{}"}}),
            lang("function", "rain", name="look_up"),
        ]
    )
    assert result["tool_call_id"] == call["tool_calls"][0]["id"]
    assert (result["role"], result["name"]) == ("tool", "look_up")


def test_parts() -> None:
    parts = [
        "who is this?",
        {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "high"}},
        {"type": "image", "base64": "AA", "mime_type": "image/jpeg"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "AA"}},
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
    ]
    assert parse_messages([lang("human", parts)])[0]["content"] == [
        {"type": "text", "text": "who is this?"},
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AA"}},
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,AA"}},
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
    ]
    reasoned = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}]
    assert parse_messages([lang("ai", reasoned)])[0]["content"] == [{"type": "text", "text": "so"}]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (None, "input"),
        (7, "input"),
        (True, "input"),
        ({}, "input"),
        ({"topic": "hi"}, "input"),
        ({"text": "hi"}, "input"),
        ({"messages": 7}, "input.messages"),
        ({"messages": None, "input": "hi"}, "input.messages"),
        ({"input": None}, "input.input"),
        ({"input": 7}, "input.input"),
        ({"messages": ["hi", 7]}, "input.messages[1]"),
        (["hi", None], "input[1]"),
        ([{"content": "hi"}], "input[0]"),
        ([["human"]], "input[0]"),
        ([["human", "hi", "there"]], "input[0]"),
        ([["king", "hi"]], "input[0][0]"),
        ([[["human"], "hi"]], "input[0][0]"),
        ([["human", 7]], "input[0][1]"),
        ([{"role": "king", "content": "hi"}], "input[0].role"),
        ([{"role": ["user"], "content": "hi"}], "input[0].role"),
        ([{"type": {"a": 1}, "content": "hi"}], "input[0].type"),
        ([{"type": "constructor", "lc": 1, "id": [], "kwargs": {}}], "input[0].type"),
        ([lang("chat", role="king")], "input[0].role"),
        ([lang("human", None)], "input[0].content"),
        ([lang("human", 7)], "input[0].content"),
        ([lang("human", [7])], "input[0].content[0]"),
        ([lang("human", [{"text": "hi"}])], "input[0].content[0].type"),
        ([lang("human", [{"type": "text"}])], "input[0].content[0].text"),
        ([lang("human", [{"type": "image_url"}])], "input[0].content[0].image_url"),
        ([lang("human", [{"type": "x", "x": nested(200)}])], "input[0].content[0]"),
        ([lang("human", ["x"] * 1000)], "input[0].content"),
        ([lang("system", [{"type": "image_url", "image_url": "u"}])], "input[0].content[0].type"),
        ([lang("human", name=7)], "input[0].name"),
        ([lang("tool")], "input[0].tool_call_id"),
        ([lang("function")], "input[0].name"),
        ([lang("ai", tool_calls={})], None),
        ([lang("ai", tool_calls=7)], "input[0].tool_calls"),
        ([lang("ai", tool_calls=[7])], "input[0].tool_calls[0]"),
        ([lang("ai", tool_calls=[{}])], "input[0].tool_calls[0].name"),
        ([lang("ai", tool_calls=[{"name": "f", "id": 7}])], "input[0].tool_calls[0].id"),
        ([lang("ai", tool_calls=[{"name": "f", "args": 7}])], "input[0].tool_calls[0].args"),
        ([lang("ai", tool_calls=[{"name": "f", "args": {"a": nested(300)}}])], "input[0].tool_calls[0].args"),
        ([lang("ai", tool_calls=[{"function": 7}])], "input[0].tool_calls[0].function"),
        ([lang("ai", tool_calls=[{"name": "f"}] * 1000)], "input[0].tool_calls"),
        ([lang("ai", additional_kwargs=7)], "input[0].additional_kwargs"),
        (
            [lang("ai", additional_kwargs={"function_call": 7})],
            "input[0].additional_kwargs.function_call.function",
        ),
    ],
)
def test_what_is_wrong_is_named(value: object, param: str | None) -> None:
    if param is None:
        assert parse_messages(value)
        return
    with pytest.raises(InvalidRequestError) as refused:
        parse_messages(value)
    assert refused.value.param == param
    assert refused.value.fix


def test_limits() -> None:
    limits = ChatTable(max_messages=2, max_characters=10)
    for value, param in (
        ({"messages": ["a"] * 3}, "input.messages"),
        # Too many are not looked at one by one.
        ({"messages": [None] * 3}, "input.messages"),
        ("a" * 11, "input"),
        ([], "input"),
        ({"input": "  "}, "input.input"),
        ([["system", " "]], "input"),
    ):
        with pytest.raises(InvalidRequestError) as refused:
            parse_messages(value, limits=limits)
        assert refused.value.param == param


KEYS = st.sampled_from(
    [
        *("type", "role", "content", "name", "messages", "input", "tool_calls", "invalid_tool_calls"),
        *("additional_kwargs", "function_call", "function", "args", "arguments", "id", "tool_call_id"),
        *("text", "image_url", "url", "base64", "value", "lc_namespace"),
    ]
)
WORDS = st.sampled_from(
    ["human", "ai", "system", "tool", "function", "chat", "user", "assistant", "text", "image_url", "image"]
)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text() | WORDS
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=6),
    max_leaves=30,
)


def parsed(value: object, limits: ChatTable | None) -> tuple[Message, ...] | None:
    try:
        return parse_messages(value, limits=limits)
    except InvalidRequestError as error:
        if error.param is None or not error.param.startswith("input"):
            raise
        return None


@given(JSON)
def test_any_json_is_read_or_refused(value: object) -> None:
    messages = parsed(value, ChatTable())
    if messages is None:
        return
    assert orjson.loads(orjson.dumps(messages)) == list(messages)
    for message in messages:
        assert message["role"] in {"system", "user", "assistant", "tool"}
        assert set(message) <= {"role", "content", "name", "tool_calls", "tool_call_id"}
        assert isinstance(message["content"], str | list) or message["tool_calls"]


MESSAGES = st.fixed_dictionaries(
    {"type": WORDS, "content": st.text() | JSON},
    optional={"role": WORDS, "tool_calls": JSON, "additional_kwargs": JSON, "name": JSON, "tool_call_id": st.text()},
)


@given(st.lists(MESSAGES | JSON, max_size=4))
def test_any_list_of_near_messages_is_read_or_refused(value: object) -> None:
    orjson.dumps(parsed(value, None))


def test_objects_as_langchain_writes_them_are_messages() -> None:
    def written(*name: str, **fields: Any) -> dict[str, Any]:
        return {"lc": 1, "type": "constructor", "id": ["langchain_core", *name], "kwargs": fields}

    asked = written("messages", "HumanMessage", content="Hi", additional_kwargs={}, response_metadata={})
    expected = ({"role": "user", "content": "Hi"},)
    assert parse_messages([asked]) == expected
    assert parse_messages(written("prompt_values", "ChatPromptValue", messages=[asked])) == expected
    for wrong in (written("messages", "constructor", content="Hi"), {"type": "constructor", "kwargs": {}, "id": "x"}):
        with pytest.raises(InvalidRequestError):
            parse_messages([wrong])
