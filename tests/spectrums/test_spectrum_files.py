"""Spectrums that an operator's file adds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tilores_core.chat.records import fingerprint, render, section
from tilores_core.contracts import Customer, Record
from tilores_core.errors import ConfigError
from tilores_core.spectrums import SPECTRUMS, classify, current_spectrums, spectrum_of_field, use_spectrums
from tilores_core.testing import TestApp

PETS = """
[[spectrum]]
name = "pets"
title = "Pets"
meaning = "The animals of the household."
fields = ["pet_name", "*_vet"]
words = ["pet", "dog", "family vet"]
weight = 2.0

[[spectrum]]
name = "credit_analysis"
title = "Credit"
meaning = "Credit, with our own words."
fields = ["klarna_limit"]
words = ["klarna"]
"""
CUSTOMER = Customer(
    id="C-1",
    name="Ann Reed",
    records=(Record(id="r", system="crm", fields={"pet_name": "Rex", "credit_score": 700, "home_vet": "Dr. Oak"}),),
)


@pytest.fixture(autouse=True)
def _seven_again() -> Iterator[None]:
    yield
    use_spectrums([])


def test_file_adds_a_spectrum_and_words_to_a_known_one(tmp_path: Path) -> None:
    before = fingerprint(CUSTOMER)
    (tmp_path / "own.toml").write_text(PETS)
    use_spectrums([tmp_path / "own.toml"])
    names = current_spectrums().names
    assert len(names) == 9
    assert names[0] == "pets"
    assert classify("What is the name of her dog?") == "pets"
    assert classify("What is her klarna limit?") == classify("her credit score") == "credit_analysis"
    assert spectrum_of_field("home_vet") == "pets"
    assert current_spectrums().spectrums[0].weight == 2.0
    assert "[Pets]\npet_name: Rex\nhome_vet: Dr. Oak" in render(CUSTOMER)
    assert "credit_score" not in section(render(CUSTOMER), "pets")
    assert fingerprint(CUSTOMER) != before  # stored answers rest on the sections, too
    use_spectrums([])
    assert fingerprint(CUSTOMER) == before
    assert current_spectrums().spectrums == SPECTRUMS


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no [[spectrum]] table"),
        ("[[spectrum]", "not valid TOML"),
        (PETS.replace('name = "pets"', 'name = "Our Pets"'), "name: String should match pattern"),
        (PETS.replace("weight", "wieght"), "wieght"),
        (PETS.replace("2.0", '"much"'), "weight: this must be a number"),
        (PETS.replace('title = "Pets"', 'title = "[Pets]"'), "title"),
        (PETS.replace('words = ["pet", "dog", "family vet"]', "words = []"), "words"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=str(path)) as caught:
        use_spectrums([path])
    assert problem in str(caught.value)
    assert current_spectrums().spectrums == SPECTRUMS


def test_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="spectrum_files"):
        use_spectrums([tmp_path / "none.toml"])


async def test_spectrum_files_of_the_settings_are_used_by_the_server(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(PETS.replace('"dog"', '"loyalty points"').replace('"pet_name"', '"loyalty_points"'))
    async with TestApp(config={"chat": {"spectrum_files": [str(path)]}}) as app:
        reply = await app.invoke("How many loyalty points are there?", customer_id="EDW_HAWTHORNE_001")
        assert reply.json()["output"]["response_metadata"]["spectrum"] == "pets"
    async with TestApp() as app:
        reply = await app.invoke("How many loyalty points are there?", customer_id="EDW_HAWTHORNE_001")
        assert reply.json()["output"]["response_metadata"]["spectrum"] == "customer_profile"
