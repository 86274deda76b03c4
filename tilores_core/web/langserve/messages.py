"""What a LangServe client may send as `input`, into messages. Written by hand: it runs on every cached answer."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from tilores_core.contracts import Message
from tilores_core.errors import InvalidRequestError
from tilores_core.settings import ChatTable
from tilores_core.web.langserve.content import (
    ContentError,
    function_call_id,
    read_content,
    read_state,
    read_tool_calls,
)
from tilores_core.web.request import check_limits

_WORDS: Final = {
    "user": ("human", "user", "HumanMessage", "HumanMessageChunk"),
    "assistant": ("ai", "assistant", "AIMessage", "AIMessageChunk"),
    "system": ("system", "developer", "SystemMessage", "SystemMessageChunk"),
    "tool": ("tool", "ToolMessage", "ToolMessageChunk"),
    # Not roles of ours: a result of the calls that were before tools, and a message that has its role apart.
    "function": ("function", "FunctionMessage", "FunctionMessageChunk"),
    "chat": ("chat", "generic", "ChatMessage", "ChatMessageChunk"),
}
# Roles of which a message with nothing but text is complete.
_PLAIN: Final = {word: role for role in ("user", "assistant", "system") for word in _WORDS[role]}
_ROLES: Final = {word: role for role, words in _WORDS.items() for word in words}
_WORDS_OF_MESSAGES: Final = (*_ROLES,)  # not a set: it is asked for values of any type
ASKED: Final = ("input", "question", "query")
"""What chat templates call what the user says."""
_ROLES_FIX: Final = "use one of user (human), assistant (ai), system (developer), tool"
_SHAPES_FIX: Final = 'send a string, a list of messages, {"input": …} or {"messages": […]}'
_MESSAGE_FIX: Final = 'send a string, ["human", "…"] or {"role": "user", "content": "…"}'


def parse_messages(value: object, *, param: str = "input", limits: ChatTable | None = None) -> tuple[Message, ...]:
    """The messages in `value`: a string, a list of messages, an object with `messages` or `input`, a prompt value.

    `param` is what errors call `value`. Raises `InvalidRequestError` naming the part that is wrong, and nothing
    else, for any JSON value. With `limits`, also what `check_limits` raises.
    """
    history: tuple[Message, ...] = ()
    if isinstance(value, dict):
        history = _history(value, param)
        value, param = _inside(value, param)
    if isinstance(value, list):
        if limits is not None and len(value) > limits.max_messages:
            check_limits(tuple(value), limits, param)  # says so before the work of looking at them all
        messages = _parse_list(value, param)
    elif isinstance(value, str):
        messages = ({"role": "user", "content": value},)
    elif isinstance(value, dict):
        try:
            messages = (_parse_message(value),)
        except ContentError as error:
            _refuse(error, param)
    else:
        raise InvalidRequestError("this is not an input", param=param, fix=_SHAPES_FIX)
    if history:
        messages = (*history, *messages)
    return messages if limits is None else check_limits(messages, limits, param)


def _history(value: dict[str, Any], param: str) -> tuple[Message, ...]:
    """Read `chat_history` or `history` beside `input`, as chat templates send it: messages, or pairs of question and
    answer."""
    name = "chat_history" if value.get("chat_history") else "history"
    history = value.get(name)
    if not history or "messages" in value:
        return ()
    at = f"{param}.{name}"
    if not isinstance(history, list):
        raise InvalidRequestError(f"{at} must be a list of messages", param=at, fix=_MESSAGE_FIX)
    items: list[Any] = []
    for item in history:
        is_exchange = isinstance(item, list) and len(item) == 2 and item[0] not in _ROLES
        items += [["human", item[0]], ["ai", item[1]]] if is_exchange else [item]
    return _parse_list(items, at)


def _inside(value: dict[str, Any], param: str) -> tuple[object, str]:
    """What an input object holds, and its path: a list of messages, a text, or one message."""
    value = _constructed(value) or value
    if "messages" in value:
        messages = value["messages"]
        if not isinstance(messages, list | str | dict):
            raise InvalidRequestError("messages must be a list", param=f"{param}.messages", fix="send a list")
        return messages, f"{param}.messages"
    for key in ASKED:
        if key in value:
            return value[key], f"{param}.{key}"
    text = _prompt_text(value)
    if text is None and value.get("type", value.get("role")) in _WORDS_OF_MESSAGES:
        return value, param
    if text is None:
        raise InvalidRequestError("the object has neither messages nor input", param=param, fix=_SHAPES_FIX)
    return text, param


def _constructed(value: dict[str, Any]) -> dict[str, Any] | None:
    """The fields of an object as LangChain writes it to disk, its class as the type; None for another one."""
    fields, name = value.get("kwargs"), value.get("id")
    if value.get("type") != "constructor" or not isinstance(fields, dict) or not isinstance(name, list) or not name:
        return None
    return {**fields, "type": name[-1]}


def _prompt_text(value: dict[str, Any]) -> str | None:
    """The text of a string prompt value, what a plain prompt template sends: Python's form, then JavaScript's."""
    text = None
    if value.get("type") == "StringPromptValue":
        text = value.get("text", value.get("value"))
    elif value.get("lc_namespace") == ["langchain_core", "prompt_values"]:
        text = value.get("value")
    return text if isinstance(text, str) else None


def _parse_list(values: list[Any], param: str) -> tuple[Message, ...]:
    messages: list[Message] = []
    try:
        for item in values:
            # Nearly every message is plain.
            if type(item) is dict:
                word, content = item.get("type") or item.get("role"), item.get("content")
                if type(content) is str and type(word) is str and not item.get("name"):
                    role = _PLAIN.get(word)
                    if role == "user" or role == "system" or (role and not _may_hold_calls(item)):
                        messages.append({"role": role, "content": content})
                        continue
            messages.append(_parse_message(item))
    except ContentError as error:
        _refuse(error, f"{param}[{len(messages)}]")
    return tuple(messages)


def _may_hold_calls(item: dict[str, Any]) -> bool:
    return bool(item.get("tool_calls") or item.get("additional_kwargs") or item.get("invalid_tool_calls"))


def _refuse(error: ContentError, param: str) -> NoReturn:
    raise InvalidRequestError(error.message, param=f"{param}{error.path}", fix=error.fix) from None


def _parse_message(item: object) -> Message:
    if isinstance(item, dict):
        word = item.get("type")
        if word == "constructor" and (made := _constructed(item)):
            item, word = made, made["type"]
        elif isinstance(data := item.get("data"), dict) and "content" not in item:  # as histories are kept
            item = {**data, "type": word}
        role = _ROLES.get(word) if isinstance(word, str) else None
        if role is None or role == "chat":
            role = _read_role(item)
        return _parse_fields(item, role, item.get("content"))
    if isinstance(item, str):
        return {"role": "user", "content": item}
    if isinstance(item, list):
        return _parse_pair(item)
    raise ContentError("", "this is not a message", _MESSAGE_FIX)


def _read_role(item: dict[str, Any]) -> str:
    word = item.get("role")
    role = _ROLES.get(word) if isinstance(word, str) else None
    if role is not None and role != "chat":
        return role
    if "role" in item:
        raise ContentError(".role", "unknown role", _ROLES_FIX)
    if "type" in item:
        raise ContentError(".type", "unknown type of message", _ROLES_FIX)
    raise ContentError("", "a message needs a role or a type", _MESSAGE_FIX)


def _parse_fields(item: dict[str, Any], role: str, content: object) -> Message:
    if role == "function":
        return _function_result(item, content)
    if role == "assistant":
        return _assistant(item, content)
    message: Message = {"role": role, "content": read_content(content, role)}
    _add_name(message, item)
    if role == "tool":
        call_id = item.get("tool_call_id")
        if not isinstance(call_id, str) or not call_id:
            raise ContentError(".tool_call_id", "a tool message needs the id of its call", "send a string")
        message["tool_call_id"] = call_id
    return message


def _assistant(item: dict[str, Any], content: object) -> Message:
    calls = read_tool_calls(item)
    state = read_state(item, calls) if calls else {}
    if calls and not content:
        message: Message = {"role": "assistant", "content": None, "tool_calls": calls}
    else:
        message = {"role": "assistant", "content": read_content(content, "assistant")}
        if calls:
            # Nothing but another provider's own blocks were in it.
            message["content"] = message["content"] or None
            message["tool_calls"] = calls
    message.update(state)  # type: ignore[typeddict-item]
    _add_name(message, item)
    return message


def _function_result(item: dict[str, Any], content: object) -> Message:
    name = item.get("name")
    if not isinstance(name, str) or not name:
        raise ContentError(".name", "a function message needs the function's name", "send a string")
    return {
        "role": "tool",
        "content": read_content(content, "tool"),
        "name": name,
        "tool_call_id": function_call_id(name),
    }


def _add_name(message: Message, item: dict[str, Any]) -> None:
    name = item.get("name")
    if not name:
        return
    if not isinstance(name, str):
        raise ContentError(".name", "name must be a string", "send a string or leave it out")
    message["name"] = name


def _parse_pair(item: list[Any]) -> Message:
    if len(item) != 2:
        raise ContentError("", "a list inside the list must be a pair of role and content", _MESSAGE_FIX)
    word, content = item
    role = _ROLES.get(word) if isinstance(word, str) else None
    if role not in ("user", "assistant", "system"):
        raise ContentError("[0]", "unknown role", "use one of human, ai, system")
    try:
        return {"role": role, "content": read_content(content, role)}
    except ContentError as error:
        raise ContentError(error.path.replace(".content", "[1]", 1), error.message, error.fix) from None
