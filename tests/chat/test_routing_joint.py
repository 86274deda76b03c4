"""The joint between what was heard and what another model goes on with."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from tilores_core.chat.routing.joint import CannotJoinError, Joint


def joined(said: str, *pieces: str) -> str:
    joint = Joint(said)
    return said + "".join(joint.feed(piece) for piece in pieces) + joint.feed("", final=True)


def by_characters(said: str, more: str) -> str:
    return joined(said, *more)


ANSWER = "Her balance is forty dollars and ten cents. It is due on the first of May, and she can pay by phone."


@pytest.mark.parametrize("cut", [match.end() for match in re.finditer(r"\S+\s*", ANSWER)][:-1])
@pytest.mark.parametrize("way", ["exactly", "last-word", "last-three", "sentence", "all"])
def test_answer_cut_behind_any_word_is_whole_again(cut: int, way: str) -> None:
    said = ANSWER[:cut]
    words = said.split()
    sentence = said.rsplit(". ", 1)[-1] or said
    before = {"exactly": "", "last-word": words[-1], "last-three": " ".join(words[-3:])}.get(way)
    if before is None:
        before = said if way == "all" else sentence
    more = f"{before.rstrip()} {ANSWER[cut:]}".lstrip()
    assert joined(said, more) == ANSWER
    assert by_characters(said, more) == ANSWER
    assert by_characters(said.rstrip(), more) == ANSWER


@pytest.mark.parametrize(
    ("said", "more", "whole"),
    [
        ("It is due on", "May 5.", "It is due on May 5."),
        # Another sentence, in wholly other words.
        (
            "Her score is ",
            "According to the records, it is 742.",
            "Her score is – According to the records, it is 742.",
        ),
        ("Her score is ", "Edwina's credit score is 742.", "Her score is – Edwina's credit score is 742."),
        ("Her score is ", "Ms Hawthorne has 742 points.", "Her score is – Ms Hawthorne has 742 points."),
        ("Her score is ", "Ihr Score ist 742.", "Her score is – Ihr Score ist 742."),
        ("Her score is ", "Son score est de 742.", "Her score is – Son score est de 742."),
        ("Her agent is ", "Ann Hale and has two cats.", "Her agent is Ann Hale and has two cats."),
        ("Her bank is ", "Bank of Ireland.", "Her bank is Bank of Ireland."),
        ("Her flat no. is ", "No. 4.", "Her flat no. is – No. 4."),
        # Repeated with the marks around it.
        ("Yes, ", "Yes, she is.", "Yes, she is."),
        ("**Score:** ", "**Score:** 742", "**Score:** 742"),
        ('{"score": ', '{"score": 742}', '{"score": 742}'),
        ("| City | Pop |\n|---|---|\n| Bath | ", "| Bath | 90 |", "| City | Pop |\n|---|---|\n| Bath | 90 |"),
        ("1. Bath\n2. York\n", "2. York\n3. Leeds", "1. Bath\n2. York\n3. Leeds"),
        ("Run:\n```sh\ntilores ", "```sh\ntilores serve\n```", "Run:\n```sh\ntilores serve\n```"),
        ("She said: “I want ", "She said: “I want to go.”", "She said: “I want to go.”"),
        # Scripts without spaces.
        ("彼女のスコアは", "742です。", "彼女のスコアは742です。"),
        ("彼女のスコアは", "スコアは742です。", "彼女のスコアは742です。"),
        ("彼女のスコアは", "彼女のスコアは742です。", "彼女のスコアは742です。"),
        ("It is due on ", " May 5.", "It is due on May 5."),
        ("It is due on May 5", ", at noon.", "It is due on May 5, at noon."),
        ("It is due, ", ", at noon.", "It is due, at noon."),
        ("It is due, at", "At noon it is.", "It is due, at – At noon it is."),
        ("It is due on the fifth of ", "It is due on May 5.", "It is due on the fifth of – It is due on May 5."),
        ("It is due on the ", "Her balance is due in May.", "It is due on the – Her balance is due in May."),
        ("It is due on the", "The date is May 5.", "It is due on the – The date is May 5."),
        ("Call 5 5", "5 1 2.", "Call 5 5 5 1 2."),
        ("Her agent is ", "Maria Lopez.", "Her agent is Maria Lopez."),
        ("Her agent is", "Maria, who is at the bank.", "Her agent is Maria, who is at the bank."),
        ("Edwina lives at", "Park Street 4 in Oslo.", "Edwina lives at Park Street 4 in Oslo."),
        ("Ihr Kontostand beträgt", "Euro 40 und Cent 10.", "Ihr Kontostand beträgt Euro 40 und Cent 10."),
        (
            "Her card balance is",
            "Hawthorne's card has a balance of 40.",
            "Her card balance is – Hawthorne's card has a balance of 40.",
        ),
        (
            "The balance of Ann Hale is",
            "Customer Hale's balance: 40.",
            "The balance of Ann Hale is – Customer Hale's balance: 40.",
        ),
        ("Edwina has paid", "Edwina owes 40.", "Edwina has paid – Edwina owes 40."),
        ("Yes. It is so. ", "Yes. And it is paid.", "Yes. It is so. Yes. And it is paid."),
        ("これは一つの長い", "文です。", "これは一つの長い文です。"),
        ("She pays (by", "card).", "She pays (by card)."),
        ("", "Hello.", "Hello."),
        ("It is due. ", "It is due on May 5.", "It is due. It is due on May 5."),
        ("It is due. ", "it is DUE! Now.", "It is due. Now."),
        ("It is due. She may ", "It is due. And she can pay.", "It is due. She may – And she can pay."),
        ("It is due. She may ", "It is due. She can pay.", "It is due. She may – She can pay."),
        ("It is due in May. She may ", "in May. She can pay.", "It is due in May. She may – She can pay."),
        ("It is due. She may ", "It is due when she pays.", "It is due. She may – It is due when she pays."),
        ("You can pay by phone. ", "You can pay by card.", "You can pay by phone. You can pay by card."),
    ],
)
def test_continuations(said: str, more: str, whole: str) -> None:
    assert joined(said, more) == by_characters(said, more) == whole


@pytest.mark.parametrize(
    "more",
    [
        "Her balance at the bank is 41 euros.",
        "Her balance at the bank is forty dollars and it is due in May.",
    ],
)
def test_story_told_over_again_is_refused(more: str) -> None:
    said = "Her balance at the bank is forty dollars. It is due on the first. "
    with pytest.raises(CannotJoinError):
        joined(said, more)


@given(
    st.lists(st.sampled_from(["one", "two", "Three", "4", "five,", "six.", "и", "é"]), min_size=1, max_size=12),
    st.data(),
)
def test_nothing_new_is_lost(words: list[str], data: st.DataObject) -> None:
    said = " ".join(words)
    more = "entirely new words follow here."
    repeated = data.draw(st.integers(0, len(words)))
    again = " ".join(words[len(words) - repeated :])
    try:
        whole = by_characters(said, f"{again} {more}".lstrip())
    except CannotJoinError:
        return
    assert whole.startswith(said)
    assert whole.endswith(more)
