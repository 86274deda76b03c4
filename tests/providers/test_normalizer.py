"""What providers send, and what the engine gets of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import structlog.testing
from hypothesis import given, strategies as st

from tilores_core.contracts import CompletionPiece, Delta, FinishReason, Usage
from tilores_core.llm.normalizer import Completion, Normalizer


def read(*pieces: CompletionPiece | str) -> tuple[list[Delta], Completion]:
    """What goes out, and the whole."""
    answer = Normalizer()
    deltas = [answer.add(CompletionPiece(piece) if isinstance(piece, str) else piece) for piece in pieces]
    deltas.append(answer.finish())
    return [delta for delta in deltas if delta is not None], answer.completion()


def text_of(*pieces: str) -> str:
    deltas, whole = read(*pieces)
    assert "".join(delta.text for delta in deltas) == whole.text
    whole.text.encode()
    return whole.text


def call(**given: Any) -> CompletionPiece:
    function = {key: given.pop(key) for key in ("name", "arguments") if key in given}
    return CompletionPiece(tool_calls=[{**given, "function": function}])


def calls_of(*pieces: CompletionPiece) -> list[tuple[str, Any]]:
    """The calls, checked to be the same for a client that joins the pieces by index."""
    deltas, whole = read(*pieces)
    joined: list[dict[str, str]] = []
    for delta in deltas:
        for piece in delta.tool_calls:
            if piece["index"] == len(joined):
                joined.append({"id": piece["id"], "name": "", "arguments": ""})
            for key, value in piece["function"].items():
                joined[piece["index"]][key] += value
    assert joined == [
        {"id": one["id"], "name": one["function"]["name"], "arguments": one["function"]["arguments"]}
        for one in whole.tool_calls
    ]
    assert all(one["id"] for one in whole.tool_calls)
    assert len({one["id"] for one in whole.tool_calls}) == len(whole.tool_calls)
    return [(one["function"]["name"], one["function"]["arguments"]) for one in whole.tool_calls]


# --- text


def test_surrogate_pair_in_two_pieces_is_joined() -> None:
    assert text_of("Good \ud83d", "\udc4d day") == "Good 👍 day"
    assert text_of("Good ", "\ud83d", "", "\udc4d", " day") == "Good 👍 day"


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (("a\ud83d", "b"), "a�b"),
        (("a\udc4db",), "a�b"),
        (("a\ud83d",), "a�"),
        (("\ud83d\ud83d", "\udc4d"), "�👍"),
    ],
)
def test_lone_surrogate_is_replaced(pieces: tuple[str, ...], text: str) -> None:
    assert text_of(*pieces) == text


@given(st.lists(st.text(st.characters(categories=("Cs", "Ll", "So")), max_size=4), max_size=8))
def test_any_text_comes_out_as_valid_unicode(pieces: list[str]) -> None:
    text_of(*pieces)


THOUGHTS = "<think>She asks for < 5.\nHm.</think>\n\nThe fee is <b>5</b>."


@pytest.mark.parametrize("size", range(1, 12))
def test_thoughts_in_the_text_are_left_out_however_it_is_cut(size: int) -> None:
    pieces = [THOUGHTS[start : start + size] for start in range(0, len(THOUGHTS), size)]
    assert text_of(*pieces) == "The fee is <b>5</b>."


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("One. <think>two</think> Three.", "One. Three."),
        ("<thinking>a</thinking>b", "b"),
        ("a < b <th c", "a < b <th c"),
        ("It is <think", "It is <think"),
        ("<think>never closed", ""),
        ("from the prompt's own tag</think>\nAnswer.", "Answer."),
        ("<think></think>", ""),
        ("<THINK>a</Think>b", "b"),
        ("<thought>a</thought> <reasoning>b</reasoning>c", "c"),
        ("<mm:think>a</mm:think><reflection>b</reflection>c", "c"),
        ("[THINK]a[/THINK]b [think] [link](x)", "b [think] [link](x)"),
        ("◁think▷a◁/think▷b ◁ c", "b ◁ c"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>", "b"),
        ("Fine.<|im_end|>", "Fine."),
        ("Fine.</s> a <|b|> c", "Fine. a <|b|> c"),
        ("analysisThe user asks.assistantfinalFine.", "Fine."),
        ("analysis of the data", "analysis of the data"),
        ("assistant<|channel|>final <|constrain|>text<|message|>Fine.<|return|>", "Fine."),
        ("<|channel|>commentary to=functions.find <|message|>{}<|call|>Fine.", "Fine."),
        ("<|channel>thought\na<channel|>Fine.<turn|>", "Fine."),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>Fine.<|END_RESPONSE|>", "Fine."),
        ("<|inner_prefix|>a<|inner_suffix|>Fine.", "Fine."),
        ('<details type="reasoning" done="true">\n> a\n</details>\nFine.', "Fine."),
        ('<think time="3">a</think>Fine.', "Fine."),
        ("It is <|begin_of_box|>40<|end_of_box|> euros.", "It is 40 euros."),
        ("<｜Assistant｜><scratchpad>Hm.</scratchpad><s>Fine.</s>", "Fine."),
        ("<|begin_of_thought|>Hm.<|end_of_thought|>\n\n<|begin_of_solution|>Fine.<|end_of_solution|>", "Fine."),
        (
            "<|open|>think<|sep|>Hm.<|close|>think<|sep|><|open|>response<|sep|>Fine.<|close|>response<|sep|>",
            "Fine.",
        ),
        ("<|start_header_id|>assistant<|end_header_id|>\n\nFine.<|eot_id|>", "Fine."),
        ("Fine.<|im_end|>\n<|im_start|>user\nThanks, and Bob?", "Fine."),
        ("Fine.<end_of_turn>\n<start_of_turn>user\nThanks, and Bob?", "Fine."),
    ],
)
def test_tags_of_thoughts(text: str, spoken: str) -> None:
    assert text_of(text) == spoken
    if "prompt" not in text:
        assert text_of(*text) == spoken


BESIDE = CompletionPiece(state={"reasoning_content": "Hm."})
MIXED: dict[str, tuple[str, bool]] = {
    "I look it up.</think>\n\nForty.": ("Forty.", True),
    "I look it up.": ("I look it up.", False),  # no thought after all
    "<think>a<think>b</think>c</think>Forty.": ("Forty.", False),
    "<think>\n<think>a</think>Forty.": ("Forty.", False),
    "<thinking>a</think>Forty.": ("Forty.", False),
    "<think>a</thinking>Forty.": ("Forty.", False),
    "<think>a</think>\n</think>\nForty.": ("Forty.", False),
    "<think>a</think>Forty.</think>": ("Forty.", False),
    "<think>No <think> now.</think>One. <think>b</think>Two.": ("One. Two.", False),
    "<think/>\nForty.": ("Forty.", False),
    "<think>never closed": ("", False),
}


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize("text", MIXED)
def test_mixed_thoughts_are_neither_said_nor_take_text_with_them(text: str, size: int) -> None:
    spoken, began = MIXED[text]
    pieces = [CompletionPiece(text[at : at + size]) for at in range(0, len(text), size)]
    for in_thought in (False, True):
        said, answer = heard(pieces, in_thought=in_thought)
        assert answer.completion().text == spoken
        assert answer.began_in_thought is began
        assert said == spoken or (began and not in_thought)  # said before it could be known


@pytest.mark.parametrize("in_thought", [False, True])
@pytest.mark.parametrize(
    "texts", [("For", "ty."), ("</think>\n", "Forty."), ("Forty.", "</think>"), ("<think>a</think>Forty.",)]
)
def test_thoughts_beside_the_text_and_tags_in_it(texts: tuple[str, ...], in_thought: bool) -> None:
    pieces = [BESIDE, *map(CompletionPiece, texts)]
    for unless_beside in (False, True):
        said, answer = heard(pieces, in_thought=in_thought, unless_beside=unless_beside)
        assert said == answer.completion().text == "Forty."
        assert not answer.began_in_thought


def test_text_is_not_held_where_thoughts_come_beside_it() -> None:
    answer = Normalizer(in_thought=True, unless_beside=True)
    assert [answer.add(piece) for piece in (BESIDE, CompletionPiece("Forty."))] == [None, Delta(text="Forty.")]


def heard(pieces: list[CompletionPiece], **expected: Any) -> tuple[str, Normalizer]:
    answer = Normalizer(**expected)
    deltas = [*map(answer.add, pieces), answer.finish()]
    return "".join(delta.text for delta in deltas if delta is not None), answer


def test_nul_is_left_out() -> None:
    assert text_of("a\0b", "\0", "c") == "abc"


@given(st.text("<>/think ab", max_size=40), st.lists(st.integers(0, 40), max_size=6))
def test_text_without_whole_tags_is_left_as_it_is(text: str, cuts: list[int]) -> None:
    if "<think>" in text or "</think>" in text:
        return
    ends = sorted({min(cut, len(text)) for cut in cuts} | {len(text)})
    assert text_of(*(text[start:end] for start, end in zip([0, *ends], ends, strict=False))) == text


# --- usage


def test_totals_in_every_piece_are_totals() -> None:
    counted = [Usage(input_tokens=90, output_tokens=n) for n in (1, 2, 7, 7)]
    _, whole = read(*(CompletionPiece("x", usage=usage) for usage in counted))
    assert whole.usage == Usage(input_tokens=90, output_tokens=7)


def test_zeros_behind_the_totals_take_nothing_away() -> None:
    _, whole = read(
        CompletionPiece("x", usage=Usage(input_tokens=90, output_tokens=7)), CompletionPiece(usage=Usage())
    )
    assert whole.usage == Usage(input_tokens=90, output_tokens=7)


# --- state


def thought(**part: Any) -> dict[str, Any]:
    return {"type": "thinking", **part}


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (
            [thought(text="Let", index=0), thought(text=" me.", index=0), thought(signature="s", index=0)],
            [thought(text="Let me.", signature="s", index=0)],
        ),
        (
            [thought(text="a", index=0), thought(text="b", index=1)],
            [thought(text="a", index=0), thought(text="b", index=1)],
        ),
        (
            [
                thought(thinking="Let", signature=None),
                thought(thinking=" me."),
                thought(thinking="Let me.", signature="s"),
            ],
            [thought(thinking="Let me.", signature="s")],
        ),
        (
            [thought(thinking="a", signature="s"), thought(thinking="b")],
            [thought(thinking="a", signature="s"), thought(thinking="b")],
        ),
        (2 * [thought(data="x")], 2 * [thought(data="x")]),
        (["a", {"b": 1}, None], ["a", {"b": 1}, None]),
    ],
    ids=["openrouter", "two", "litellm", "signed", "redacted", "unknown"],
)
def test_pieces_of_a_thought_are_one(parts: list[Any], joined: list[Any]) -> None:
    sent = [CompletionPiece(state={"reasoning_details": [part]}) for part in parts]
    _, whole = read(*sent, call(id="a", name="f"))
    assert whole.state == {"reasoning_details": joined}


# --- the end


@pytest.mark.parametrize(
    ("reason", "finish", "ended"),
    [
        ("stop", "stop", True),
        ("STOP", "stop", True),
        ("end_turn", "stop", True),
        ("length", "length", True),
        ("MAX_TOKENS", "length", True),
        ("function_call", "tool_calls", True),
        ("content_filter", "content_filter", True),
        ("SAFETY", "content_filter", True),
        ("insufficient_system_resource", None, False),
        ("abort", None, False),
        ("pause_turn", None, False),
        ("MALFORMED_FUNCTION_CALL", None, False),
        ("error", None, False),
        ("brand_new_reason", None, True),
        ("FinishReason.MAX_TOKENS", "length", True),
        ("sensitive", "content_filter", True),
        ("content-filter", "content_filter", True),
        ("null", None, False),
        ("None", None, False),
        (None, None, False),
    ],
)
def test_finish_reasons(reason: str | None, finish: FinishReason | None, ended: bool) -> None:
    _, whole = read("Some text", CompletionPiece(finish_reason=reason))
    assert (whole.finish_reason, whole.ended) == (finish, ended)


def test_unknown_finish_reason_is_logged() -> None:
    with structlog.testing.capture_logs() as logs:
        read("x", CompletionPiece(finish_reason="brand_new_reason"))
    assert [(entry["event"], entry["reason"]) for entry in logs] == [
        ("model.finish_reason_unknown", "brand_new_reason")
    ]


@pytest.mark.parametrize("text", ["", "  \n", "<think>x</think>\n"])
def test_answer_without_anything_is_empty(text: str) -> None:
    assert read(text)[1].is_empty
    assert not read(text, call(name="f"))[1].is_empty


# --- tool calls


def test_call_in_pieces_without_index_is_one_call() -> None:
    pieces = call(id="a", name="find", arguments=""), call(arguments='{"x"'), call(arguments=":1}")
    assert calls_of(*pieces) == [("find", '{"x":1}')]


def test_two_calls_in_pieces_without_index_are_told_apart_by_their_ids() -> None:
    pieces = (
        call(id="a", name="find", arguments="{"),
        call(arguments="}"),
        call(id="b", name="tell", arguments="{}"),
        call(id="a", arguments=" "),
    )
    assert calls_of(*pieces) == [("find", "{} "), ("tell", "{}")]


def test_calls_without_index_and_id_are_told_apart_by_their_names() -> None:
    assert calls_of(call(name="find"), call(name="tell", arguments="{}"), call(name="tell", arguments='{"x":1}')) == [
        ("find", "{}"),
        ("tell", "{}"),
        ("tell", '{"x":1}'),
    ]


def test_index_that_is_used_again_with_another_id_begins_another_call() -> None:
    pieces = (
        call(index=0, id="a", name="f", arguments="{"),
        call(index=0, arguments="}"),
        call(index=0, id="b", name="g"),
    )
    assert calls_of(*pieces) == [("f", "{}"), ("g", "{}")]


def test_name_that_is_repeated_in_each_piece_is_said_once() -> None:
    pieces = (call(index=0, id="a", name="f", arguments=part) for part in ("{", '"x"', ":1}"))
    assert calls_of(*pieces) == [("f", '{"x":1}')]


def test_index_that_begins_at_one_is_counted_from_zero() -> None:
    deltas, _ = read(call(index=1, id="a", name="f", arguments="{}"), call(index=2, id="b", name="g", arguments="{}"))
    assert [piece["index"] for delta in deltas[:2] for piece in delta.tool_calls] == [0, 1]


@pytest.mark.parametrize("given", [{"city": "Łódź", "n": 2**70}, {}])
def test_arguments_as_an_object_become_text(given: dict[str, Any]) -> None:
    ((name, arguments),) = calls_of(call(id="a", name="f", arguments=given))
    assert (name, json.loads(arguments)) == ("f", given)


@pytest.mark.parametrize(
    "piece", [call(id="a", name="f"), call(id="a", name="f", arguments=None), call(name="f", arguments="")]
)
def test_call_without_arguments_has_empty_ones(piece: CompletionPiece) -> None:
    assert calls_of(piece) == [("f", "{}")]


def test_id_that_is_used_again_is_of_another_call() -> None:
    for index in (None, 0):
        pieces = (
            call(index=index, id="a", name="f", arguments='{"x":1}'),
            call(index=index, id="a", name="f", arguments='{"x":2}'),
        )
        assert calls_of(*pieces) == [("f", '{"x":1}'), ("f", '{"x":2}')]
    pieces = call(index=0, id="a", name="f", arguments="{}"), call(index=1, id="a", name="g", arguments="{}")
    assert calls_of(*pieces) == [("f", "{}"), ("g", "{}")]


def test_call_that_is_repeated_whole_at_its_end_is_one_call() -> None:
    parts = ('{"x"', ":1}")
    pieces = (call(index=0, id="a", name="f", arguments=""), *(call(index=0, arguments=part) for part in parts))
    for again in ({"id": "a"}, {}):
        end = call(index=0, name="f", arguments="".join(parts), **again)
        assert calls_of(*pieces, end) == [("f", '{"x":1}')]


def test_new_id_with_each_piece_is_one_call() -> None:
    pieces = (
        call(index=0, id=f"a{number}", name="" if number else "f", arguments=part)
        for number, part in enumerate(("{", '"x"', ":1}"))
    )
    assert calls_of(*pieces) == [("f", '{"x":1}')]


@pytest.mark.parametrize("name", ["f<|channel|>commentary", "functions.f"])
def test_name_in_the_models_own_format_is_the_name(name: str) -> None:
    assert calls_of(call(id="a", name=name, arguments="null")) == [("f", "{}")]


ONE = [("f", '{"x":1}')]


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        ([{"arguments": "{}"}, {"arguments": '{"x"'}, {"arguments": ":1}"}], ONE),  # begins with an empty object
        ([{"arguments": '{"x"'}, {"arguments": '{"x":1'}, {"arguments": '{"x":1}'}], ONE),  # all so far, each time
        ([{"arguments": '{"x"'}, {"arguments": ":1}"}, {"arguments": '{"x":1}'}], ONE),  # all of it at the end
        ([{"arguments": []}], [("f", "{}")]),  # PHP's empty object
        ([{"arguments": "None"}], [("f", "{}")]),
        ([{"arguments": '"{\\"x\\"'}, {"arguments": ':1}"'}], ONE),  # JSON written as JSON once more
        ([{"arguments": '"text"'}], [("f", '"text"')]),
        ([{"arguments": '```json\n{"x":1}\n```'}], ONE),
        ([{"arguments": '<tool_call>\n{"name": "f", '}, {"arguments": '"arguments": {"x":1}}\n</tool_call>'}], ONE),
        ([{"arguments": '<tool_call>{"name": "g"}'}], [("f", '<tool_call>{"name": "g"}')]),
    ],
)
def test_arguments_as_some_servers_write_them(pieces: list[dict[str, Any]], calls: list[tuple[str, str]]) -> None:
    first, *more = pieces
    assert calls_of(call(index=0, id="a", name="f", **first), *(call(index=0, **one) for one in more)) == calls


def test_call_without_a_function_around_it_is_read() -> None:
    assert calls_of(CompletionPiece(tool_calls=[{"id": 7, "name": "f", "arguments": '{"x":1}'}])) == ONE
    assert calls_of(CompletionPiece(tool_calls=[{"name": "f", "parameters": {"x": 1}}])) == ONE


def test_empty_call_beside_another_is_left_out() -> None:
    empty = call(index=1, id="", name="", arguments="")
    assert calls_of(empty, call(index=0, id="a", name="f", arguments='{"x":1}')) == ONE


@pytest.mark.parametrize("name", [" find\n", "default_api.find", "functions.find:0", "find<|channel|>json"])
def test_name_of_a_tool_that_was_offered_is_found(name: str) -> None:
    answer = Normalizer({"find": {}, "api": {}})
    answer.add(call(id="a", name=name))
    answer.finish()
    assert answer.completion().tool_calls[0]["function"]["name"] == "find"


def test_call_without_a_name_is_broken_off() -> None:
    _, whole = read(call(id="a", arguments="{}"), CompletionPiece(finish_reason="tool_calls"))
    assert not whole.ended


def test_arguments_that_are_text_stay_as_they_are() -> None:
    written = '{ "n": 123456789012345678901234,\t"x": 1.0 }'
    assert calls_of(call(id="a", name="f", arguments=written)) == [("f", written)]


def test_state_and_extra_content_stay_with_the_calls() -> None:
    signed = CompletionPiece(
        tool_calls=[{"index": 0, "id": "a", "function": {"name": "f"}, "extra_content": {"acme": {"signature": "s"}}}]
    )
    deltas, whole = read(
        CompletionPiece(state={"reasoning_content": "I look ", "reasoning_details": [1]}),
        CompletionPiece(state={"reasoning_content": "it up.", "reasoning_details": [2]}),
        signed,
    )
    assert whole.state == {"reasoning_content": "I look it up.", "reasoning_details": [1, 2]}
    assert whole.tool_calls[0]["extra_content"] == {"acme": {"signature": "s"}}
    _, beside = read(CompletionPiece(tool_calls=[{"id": "a", "thought_signature": "s", "function": {"name": "f"}}]))
    assert beside.tool_calls[0]["extra_content"] == {"tool_call": {"thought_signature": "s"}}
    assert deltas[0].tool_calls[0]["extra_content"] == {"acme": {"signature": "s"}}
    assert deltas[-1].state == whole.state


def test_state_without_calls_is_dropped() -> None:
    deltas, whole = read(CompletionPiece(state={"reasoning_content": "Hm."}), "Hello.")
    assert (whole.state, [delta.state for delta in deltas]) == ({}, [None])


def test_pieces_that_carry_nothing_give_nothing() -> None:
    assert read(CompletionPiece(), CompletionPiece(usage=Usage()), "")[0] == []


# --- calls written into the text

FOUND = ("find", '{"n": 123456789012345678901234}')
TEXT = [("find", '{"s": "5"}')]  # as the schema has it, not the number
WRITTEN = [
    (f'<tool_call>\n{{"name": "find", "arguments": {FOUND[1]}}}\n</tool_call>', [FOUND]),
    (f'```json\n{{"name": "find", "arguments": {FOUND[1]}}}\n```', [FOUND]),
    (f'{{"name": "find", "parameters": {FOUND[1]}}}', [FOUND]),
    (f'{{"type": "function", "function": {{"name": "find", "arguments": {FOUND[1]}}}}}', [FOUND]),
    (f'[TOOL_CALLS][{{"name": "find", "arguments": {FOUND[1]}}}, {{"name": "tell", "arguments": {{}}}}]', None),
    (f"[TOOL_CALLS]find[ARGS]{FOUND[1]}", [FOUND]),
    (f"[TOOL_CALLS]find{FOUND[1]}", [FOUND]),
    (f'functools[{{"name": "find", "arguments": {FOUND[1]}}}]', [FOUND]),
    (f'<|python_tag|>{{"name": "find", "parameters": {FOUND[1]}}}', [FOUND]),
    (f"<function=find>{FOUND[1]}</function>", [FOUND]),
    ("<function=find>\n<parameter=n>\n5\n</parameter>\n<parameter=who>\nAnn Hale\n</parameter>\n</function>", None),
    (
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>find\n```json\n{FOUND[1]}\n```<｜tool▁call▁end｜>",
        [FOUND],
    ),
    (
        f"<|tool_calls_section_begin|><|tool_call_begin|>functions.find:0<|tool_call_argument_begin|>{FOUND[1]}",
        [FOUND],
    ),
    (f"functions.find:0<|tool_call_argument_begin|>{FOUND[1]}<|tool_call_end|><|tool_calls_section_end|>", [FOUND]),
    (f"<|tool_call_section_begin|><|tool_call_begin|>find:0<|tool_call_argument_begin|>{FOUND[1]}", [FOUND]),
    (
        '<|open|>tools<|sep|><|open|>call tool="find"<|sep|><|open|>argument key="n" type="number"<|sep|>5<|close|>'
        'argument<|sep|><|open|>argument key="s" type="string"<|sep|>5<|close|>argument<|sep|><|close|>call<|sep|>'
        '<|open|>call tool="tell"<|sep|><|close|>call<|sep|><|close|>tools<|sep|>',
        [("find", '{"n": 5, "s": "5"}'), ("tell", "{}")],
    ),
    (f'<TOOLCALL>[{{"name": "find", "arguments": {FOUND[1]}}}]</TOOLCALL>', [FOUND]),
    (f'<|START_ACTION|>[{{"tool_name": "find", "parameters": {FOUND[1]}}}]<|END_ACTION|>', [FOUND]),
    (f"<|channel|>commentary to=functions.find <|constrain|>json<|message|>{FOUND[1]}<|call|>", [FOUND]),
    (f"<|start|>assistant to=functions.find<|channel|>commentary json<|message|>{FOUND[1]}<|call|>", [FOUND]),
    (f"to=functions.find json\n{FOUND[1]}", [FOUND]),
    ("<tool_call>find\n<arg_key>n</arg_key>\n<arg_value>5</arg_value>\n</tool_call>", [("find", '{"n": 5}')]),
    ("<longcat_tool_call>find\n<longcat_arg_key>s</longcat_arg_key><longcat_arg_value>5</longcat_arg_value>", TEXT),
    ('<minimax:tool_call><invoke name="find"><parameter name="s">5</parameter></invoke></minimax:tool_call>', TEXT),
    ('<|tool_call>call:find{s: <|"|>5<|"|>}<tool_call|>', TEXT),
    (
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="find">\n<｜DSML｜parameter name="x" string="true">5'
        "</｜DSML｜parameter>\n</｜DSML｜invoke>",
        [("find", '{"x": "5"}')],
    ),
    (
        '<|DSML|tool_calls><|DSML|invoke name="find"><|DSML|parameter name="s">5</|DSML|parameter></|DSML|invoke>',
        TEXT,
    ),
    (f'<|tools_prefix|>[{{"find": {FOUND[1]}}}]<|tools_suffix|>', [FOUND]),
    (f'{{"tool_calls": [{{"type": "function", "function": {{"name": "find", "arguments": {FOUND[1]}}}}}]}}', [FOUND]),
    ('<｜tool_calls_begin｜><m:invoke name="find"><m:parameter name="s">5</m:parameter></m:invoke>', TEXT),
    ("<|tool_call_start|>[find(n=5, b=true)]<|tool_call_end|>", [("find", '{"n": 5, "b": true}')]),
    ("[find(n=5), tell()]", [("find", '{"n": 5}'), ("tell", "{}")]),
    ("```tool_code\nprint(default_api.find(s='5'))\n```", TEXT),
    ("<|python_tag|>find.call(s='5')", TEXT),
    ('<tool_call>{"name": "tell"}</tool_call><tool_call>{"name": "tell"}</tool_call>', [("tell", "{}")] * 2),
]


def read_written(text: str, size: int) -> tuple[str, Completion]:
    answer = Normalizer({"find": {"s": {"type": "string"}}, "tell": {}})
    said = [answer.add(CompletionPiece(text[at : at + size])) for at in range(0, len(text), size)]
    answer.add(CompletionPiece(finish_reason="stop"))
    said.append(answer.finish())
    return "".join(delta.text for delta in said if delta is not None), answer.completion()


@pytest.mark.parametrize(("text", "calls"), WRITTEN)
@pytest.mark.parametrize("before", ["", "I look it up.\n", "<think>Hm.</think>\n"])
def test_call_written_into_the_text_is_a_call(text: str, calls: list[tuple[str, str]] | None, before: str) -> None:
    for size in (1, 4, 1000):
        said, whole = read_written(before + text, size)
        found = [(one["function"]["name"], one["function"]["arguments"]) for one in whole.tool_calls]
        if calls is None:
            assert [name for name, _ in found] in (["find", "tell"], ["find"])
            assert all(isinstance(json.loads(arguments), dict) for _, arguments in found)
        else:
            assert found == calls
        assert said.strip() == whole.text.strip() == ("I look it up." if before[:1] == "I" else "")
        assert (whole.finish_reason, whole.ended) == ("tool_calls", True)


def test_written_call_whose_arguments_the_server_lost_is_broken() -> None:
    for arguments, ended in (("{}", False), ('{"x": "5"}', True)):
        answer = Normalizer({"find": {}})
        text = '<|DSML|invoke name="find"><|DSML|parameter name="x">5</|DSML|parameter></|DSML|invoke>'
        for piece in (
            CompletionPiece(text),
            call(id="a", name="find", arguments=arguments),
            CompletionPiece(finish_reason="stop"),
        ):
            answer.add(piece)
        answer.finish()
        assert answer.completion().ended is ended


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "find", "arguments": {"n": 1',
        '<tool_call>{"name": "delete", "arguments": {}}</tool_call>',
        "<tool_call>I would call find.</tool_call>",
        '```json\n{"name": "find", "arguments": {"n": 1}, ',
        '[TOOL_CALLS]find[ARGS]{"n": ',
        '<|open|>tools<|sep|><|open|>call tool="find"<|sep|><|open|>argument key="s"<|sep|>Ann',
        "[find(5)]",
    ],
)
def test_written_call_that_cannot_be_read_is_broken_and_not_said(text: str) -> None:
    for size in (1, 1000):
        said, whole = read_written(f"Wait. {text}", size)
        assert (said.strip(), whole.ended, whole.tool_calls) == ("Wait.", False, ())


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_call_in_thoughts_that_nothing_follows_is_a_call_unless_they_are_cut_off(reason: str) -> None:
    written = f'I look it up. <tool_call>{{"name": "find", "arguments": {FOUND[1]}}}</tool_call>'
    for pieces in (
        [CompletionPiece(f"<think>{written}"[at : at + 3]) for at in range(0, len(written) + 7, 3)],
        [CompletionPiece(state={"reasoning_content": written})],
    ):
        answer = Normalizer({"find": {}})
        for piece in (*pieces, CompletionPiece(finish_reason=reason)):
            assert answer.add(piece) is None
        answer.finish()
        found = [one["function"] for one in answer.completion().tool_calls]
        assert found == ([{"name": FOUND[0], "arguments": FOUND[1]}] if reason == "stop" else [])


def test_call_in_thoughts_before_an_answer_is_a_thought() -> None:
    text = '<think>Not <tool_call>{"name": "find", "arguments": {}}</tool_call></think>Forty.'
    said, whole = read_written(text, 4)
    assert (said, whole.tool_calls) == ("Forty.", ())


@pytest.mark.parametrize("names", [("fi", "nd"), ("fi", "find"), ("find", "find"), ("find",), ("", "find")])
def test_name_of_a_tool_in_parts_is_sent_once_it_is_whole(names: tuple[str, ...]) -> None:
    answer = Normalizer({"find": {}, "finder": {}})
    deltas = [answer.add(call(index="0", id="a", name=name, arguments="")) for name in names]
    deltas += [answer.add(call(index=0, arguments='{"x":1}')), answer.finish()]
    begun = [one for delta in deltas if delta is not None for one in delta.tool_calls if "id" in one]
    assert [one["function"]["name"] for one in begun] == ["find"]
    assert [one["function"] for one in answer.completion().tool_calls] == [{"name": "find", "arguments": '{"x":1}'}]


def test_name_that_only_begins_a_tools_name_is_sent_at_the_end() -> None:
    answer = Normalizer({"finder": {}})
    assert answer.add(call(index=0, id="a", name="find", arguments="")) is None
    delta = answer.finish()
    assert delta is not None
    assert delta.tool_calls[0]["function"] == {"name": "find", "arguments": "{}"}


def test_answer_so_far_once_more_is_not_said_twice() -> None:
    first = "Your credit score is 712 of 850."
    assert text_of(first, f"{first} It is good.", f"{first} It is good. It rose.") == f"{first} It is good. It rose."
    assert text_of("No. ", "No. ", "No.") == "No. No. No."


@pytest.mark.parametrize(
    "text",
    [
        'Her data: {"name": "Ann", "arguments": 1}',
        "```python\nprint(1)\n``` and `find`, [find](x), a < b, of",
        '{"name": "finder"}',
        "`",
        "```",
    ],
)
def test_text_that_only_looks_like_a_call_is_text(text: str) -> None:
    for size in (1, 3, 1000):
        assert read_written(text, size)[0] == text


def test_call_that_is_sent_is_not_made_of_the_text_once_more() -> None:
    answer = Normalizer({"find": {}})
    answer.add(CompletionPiece('to=functions.find {"n": 1'))
    answer.add(call(index=0, id="a", name="find", arguments='{"n": 1}'))
    answer.finish()
    assert [one["id"] for one in answer.completion().tool_calls] == ["a"]
    assert answer.completion().text == ""


def test_marks_stay_text_when_no_tools_were_offered() -> None:
    text = '<tool_call>{"name": "find", "arguments": {}}</tool_call>'
    assert text_of(text) == text


def test_long_text_of_what_may_begin_a_tag_is_read_once() -> None:
    """In a time that grows with its length; a quadratic one would take much longer."""
    text = "<{`f[" * 4_000
    answer = Normalizer({"find": {}})
    said = answer.add(CompletionPiece(text))
    rest = answer.finish()
    assert (said.text if said else "") + (rest.text if rest else "") == text
