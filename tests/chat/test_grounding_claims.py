"""What a text claims, and in which other spellings the records bear it out."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tilores_core.chat.grounding.claims import claims
from tilores_core.chat.grounding.evidence import Evidence, evidence_of
from tilores_core.chat.records import render
from tilores_core.contracts import Customer, Record

TODAY = date(2026, 3, 1)
FIELDS: dict[str, Any] = {
    "full_name": "Edwina Rose Hawthorne",
    "spouse_name": "Julián Hawthorne-Farrow",
    "email": "edwina.hawthorne@example.com",
    "phone": "+1 503-555-0142",
    "work_phone": "020 7946 0018",
    "date_of_birth": "1983-03-14",
    "customer_since": "2011-09-05",
    "credit_score": 742,
    "current_account_balance": 6418.37,
    "total_debt": 309360,
    "on_time_payment_rate": 99.1,
    "share_of_wallet": 0.35,
    "spending_change": -11.4,
    "card_number": "4111 1111 1111 4821",
    "iban": "DE89 3704 0044 0532 0130 00",
    "open_ticket_id": "TCK-318852",
    "visits_per_month": [14, 20, 31],
    "recent_transactions": [{"amount": 120.5, "merchant": "Fuel & Go"}, {"amount": 30.25, "merchant": "RailBird"}],
    "agent_notes": "Promised a call back on 2 July.",
}
CUSTOMER = Customer(
    id="EDW_HAWTHORNE_001",
    name="Edwina Hawthorne",
    records=(Record(id="r1", system="crm", updated_at="2025-06-30", fields=FIELDS),),
)
RECORDS = evidence_of(render(CUSTOMER), [CUSTOMER], today=TODAY)


def strangers(text: str, evidence: Evidence = RECORDS) -> list[tuple[str, str]]:
    """Kind and text of what is not borne out; names as the guard judges them."""
    return [(c.kind, c.text) for c in claims(text, evidence.words) if not evidence.bears_out(c)]


@pytest.mark.parametrize(
    "text",
    [
        "Her balance is 6,418.37.",
        "The balance is $6418.37, about $6,400 or 6.4 thousand.",
        "Her balance is 6.418,37 €.",
        "It is 6,418 dollars, rounded.",
        "She owes 309,360, roughly 309,000, nearly $310k, over 0.3 million.",
        "A share of 35% or 0.35.",
        "Spending went down by 11.4 percent.",
        "The rate is 99.1 %.",
        "Her score is 742!",
        "Born 14 March 1983, on March 14th, 1983, 3/14/1983, 14.03.1983 or 1983-03-14.",
        "She was born in March 1983, in 1983, on the 14th of March.",
        "She is 42 years old, a 42-year-old, aged 42.",
        "A customer for 14 years, since September 2011.",
        "Call (503) 555-0142, 503.555.0142, +1 503 555 0142 or 5035550142.",
        "In London: +44 20 7946 0018, or 020 7946 0018.",
        "Write to Edwina.Hawthorne@Example.com.",
        "The card ending in 4821, ****4821, 4111-1111-1111-4821.",
        "IBAN DE89370400440532013000, that is DE89 3704 0044 0532 0130 00.",
        "Ticket TCK-318852, tck 318852, #318852.",
        "She called three times, has 2 cards and twelve months; the 1st and 2nd of 3.",
        "65 visits in three months; 150.75 spent in all.",
        "Ms. Hawthorne's husband is Julian Hawthorne-Farrow. Hawthorne, Edwina.",
        "HAWTHORNE and Edwina R. Hawthorne.",
        "On Monday, 24/7.",
        "There are 19 more fields.",
        "We will call back on July 2nd, on 2 July.",
        "However, Edwina Hawthorne asked. The Customer Profile is complete.",
        "Ihr Kontostand beträgt 6.418,37 € und sie wurde am 14.03.1983 geboren. Die Telefonnummer lautet anders.",
        "Thank you for calling! She moved from New York to San Francisco; her FICO score is **742**.",
        "",
    ],
)
def test_the_same_value_in_another_spelling_is_borne_out(text: str) -> None:
    assert strangers(text) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Her score is 688.", "number"),
        ("Her balance is 6,418.73.", "number"),
        ("About $7,400.", "number"),
        ("A share of 36 %.", "number"),
        ("She is 57 years old.", "number"),
        ("She is forty-seven.", "number"),
        ("Born 15 March 1983.", "date"),
        ("Born 1983-04-14.", "date"),
        ("Since August 2011.", "date"),
        ("Due on 3 July.", "date"),
        ("Born 3/15/1983.", "date"),
        ("In 1971 she moved.", "number"),
        ("Write to edwina.hawthorn@example.com.", "email"),
        ("Call (503) 555-0143.", "phone"),
        ("Call +44 20 7946 0019 now.", "phone"),
        ("The card ending in 4822.", "account"),
        ("****1234 is blocked.", "account"),
        ("IBAN DE89370400440532013001.", "account"),
        ("Ticket TCK-318853.", "account"),
        ("Account 4111 1111 1111 4822.", "account"),
        ("Her husband is Robin Ashdown.", "name"),
        ("Sarah's score is good.", "name"),
        ("Her first name is Friederike.", "name"),
        ("Mr. Zwingli called.", "name"),
        ("Ihr Mann ist Robin Ashdown und sie ist zufrieden.", "name"),
    ],
)
def test_another_value_is_not(text: str, kind: str) -> None:
    assert [found for found, _ in strangers(text)] == [kind]


def test_what_the_records_do_not_say_is_not_borne_out_by_nothing() -> None:
    assert strangers("Call (503) 555-0142.", Evidence()) == [("phone", "5035550142")]


amounts = st.decimals(min_value=13, max_value=9_999_999, places=2, allow_nan=False, allow_infinity=False)


@given(amounts)
def test_an_amount_is_borne_out_however_it_is_written(amount: Any) -> None:
    record = Record(id="r", system="crm", fields={"balance": float(amount)})
    evidence = evidence_of(render(Customer(id="C", name=None, records=(record,))))
    for text in (f"{amount}", f"{amount:,}", f"${amount:,}", f"{amount:.0f}", f"{amount:.1f}", f"(€{amount})."):
        assert strangers(f"It is {text}", evidence) == [], text


@given(st.dates(date(1800, 1, 1), date(2199, 12, 31)))
def test_a_date_is_borne_out_however_it_is_written(day: date) -> None:
    record = Record(id="r", system="crm", fields={"due_on": day.isoformat()})
    evidence = evidence_of(render(Customer(id="C", name=None, records=(record,))))
    for form in ("%Y-%m-%d", "%d %B %Y", "%B %d, %Y", "%b %d %Y", "%m/%d/%Y", "%d.%m.%Y", "%B %Y", "%d %B", "in %Y"):
        assert strangers(f"It is {day.strftime(form)}.", evidence) == [], form


@given(st.text() | st.text(alphabet="0123456789 .,-/()+%$€kMABc@*:"))
def test_any_text_can_be_read(text: str) -> None:
    found = claims(text)
    evidence = evidence_of(text, today=TODAY)
    assert all(isinstance(evidence.bears_out(claim), bool) for claim in found)
