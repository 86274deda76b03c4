"""The joint between what was heard and what another model goes on with."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from tilores_core.chat.routing.delivery import WordDelivery
from tilores_core.chat.routing.joint import CannotJoinError, Joint, is_first_word, open_sentence
from tilores_core.contracts import Delta


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
        # It says that it goes on.
        ("It is due on ", "…May 5.", "It is due on May 5."),
        ("It is due on ", "... on May 5.", "It is due on May 5."),
        ("It is due on ", "…\nIt is due on May 5.", "It is due on May 5."),
        ("It is due on ", "Sure, here is the continuation: May 5.", "It is due on May 5."),
        ("It is due on ", "Certainly! Here's the rest of it:\n\non May 5.", "It is due on May 5."),
        ("It is due on ", "Sorry for the interruption. It is due on May 5.", "It is due on May 5."),
        ("It is due on ", "Continuing from where I left off: …May 5.", "It is due on May 5."),
        ("It is due on ", "Sure, it is due in May.", "It is due on – Sure, it is due in May."),
        ("It is due, ", "here and now.", "It is due, here and now."),
        ("Her plan is ", "sure to continue until June. Yes.", "Her plan is sure to continue until June. Yes."),
        ("Her plan is ", "continuing until June. Yes.", "Her plan is continuing until June. Yes."),
        ("It is due. ", "Here is the rest: none.", "It is due. Here is the rest: none."),
        # It ends as the sentence before.
        ("She can pay by card. He can pay ", "by card. Fine.", "She can pay by card. He can pay by card. Fine."),
        ("40ドルです。ご存じ", "です。では。", "40ドルです。ご存じです。では。"),
        ("알고 있습니다. 결제할 수 ", "있습니다. 네.", "알고 있습니다. 결제할 수 있습니다. 네."),
        # It ends the open sentence, or goes on with the words that it begins with.
        ("Good news 🎉", "! Her score is 742.", "Good news 🎉! Her score is 742."),
        ("It is due, and ", "it is forty.", "It is due, and it is forty."),
        ("| City |\n| ", "| Bath |", "| City |\n| Bath |"),
        ("| City |\n", "| Bath |", "| City |\n| Bath |"),
        ('2. Choose "Pay".\n', '2. Choose "Pay".\n3. Go.', '2. Choose "Pay".\n3. Go.'),
    ],
)
def test_continuations(said: str, more: str, whole: str) -> None:
    assert joined(said, more) == by_characters(said, more) == whole


KINDS = {
    "amounts": "Her balance is $1,234.50, of which $34.50 is due since 2026-05-01. Her limit is 5,000 EUR (net).",
    "list": "What is open:\n\n- Invoice 1001: $40.00, due on 1 May\n- Invoice 1002: paid\n\nShe may pay by card.",
    "steps": 'Do this:\n1. Open the page.\n2. Choose "Payments".\n3. Enter 40 dollars.\n\nThen she is done.',
    "table": "| Invoice | Due |\n|---|---|\n| 1001 | 1 May |\n| 1002 | 3 June |\n\nTwo are open.",
    "json": '{"balance": 40, "overdue": true, "invoices": [{"id": 1001, "amount": 40.0}, {"id": 1002}]}',
    "French": "Le solde d'Edwina est de 40 €. Il est dû depuis le 1er mai, ce qu'elle sait. Rien d'autre.",
    "German": "Ihr Kontostand beträgt 1.234,50 €. Er ist seit dem 1. Mai fällig, weil wir geschrieben haben.",
    "Chinese": "她的余额是四十美元。自五月一日起到期，她知道这一点，因为我们四月给她写过信。没有其他未付款项。",
    "Korean": "그녀의 잔액은 40달러입니다. 5월 1일부터 연체되었으며, 편지를 보냈기 때문에 알고 있습니다.",
    "quotes": "She said: \"I will pay,\" and Dr. Smith agreed. 'Fine,' he wrote. It's her choice, isn't it?",
    "repeats": "It is due. It is due on 1 May. It is due on 1 May 2026, and it is forty dollars. It is forty.",
    "emojis": "Good news 🎉! Her balance is 0 👍🏽. Nothing is due 😊 until June.",
}


@pytest.mark.parametrize("kind", KINDS)
def test_text_of_any_kind_is_whole_again_behind_any_word(kind: str) -> None:
    text, heard = KINDS[kind], list[str]()
    for cut in [match.end() for match in re.finditer(r"[一-鿿]|\S+\s*", text)][:-1]:
        delivery = WordDelivery(lambda delta: heard.append(delta.text), longest=200)
        delivery.begin("first", "fresh")
        delivery.add(Delta(text=text[:cut]))
        said = delivery.text
        if not said or is_first_word(said):
            continue  # then the answer is begun once more
        sentence = text[open_sentence(said) :]
        for more in (text[len(said) :], f"…{text[len(said) :].lstrip()}", sentence, text, f"\n\n{text}"):
            for size in (1, 5, len(text) + 2):
                heard[:] = [said]
                delivery.text = said
                delivery.begin("second", "continued")
                for at in range(0, len(more), size):
                    delivery.add(Delta(text=more[at : at + size]))
                delivery.finish()
                assert "".join(heard) == text, (said, more)


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
