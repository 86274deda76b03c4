from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from tilores_core.errors import InvalidRequestError
from tilores_core.settings import ChatTable
from tilores_core.web.langserve.decode import EventFilters, decode_batch, decode_run
from tilores_core.web.langserve.errors import error_reply
from tilores_core.web.request import ChatRequest

LIMITS = ChatTable(max_batch=3)
RUN_ID = "8e2d1f0a-0d9f-4ab4-8a53-2f4f3a1f0b11"


def body(**fields: Any) -> bytes:
    return orjson.dumps(fields)


def run(**configurable: Any) -> ChatRequest:
    return decode_run(body(input="hi", config={"configurable": configurable}), LIMITS).chat


def refused(decode: Any, data: bytes) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidRequestError) as error:
        decode(data, LIMITS)
    status, reply, _ = error_reply(error.value)
    return status, reply


def test_the_least() -> None:
    request = decode_run(b'{"input": "hi"}', LIMITS)
    assert request.chat == ChatRequest(messages=({"role": "user", "content": "hi"},))
    assert request.input == "hi"
    assert request.filters == EventFilters()
    assert decode_run(b'{"input": "hi", "config": null, "kwargs": null}', LIMITS) == request


def test_what_clients_send() -> None:
    python = body(
        input="hi",
        config={
            "tags": [],
            "metadata": {"customer_id": "C1"},
            "recursion_limit": 25,
            "configurable": {"customer_id": "C1"},
        },
        kwargs={},
        diff=True,
        include_names=None,
        include_types=["chat_model"],
        include_tags=None,
        exclude_names=None,
        exclude_types=None,
        exclude_tags=["quiet"],
    )
    request = decode_run(python, LIMITS)
    assert request.chat.customer_id == "C1"
    assert request.metadata == {"customer_id": "C1"}
    assert request.filters == EventFilters(include_types=["chat_model"], exclude_tags=["quiet"])
    javascript = body(
        input="hi",
        config={"recursionLimit": 25, "metadata": {"line": 3}, "runId": RUN_ID, "tags": ["desk"]},
        kwargs={"version": "v2"},
    )
    request = decode_run(javascript, LIMITS)
    assert (request.metadata, request.tags, request.chat.run_id) == ({"line": 3}, ("desk",), RUN_ID)


def test_configurable() -> None:
    assert run(
        model="openai:gpt-4o-mini",
        customer_id="C1",
        session_id=7,
        max_age=60,
        no_cache=True,
        temperature=1,
        top_p=0.5,
        max_tokens=10,
        stop="END",
        seed=-1,
        thread_id={"unknown": "ignored"},
    ) == ChatRequest(
        messages=({"role": "user", "content": "hi"},),
        model="openai:gpt-4o-mini",
        customer_id="C1",
        session_id="7",
        max_age=60.0,
        no_cache=True,
        parameters={"temperature": 1.0, "top_p": 0.5, "max_tokens": 10, "stop": ["END"], "seed": -1},
    )
    assert run(model=None, customer_id="", max_age=None) == run()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", 7),
        ("model", ""),
        ("model", "x" * 300),
        ("customer_id", True),
        ("customer_id", ["C1"]),
        ("customer_id", "a\nb"),
        ("session_id", {}),
        ("session_id", "x" * 300),
        ("max_age", "60"),
        ("max_age", -1),
        ("max_age", True),
        ("no_cache", 1),
        ("no_cache", "true"),
        ("temperature", "hot"),
        ("temperature", 2.1),
        ("top_p", -0.1),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("stop", [""]),
        ("stop", ["x"] * 17),
        ("stop", 7),
        ("seed", 1.5),
    ],
)
def test_wrong_settings_are_named(key: str, value: object) -> None:
    status, reply = refused(decode_run, body(input="hi", config={"configurable": {key: value}}))
    assert status == 422
    assert reply["detail"][0]["loc"][:3] == ["config", "configurable", key]
    assert reply["message"].startswith(f"config.configurable.{key}")


@pytest.mark.parametrize(
    ("data", "loc"),
    [
        (b"[]", ["body"]),
        (b"7", ["body"]),
        (b"{}", ["input"]),
        (b'{"input": null}', ["input"]),
        (body(input="hi", config=[]), ["config"]),
        (body(input="hi", config="x"), ["config"]),
        (body(input="hi", config={"configurable": [1]}), ["config", "configurable"]),
        (body(input="hi", config={"tags": "x"}), ["config", "tags"]),
        (body(input="hi", config={"tags": [7]}), ["config", "tags", 0]),
        (body(input="hi", config={"tags": ["x"] * 100}), ["config", "tags"]),
        (body(input="hi", config={"metadata": "x"}), ["config", "metadata"]),
        (body(input="hi", config={"metadata": {"x": "x" * 20_000}}), ["config", "metadata"]),
        (b'{"input":"hi","config":{"metadata":{"x":%b}}}' % (b"[" * 500 + b"]" * 500), ["config", "metadata"]),
        (body(input="hi", config=None, kwargs=None, include_names="x"), ["include_names"]),
        (body(input="hi", config=None, kwargs=None, exclude_tags=[7]), ["exclude_tags", 0]),
        (body(input={"messages": ["hi", 7]}), ["input", "messages", 1]),
    ],
)
def test_what_is_wrong_is_named(data: bytes, loc: list[str | int]) -> None:
    status, reply = refused(decode_run, data)
    assert (status, reply["detail"][0]["loc"]) == (422, loc)


@pytest.mark.parametrize("data", [b"", b"{", b"nope", b"\xff", b'{"input": NaN}', b"[" * 2000])
def test_malformed_json(data: bytes) -> None:
    for decode in (decode_run, decode_batch):
        assert refused(decode, data) == (422, {"detail": ["Invalid JSON body"], "message": "Invalid JSON body"})


def test_a_run_id_that_is_no_uuid_is_ignored() -> None:
    for run_id in ("nope", 7, "8E2D1F0A" * 4, ["x"], "{" + "x" * 34 + "}"):
        assert decode_run(body(input="hi", config={"run_id": run_id}), LIMITS).chat.run_id is None
    assert decode_run(body(input="hi", config={"run_id": RUN_ID.upper()}), LIMITS).chat.run_id == RUN_ID


def test_the_bodys_config_wins_over_the_paths() -> None:
    base = {
        "configurable": {"customer_id": "C1", "model": "demo:one"},
        "tags": ["a"],
        "metadata": {"x": 1, "y": 1},
    }
    config = {"configurable": {"customer_id": "C2"}, "tags": ["b"], "metadata": {"x": 2}}
    request = decode_run(body(input="hi", config=config), LIMITS, base_config=base)
    assert (request.chat.customer_id, request.chat.model) == ("C2", "demo:one")
    assert (request.tags, request.metadata) == (("a", "b"), {"x": 2, "y": 1})
    for config in (None, {"configurable": None, "tags": [], "metadata": {}}):  # type: ignore[assignment]
        request = decode_run(body(input="hi", config=config), LIMITS, base_config=base)
        assert (request.chat.customer_id, request.tags) == ("C1", ("a",))
    assert refused(lambda data, limits: decode_run(data, limits, base_config={"configurable": 7}), body(input="hi"))[
        1
    ]["detail"][0]["loc"] == ["config", "configurable"]


def test_batch() -> None:
    first, second = decode_batch(
        body(inputs=["a", ["b"]], config={"configurable": {"customer_id": "C1"}, "run_id": RUN_ID}, kwargs=[{}, {}]),
        LIMITS,
    )
    assert (first.chat.messages[0]["content"], second.chat.messages[0]["content"]) == ("a", "b")
    assert (first.chat.customer_id, second.chat.customer_id) == ("C1", "C1")
    assert (first.chat.run_id, second.chat.run_id) == (RUN_ID, None)
    first, second = decode_batch(
        body(inputs=["a", "b"], config=[None, {"configurable": {"customer_id": "C2"}}]), LIMITS
    )
    assert (first.chat.customer_id, second.chat.customer_id) == (None, "C2")
    assert decode_batch(b'{"inputs": []}', LIMITS) == ()


def test_a_list_of_configs_must_fit() -> None:
    text = "Number of configs (1) must match number of inputs (2)"
    assert refused(decode_batch, body(inputs=["a", "b"], config=[{}])) == (422, {"detail": text, "message": text})


@pytest.mark.parametrize(
    ("data", "loc"),
    [
        (b"{}", ["inputs"]),
        (b'{"inputs": "ab"}', ["inputs"]),
        (body(inputs=["a"] * 4), ["inputs"]),
        (body(inputs=["a", 7]), ["inputs", 1]),
        (body(inputs=["a"], config="x"), ["config"]),
        (body(inputs=["a"], config=[7]), ["config", 0]),
        (body(inputs=["a"], config=[{"configurable": {"model": 7}}]), ["config", 0, "configurable", "model"]),
    ],
)
def test_what_is_wrong_in_a_batch_is_named(data: bytes, loc: list[str | int]) -> None:
    status, reply = refused(decode_batch, data)
    assert (status, reply["detail"][0]["loc"]) == (422, loc)


def test_filters() -> None:
    tags = ("desk", "night")
    assert EventFilters().passes(name="n", type="t", tags=tags)
    assert EventFilters(include_names=["x"], include_tags=["night"]).passes(name="n", type="t", tags=tags)
    assert not EventFilters(include_names=["x"], include_types=["y"]).passes(name="n", type="t", tags=tags)
    assert not EventFilters(include_names=["n"], exclude_tags=["desk"]).passes(name="n", type="t", tags=tags)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
SETTINGS = ["model", "customer_id", "session_id", "max_age", "no_cache", "temperature", "stop", "seed", "max_tokens"]
CONFIG = st.fixed_dictionaries(
    {},
    optional={
        "configurable": ANY | st.dictionaries(st.sampled_from(SETTINGS), ANY, max_size=5),
        "tags": ANY,
        "metadata": ANY,
        "run_id": ANY,
    },
)


def fault(work: Callable[[], object]) -> InvalidRequestError | None:
    try:
        work()
    except InvalidRequestError as error:
        return error
    return None


@given(config=CONFIG | ANY, base=CONFIG, kwargs=ANY, names=ANY)
def test_any_config_is_read_or_refused(config: Any, base: Any, kwargs: Any, names: Any) -> None:
    data = body(input="hi", config=config, kwargs=kwargs, include_names=names)
    error = fault(lambda: decode_run(data, LIMITS, base_config=base))
    assert error is None or (error.param is not None and error_reply(error)[0] == 422)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for decode in (decode_run, decode_batch):
        error = fault(lambda decode=decode: decode(data, LIMITS))  # type: ignore[misc]
        assert error is None or error_reply(error)[0] == 422


def test_parameters_among_the_arguments_of_the_call_take_effect() -> None:
    config = {"configurable": {"temperature": 0.5, "seed": 1}}
    arguments = {"stop": "end", "temperature": 0.2, "version": "v2", "top_p": None, "max_completion_tokens": 5}
    body = {"input": "x", "config": config, "kwargs": arguments}
    expected = {"temperature": 0.2, "seed": 1, "stop": ["end"], "max_tokens": 5}
    assert decode_run(orjson.dumps(body), LIMITS).chat.parameters == expected


@pytest.mark.parametrize(
    ("kwargs", "seeds"),
    [([{"seed": 1}], [1, None]), ({"seed": 2}, [2, 2]), ([{}, {"seed": 3}, {"seed": 4}], [None, 3])],
)
def test_arguments_of_a_batch_are_one_object_or_a_list(kwargs: Any, seeds: list[int | None]) -> None:
    batch = decode_batch(orjson.dumps({"inputs": ["x", "y"], "kwargs": kwargs}), LIMITS)
    assert [run.chat.parameters.get("seed") for run in batch] == seeds


@pytest.mark.parametrize(
    ("kwargs", "param"),
    [
        ({"temperature": 9}, "kwargs.temperature"),
        ({"tools": [{}]}, "kwargs.tools"),
        ({"n": 2}, "kwargs.n"),
        ({"presence_penalty": 1}, "kwargs.presence_penalty"),
        ({"max_completion_tokens": 0}, "kwargs.max_tokens"),
    ],
)
def test_arguments_of_the_call_that_no_answer_follows_are_refused_by_name(kwargs: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decode_run(orjson.dumps({"input": "x", "kwargs": kwargs}), LIMITS)
    assert caught.value.param == param
    with pytest.raises(InvalidRequestError) as caught:
        decode_batch(orjson.dumps({"inputs": ["x", "y"], "kwargs": [{}, kwargs]}), LIMITS)
    assert caught.value.param == param.replace("kwargs", "kwargs[1]")


@pytest.mark.parametrize("kwargs", [None, [], "x", {"version": "v2", "signal": {}, "tools": None, "n": 0}])
def test_other_arguments_of_the_call_are_ignored(kwargs: Any) -> None:
    assert decode_run(orjson.dumps({"input": "x", "kwargs": kwargs}), LIMITS).chat.parameters == {}
