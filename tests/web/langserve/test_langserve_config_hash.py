from __future__ import annotations

import contextlib
import json
import warnings
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from tilores_core.web.langserve.config_hash import MAX_PACKED, decode_config_hash
from tilores_core.web.langserve.errors import ConfigHashError, error_reply

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # langserve's own, while it is imported
    from langserve.lzstring import LZString

# Made with the npm package lz-string 1.5.0, compressToEncodedURIComponent(JSON.stringify(…)).
VECTORS: list[tuple[str, Any]] = [
    ("N4XyA", {}),
    (
        "N4Igxg9gdgZglgcwK4CcCGAjANgUxALlDCQGcAXCAWxxQH04ATAkAUQBEB1WgCQEEOAKtwDyAJQByLWgAZpARhABfRUA",
        {"configurable": {"customer_id": "EDW_HAWTHORNE_001"}},
    ),
    (
        "N4Igxg9gdgZglgcwK4CcCGAjANgUxALlAGccii5oB9OAEwJAC0IBrgAkGQCVwIntB1bVcF4NwAB7IAL4AaEABc0CIgQDaINCAnLVIALoigA",
        {"configurable": {"session_id": "Zoë – 漢字 😀"}, "tags": ["a", "a", "a"]},
    ),
    (
        "N4IgtgpgLghgJjWIBcoopDARt3P96EHFGknlmUXVW0312MPNOsvtucfde8-99BA4UNEjxYsSAC+0oA",
        {"metadata": {"t": "ab" * 300}},
    ),
]


@pytest.mark.parametrize(("packed", "config"), VECTORS)
def test_known_vectors(packed: str, config: Any) -> None:
    assert decode_config_hash(packed) == config
    # A plus sign is a space after it went through a form.
    assert decode_config_hash(packed.replace("+", " ")) == config


def pack(text: str) -> str:
    packed: str = LZString.compressToEncodedURIComponent(text)  # type: ignore[no-untyped-call]
    return packed


@given(st.dictionaries(st.text(max_size=3), st.text() | st.integers(0, 9) | st.lists(st.sampled_from("aab"))))
def test_what_was_packed_comes_out(config: dict[str, Any]) -> None:
    assert decode_config_hash(pack(json.dumps(config))) == config


BAD = ["", "!!", "N4Igxg", "EQD2Q", pack("[1]"), pack("{"), pack(""), "Q", "A" * (MAX_PACKED + 1), "漢字"]


@pytest.mark.parametrize("packed", BAD)
def test_bad_hashes(packed: str) -> None:
    with pytest.raises(ConfigHashError) as refused:
        decode_config_hash(packed)
    text = "Invalid config hash"
    assert error_reply(refused.value) == (400, {"detail": text, "message": text}, {})


def test_a_short_hash_that_stands_for_a_long_config_is_refused() -> None:
    bomb = pack(json.dumps({"x": "a" * 70_000}))
    assert len(bomb) < 1_000
    with pytest.raises(ConfigHashError):
        decode_config_hash(bomb)


@given(
    st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-$", max_size=300) | st.text()
)
@example("3" * 50)
def test_any_text_is_read_or_refused(packed: str) -> None:
    with contextlib.suppress(ConfigHashError):
        assert isinstance(decode_config_hash(packed), dict)
