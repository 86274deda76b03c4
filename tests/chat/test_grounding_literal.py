"""The quick look: what stands in the records as it was said, and what it leaves to the index."""

from __future__ import annotations

import pytest

from tilores_core.chat.grounding.literal import stands_literally

RECORDS = """<records customer="C-17" name="Edwina Hawthorne" sources="crm 2026-03-01">
[Credit]
credit_score: 742 [crm 2026-03-01] | 698 [billing 2024-01-01]
balance: 1250.5
card_number: 4111 1111 1111 1234
phone: +1 503-555-0142
email: edwina@example.com
branch: March
reference: REF-318-X
</records>"""


@pytest.mark.parametrize(
    "said",
    [
        "Edwina Hawthorne's credit score is 742.",
        "The score is 742 (an older record says 698).",
        "Her balance is 1250.5 and her e-mail edwina@example.com.",
        "Nothing is known of that.",
        "The score was 742 when it was last updated in April.",  # a month alone is no claim
        "In april, the score was 742.",
    ],
)
def test_quoted_values_are_settled(said: str) -> None:
    assert stands_literally(said, [RECORDS])


@pytest.mark.parametrize(
    "said",
    [
        "The score is 74.",  # a part of a number
        "The score is 743.",
        "The reference is 318.",  # a part of a code
        "The balance is 1250.",
        "The card is 4111 1234.",  # put together from parts
        "It was on 2026-03-01 698 days ago.",
        "The card ending in 742 is valid.",
        "She was born in March 742.",  # a date in words
        "She was born in april 742.",
        "She was born on 742 March.",
        "She was born on the 742 of March.",
        "She is forty-two.",
        "Write to edwin@example.com.",
        "Ask Robin about it.",
    ],
)
def test_what_is_not_quoted_is_left_to_the_index(said: str) -> None:
    assert not stands_literally(said, [RECORDS])


def test_one_of_several_records_is_enough() -> None:
    assert stands_literally("The score is 742 and the tier gold.", ["tier: gold", RECORDS])
    assert not stands_literally("The score is 742.", [])
