"""Where a sentence ends, however the text comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from tilores_core.chat.routing.sentences import Sentences


def split(text: str, *, step: int = 1, longest: int = 300) -> list[str]:
    sentences = Sentences(longest)
    found = [one for at in range(0, len(text), step) for one in sentences.feed(text[at : at + step])]
    rest = sentences.rest()
    return [*found, rest] if rest else found


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One is here. Two is not! Is three? Yes.", ["One is here. ", "Two is not! ", "Is three? ", "Yes."]),
        ("Mr. Smith met Dr. J. Jones at 3 p.m. on Monday. He left.", 2),
        ("The U.S. Government, e.g. the I.R.S. office, said so. Fine.", 2),
        ("It is 3.14 or 1,200.50 dollars. See https://example.com/a.b?c=d. Then call.", 3),
        ("Write to edwina@example.com. She answers.", 2),
        ("She said “It is paid.” Then she left.", ["She said “It is paid.” ", "Then she left."]),
        ('"Really?" she asked. "Yes."', 2),
        ("Well... perhaps. Yes… no.", 2),
        ("1. First thing\n2. Second thing\n", ["1. First thing\n", "2. Second thing\n"]),
        ("# Title\n\nText follows. More.", ["# Title\n\n", "Text follows. ", "More."]),
        (
            "残高は四十ドルです。支払いは済みました！次は？",
            ["残高は四十ドルです。", "支払いは済みました！", "次は？"],
        ),
        ("她说：“好的。”然后走了。", ["她说：“好的。”", "然后走了。"]),
        ("Das sind z.B. 40 Euro. Gut.", 2),
        ("no full stop at all", 1),
        ("", 0),
    ],
)
def test_sentences(text: str, sentences: list[str] | int, step: int) -> None:
    found = split(text, step=step)
    assert "".join(found) == text
    if isinstance(sentences, int):
        assert len(found) == sentences, found
    elif step == 1000 or "”" not in text or "。”" not in text:  # a wide stop waits for no closing mark behind it
        assert found == sentences


def test_the_end_of_a_sentence_is_known_by_what_follows() -> None:
    sentences = Sentences(300)
    assert sentences.feed("It is due.") == []
    assert sentences.feed(" ") == []
    assert sentences.feed("P") == ["It is due. "]
    assert sentences.rest() == "P"


def test_a_sentence_without_an_end_goes_at_a_clause() -> None:
    text = "there is the first clause, which is long enough; then comes another that goes on and on and on " * 2
    sentences = Sentences(60)
    found = sentences.feed(text)
    assert all(len(one) <= 60 for one in found)
    assert found[0].endswith(", ") or found[0].endswith("; ")
    assert "".join(found) + sentences.rest() == text


def test_without_any_gap_it_goes_at_the_limit() -> None:
    assert split("x" * 130, longest=50) == ["x" * 50, "x" * 50, "x" * 30]


@given(
    st.lists(st.text(alphabet="ab .!?\n。”,;1A…", max_size=12), max_size=12),
    st.integers(min_value=20, max_value=60),
)
def test_nothing_is_lost_and_nothing_held_for_long(pieces: list[str], longest: int) -> None:
    sentences = Sentences(longest)
    found: list[str] = []
    for piece in pieces:
        found += sentences.feed(piece)
        assert len("".join(pieces)) - len("".join(found)) >= 0
    held = sentences.rest()
    assert "".join(found) + held == "".join(pieces)
    assert len(held) <= longest
