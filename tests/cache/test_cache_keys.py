"""A key changes with every change of meaning, and with nothing else."""

from __future__ import annotations

import copy
import enum
import math
import subprocess
import sys
import unicodedata
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from tilores_core.cache.keys import (
    answer_key,
    canonical,
    conversation_digest,
    customer_key,
    fingerprint_key,
    mention_key,
    wire_key,
    wire_origin,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": texts}),
    min_size=1,
    max_size=4,
)

DIGEST = sha256(b"conversation").digest()
PARTS: dict[str, Any] = {
    "conversation": DIGEST,
    "model": "demo:simulated-1",
    "parameters": {},
    "prompt_version": "builtin-0123456789ab",
    "fingerprint": "f" * 64,
    "scope": "default",
    "schema_hash": "s" * 16,
}


def meaning(value: Any) -> Any:
    """What must be equal for two values to mean the same: types told apart, text normalised."""
    if isinstance(value, dict):
        return ("dict", frozenset((unicodedata.normalize("NFC", key), meaning(part)) for key, part in value.items()))
    if isinstance(value, list | tuple):
        return ("list", tuple(meaning(part) for part in value))
    if isinstance(value, str):
        return ("str", unicodedata.normalize("NFC", value))
    return (type(value).__name__, repr(value))


def shuffled(value: Any, form: Any, reverse: bool) -> Any:
    """The same meaning: keys in another order, text in another Unicode form."""
    if isinstance(value, dict):
        items = list(value.items())
        return {
            unicodedata.normalize(form, key): shuffled(part, form, reverse)
            for key, part in (reversed(items) if reverse else items)
        }
    if isinstance(value, list):
        return [shuffled(part, form, reverse) for part in value]
    return unicodedata.normalize(form, value) if isinstance(value, str) else value


def distinct_keys(value: Any) -> bool:
    if isinstance(value, dict):
        names = {unicodedata.normalize("NFC", key) for key in value}
        return len(names) == len(value) and all(distinct_keys(part) for part in value.values())
    return all(distinct_keys(part) for part in value) if isinstance(value, list) else True


@given(values, st.sampled_from(["NFC", "NFD"]), st.booleans())
def test_order_and_unicode_form_make_no_difference(value: Any, form: str, reverse: bool) -> None:
    assume(distinct_keys(value))
    assert canonical(shuffled(value, form, reverse)) == canonical(value)


@given(values, values)
def test_a_change_of_meaning_changes_the_bytes(one: Any, other: Any) -> None:
    assume(distinct_keys(one) and distinct_keys(other))
    assert (canonical(one) == canonical(other)) == (meaning(one) == meaning(other))


@given(
    st.text(st.sampled_from('en"\\/u0019\n\t\x1f\u0303\u0301\u0338ñé≠<=\u212aK'), max_size=8),
    st.text(st.sampled_from('en"\\/u0019\n\t\x1f\u0303\u0301\u0338ñé≠<=\u212aK'), max_size=8),
)
def test_escapes_and_combining_marks_are_not_confused(one: str, other: str) -> None:
    assert (canonical([one]) == canonical([other])) == (meaning(one) == meaning(other))
    assert (canonical([one, other]) == canonical([one + other])) is False


def test_keys_are_sorted_after_they_were_normalised() -> None:
    assert canonical({"e\u0301": 1, "f": 2}) == canonical({"\u00e9": 1, "f": 2})
    assert canonical({"\u212a": 1, "z\u00e9": 2}) == canonical({"K": 1, "z\u00e9": 2})
    assert canonical([{"\u212a": 1}]) == canonical([{"K": 1}])


def test_two_keys_that_are_one_text_are_refused() -> None:
    with pytest.raises(ValueError, match="two keys"):
        canonical({"e\u0301": 1, "\u00e9": 2})


class Colour(enum.StrEnum):
    RED = "red"


class Text(str):
    __slots__ = ()


@dataclass
class Thing:
    name: str


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (math.nan, ValueError),
        ({"temperature": math.inf}, ValueError),
        ([-math.inf], ValueError),
        ({1: "a"}, TypeError),
        ({None: "a"}, TypeError),
        (b"bytes", TypeError),
        ({1, 2}, TypeError),
        (object(), TypeError),
        (Thing("a"), TypeError),
        (datetime.now(UTC), TypeError),
        (uuid.uuid4(), TypeError),
        ([Colour.RED], TypeError),
        (Text("a"), TypeError),
        (OrderedDict(a=1), TypeError),
        (2**64, TypeError),
        (1j, TypeError),
        ("\ud800", TypeError),
        (CYCLE, TypeError),
    ],
)
def test_what_json_cannot_hold_is_refused(value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        canonical(value)
    with pytest.raises(error):
        conversation_digest([{"role": "user", "content": value}])  # type: ignore[typeddict-item]


def test_text_that_says_null_is_no_nan() -> None:
    assert canonical({"content": "null", "name": None}) == b'{"content":"null","name":null}'


@given(messages)
def test_the_digest_is_that_of_the_canonical_messages(conversation: list[Any]) -> None:
    expected = sha256(canonical(conversation)).digest()
    assert conversation_digest(conversation) == expected
    assert conversation_digest(tuple(conversation)) == expected
    assert len(expected) == 32


@given(messages, st.data())
def test_any_change_of_a_conversation_changes_its_digest(conversation: list[Any], data: st.DataObject) -> None:
    changed = copy.deepcopy(conversation)
    place = data.draw(st.integers(0, len(changed) - 1))
    how = data.draw(st.sampled_from(["text", "role", "drop", "add", "parts", "name"]))
    if how == "text":
        changed[place]["content"] += "x"
    elif how == "role":
        changed[place]["role"] = "tool"
    elif how == "drop":
        del changed[place]
    elif how == "add":
        changed.insert(place, {"role": "user", "content": ""})
    elif how == "parts":
        changed[place]["content"] = [{"type": "text", "text": changed[place]["content"]}]
    else:
        changed[place]["name"] = "x"
    assert conversation_digest(changed) != conversation_digest(conversation)


@given(st.sampled_from([name for name in PARTS if name not in ("conversation", "parameters")]), texts)
def test_every_part_is_part_of_an_answers_key(name: str, text: str) -> None:
    assume(text != PARTS[name])
    assert answer_key(**{**PARTS, name: text}) != answer_key(**PARTS)


@given(st.dictionaries(texts, scalars, max_size=3), st.dictionaries(texts, scalars, max_size=3))
def test_parameters_are_part_of_an_answers_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    assume(distinct_keys(one) and distinct_keys(other))
    same = answer_key(**{**PARTS, "parameters": one}) == answer_key(**{**PARTS, "parameters": other})
    assert same == (meaning(one) == meaning(other))


@given(st.lists(texts, min_size=5, max_size=5), st.lists(texts, min_size=5, max_size=5))
def test_parts_do_not_run_into_each_other(one: list[str], other: list[str]) -> None:
    names = ["model", "prompt_version", "fingerprint", "scope", "schema_hash"]
    keys = [
        answer_key(conversation=DIGEST, parameters={}, **dict(zip(names, parts, strict=True)))
        for parts in (one, other)
    ]
    assert (keys[0] == keys[1]) == (one == other)
    joined = ["".join(one), "", "", "", ""]
    if joined != one:
        assert answer_key(conversation=DIGEST, parameters={}, **dict(zip(names, joined, strict=True))) != keys[0]


def test_the_conversation_is_part_of_the_keys() -> None:
    other = sha256(b"another").digest()
    assert answer_key(**{**PARTS, "conversation": other}) != answer_key(**PARTS)
    mention = {"source": "demo", "region": "US", "schema_hash": "s"}
    assert mention_key(conversation=other, **mention) != mention_key(conversation=DIGEST, **mention)
    for name in mention:
        assert mention_key(conversation=DIGEST, **{**mention, name: "x"}) != mention_key(
            conversation=DIGEST, **mention
        )


@pytest.mark.parametrize("wrong", [b"", b"short", b"x" * 33])
def test_a_conversation_is_a_digest(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        answer_key(**{**PARTS, "conversation": wrong})


@given(texts, texts, texts, texts)
def test_a_customers_keys_are_theirs_alone(source: str, customer: str, other_source: str, other: str) -> None:
    for make in (customer_key, fingerprint_key):
        assert (make(source, customer) == make(other_source, other)) == ((source, customer) == (other_source, other))
    assert customer_key(source, customer).partition(":")[2] != fingerprint_key(source, customer).partition(":")[2]


@given(texts, texts)
def test_keys_are_short_ascii_with_their_namespace(source: str, customer: str) -> None:
    answer = answer_key(**{**PARTS, "model": source, "scope": customer})
    keys = {
        "answers": answer,
        "wire": wire_key(answer, "openai"),
        "customers": customer_key(source, customer),
        "fingerprints": fingerprint_key(source, customer),
        "mentions": mention_key(conversation=DIGEST, source=source, region="US", schema_hash="s"),
    }
    for namespace, key in keys.items():
        assert key.isascii()
        assert len(key) <= 200
        assert key.partition(":")[0] == namespace


def test_a_wire_key_knows_its_answer() -> None:
    key = answer_key(**PARTS)
    assert wire_origin(wire_key(key, "openai")) == key
    assert wire_key(key, "openai") != wire_key(key, "langserve")
    assert wire_origin(key) is None
    assert wire_origin("wire:odd") is None


PROGRAM = """
from tilores_core.cache.keys import answer_key, conversation_digest
digest = conversation_digest([{"role": "user", "content": "Wie heißt Zoë?", "name": "e\\u0301"}])
print(answer_key(conversation=digest, model="m", parameters={"stop": ["a"], "seed": 1, "temperature": 0.5},
                 prompt_version="p", fingerprint="f", scope="s", schema_hash="h"))
"""


def test_the_same_key_in_every_process() -> None:
    keys = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "4242")
    }
    # Written out: entries that other versions and machines stored must be found again.
    assert keys == {"answers:b77cabd66521feace2b98c9bb8cbe14ef339116fdc076d5f65fed4e5bc2d210f\n"}
