"""Which spectrum a question belongs to."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, strategies as st

from tilores_core.spectrums import GENERAL, SPECTRUMS, classify, spectrum_of_field

NAMES = [
    "customer_profile",
    "credit_analysis",
    "transaction_history",
    "call_center_operations",
    "entity_relationship",
    "geographic_analysis",
    "temporal_analysis",
]


def test_there_are_seven_and_they_are_frozen() -> None:
    assert [spectrum.name for spectrum in SPECTRUMS] == NAMES
    assert all(spectrum.title and spectrum.meaning and spectrum.fields and spectrum.words for spectrum in SPECTRUMS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        SPECTRUMS[0].name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("question", "spectrum"),
    [
        ("What is Edwina Hawthorne's credit score?", "credit_analysis"),
        ("WHAT IS HER CREDIT SCORE", "credit_analysis"),
        ("credit_score?", "credit_analysis"),
        ("Is she behind with her mortgage payments?", "credit_analysis"),
        ("What's her e-mail?", "customer_profile"),
        ("and her phone number", "customer_profile"),
        ("Who employs him, what is his occupation?", "customer_profile"),
        ("When was her last transaction?", "transaction_history"),
        ("What was his last payment", "transaction_history"),
        ("How much money is on the savings account?", "transaction_history"),
        ("when did she last call us?", "call_center_operations"),
        ("Any open tickets or complaints?", "call_center_operations"),
        ("Who is her husband?", "entity_relationship"),
        ("Which companies is she director of?", "entity_relationship"),
        ("Where does she live?", "geographic_analysis"),
        ("her cities' postcodes", "geographic_analysis"),
        ("How long has she been a customer?", "temporal_analysis"),
        ("Did it improve over time?", "temporal_analysis"),
        ("Tell me a joke.", GENERAL),
        ("", GENERAL),
        ("???", GENERAL),
    ],
)
def test_examples(question: str, spectrum: str) -> None:
    assert classify(question) == spectrum


@pytest.mark.parametrize("question", ["her ticket", "her tickets", "the ticket's", "HER TICKETS!", "the ticket’s"])
def test_plurals_and_possessives(question: str) -> None:
    assert classify(question) == "call_center_operations"


def test_a_phrase_weighs_more_than_its_words() -> None:
    assert classify("phone") == "customer_profile"
    assert classify("phone call") == "call_center_operations"


def test_equal_points_go_to_the_earlier_spectrum() -> None:
    assert classify("email and mortgage") == classify("mortgage and email") == "customer_profile"


def test_every_word_leads_somewhere() -> None:
    for spectrum in SPECTRUMS:
        for word in spectrum.words:
            assert classify(word) != GENERAL, word


@given(st.text(max_size=300))
def test_any_text_has_a_spectrum(text: str) -> None:
    assert classify(text) in {*NAMES, GENERAL}
    assert classify(text) == classify(text)


@pytest.mark.parametrize(
    ("field", "spectrum"),
    [
        ("credit_score", "credit_analysis"),
        ("CreditScore", "credit_analysis"),
        ("creditScore", "credit_analysis"),
        ("CREDIT SCORE", "credit_analysis"),
        ("FICO", "credit_analysis"),
        ("fico_score_8", "credit_analysis"),
        ("last_payment_date", "transaction_history"),
        ("city", "geographic_analysis"),
        ("address.city", "geographic_analysis"),
        ("homeAddress", "geographic_analysis"),
        ("ZIP", "geographic_analysis"),
        ("customerEmail", "customer_profile"),
        ("open_tickets", "call_center_operations"),
        ("spouse_name", "entity_relationship"),
        ("balance_trend", "temporal_analysis"),
        ("loan_amount", "credit_analysis"),
        ("xyzzy", None),
        ("", None),
        ("...", None),
    ],
)
def test_fields(field: str, spectrum: str | None) -> None:
    assert spectrum_of_field(field) == spectrum


@given(st.text(max_size=300))
def test_any_field_name_is_answered(name: str) -> None:
    assert spectrum_of_field(name) in {None, *NAMES}
