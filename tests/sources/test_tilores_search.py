"""What is known of a customer, as an instance's search parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sources.tilores_client import EDWINA, EDWINA_EMAIL, EDWINA_RECORDS, asked, connected, ids, record_ids
from tests.tilores_instance import BANK, NESTED, UPPER, Layout, TiloresInstance
from tilores_core import Identifiers, SourceError
from tilores_plugins.sources.fields import EMAIL, FIRST_NAME, PHONE, WHOLE_NAME, guess
from tilores_plugins.sources.tilores.catalogue import Parameter
from tilores_plugins.sources.tilores.memory import ParameterStats
from tilores_plugins.sources.tilores.names import SplitName, splits
from tilores_plugins.sources.tilores.search_parameters import fitting, phone_spellings


def sent(instance: TiloresInstance) -> list[dict[str, Any]]:
    """The parameters of each search, in order."""
    return [
        value
        for seen in asked(instance, "Search")
        for name, value in sorted(seen.variables.items())
        if name.startswith("p") and name != "page"
    ]


# --- guesses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "role"),
    [
        *((name, FIRST_NAME) for name in ("first_name", "firstName", "FIRST_NAME", "person.givenName", "name.first")),
        *((name, EMAIL) for name in ("email", "E_MAIL", "emailAddress", "contact.primary_email", "emails")),
        *((name, PHONE) for name in ("phone", "PHONE_NUMBER", "mobileNo", "telephone_no", "contact.mobile_number")),
        *((name, WHOLE_NAME) for name in ("name", "fullName", "customer_name")),
    ],
)
def test_names_are_guessed_in_any_case_style(name: str, role: Any) -> None:
    assert guess(role, ["other", name]) == name


@pytest.mark.parametrize("name", ["spouse.email", "employerEmail", "emergency_contact.phone", "guarantor.first_name"])
def test_what_belongs_to_somebody_else_is_no_guess(name: str) -> None:
    assert all(guess(role, [name]) is None for role in (FIRST_NAME, EMAIL, PHONE, WHOLE_NAME))


@pytest.mark.parametrize(
    ("layout", "parameters"),
    [
        (BANK, {"firstName": "Edwina", "lastName": "Hawthorne", "dateOfBirth": "1984-03-17"}),
        (
            NESTED,
            {"person": {"given_name": "Edwina", "family_name": "Hawthorne", "birth_date": "1984-03-17"}},
        ),
        (UPPER, {"FIRST_NAME": "Edwina", "LAST_NAME": "Hawthorne", "BIRTH_DATE": "1984-03-17"}),
    ],
    ids=lambda value: value.name if isinstance(value, Layout) else "",
)
async def test_only_what_is_known_is_sent_under_their_names(
    layout: Layout, parameters: dict[str, Any], tmp_path: Path
) -> None:
    async with TiloresInstance(layout=layout) as instance, connected(instance, tmp_path) as source:
        (found,) = await source.find(Identifiers(name="Edwina Hawthorne", date_of_birth="1984-03-17"))
    assert record_ids(found) == EDWINA_RECORDS
    assert sent(instance) == [parameters]


async def test_settings_say_what_a_guess_would_not(instance: TiloresInstance, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "parameters": {"name": "city", "email": "accountNumber"},
        "fixed_parameters": {"postalCode": "10115"},
    }
    async with connected(instance, tmp_path, **given) as source:
        await source.find(Identifiers(email="someone@example.com"))
    assert sent(instance)[0] == {"accountNumber": "someone@example.com", "postalCode": "10115"}


async def test_settings_that_the_instance_cannot_meet_are_said(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path, parameters={"email": "emial"}) as source:
        with pytest.raises(SourceError, match="parameters = 'emial': there is no such field") as raised:
            await source.schema()
        assert "'email'" in str(raised.value.fix)
    async with connected(instance, tmp_path, phone_fields=["fone"]) as source:
        with pytest.raises(SourceError, match="phone_fields = 'fone': there is no such field") as raised:
            await source.schema()
        assert "'phone'" in str(raised.value.fix)


async def test_a_required_parameter_that_is_not_known_ends_it_before_the_instance_is_asked(tmp_path: Path) -> None:
    async with TiloresInstance(layout=UPPER) as instance:
        async with connected(instance, tmp_path) as source:
            assert await source.find(Identifiers(email=EDWINA_EMAIL)) == []
            assert asked(instance) == []
            both = Identifiers(email=EDWINA_EMAIL, name="Edwina Hawthorne")
            assert ids(await source.find(both)) == [instance.entity_id(EDWINA)]
        async with connected(instance, tmp_path, fixed_parameters={"LAST_NAME": "Hawthorne"}) as source:
            assert ids(await source.find(Identifiers(email=EDWINA_EMAIL))) == [instance.entity_id(EDWINA)]


# --- spellings -------------------------------------------------------------------------------------------------


def test_a_phone_number_is_tried_as_e164_first() -> None:
    assert phone_spellings("+442071838750")[:3] == ["+442071838750", "442071838750", "02071838750"]
    assert phone_spellings("+15035550142") == [
        "+15035550142",
        "15035550142",
        "5035550142",
        "(503) 555-0142",
        "0015035550142",
    ]
    assert phone_spellings(None) == []


@pytest.mark.parametrize(
    ("name", "first", "others"),
    [
        ("Edwina Hawthorne", SplitName("Edwina", "Hawthorne"), [SplitName("Hawthorne", "Edwina")]),
        ("Hawthorne, Edwina", SplitName("Edwina", "Hawthorne"), []),
        ("Dr. Edwina Rose Hawthorne", SplitName("Edwina", "Hawthorne"), [SplitName("Edwina", "Rose Hawthorne")]),
        ("Ana García López", SplitName("Ana", "López"), [SplitName("Ana", "García López")]),
        (
            "Jürgen Müller",
            SplitName("Jürgen", "Müller"),
            [SplitName("jurgen", "muller"), SplitName("juergen", "mueller")],
        ),
        ("Hawthorne", SplitName("", "Hawthorne"), []),
    ],
)
def test_a_name_is_split_and_spelt(name: str, first: SplitName, others: list[SplitName]) -> None:
    found = splits(name)
    assert found[0] == first
    assert all(other in found for other in others)


@pytest.mark.parametrize("name", ["", "  ", "'", "…", "a" * 10_000, "\u0000"])
async def test_what_is_no_name_asks_nobody(name: str, instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        assert await source.find(Identifiers(name=name)) == []
    assert asked(instance) == []


async def test_other_spellings_are_tried_together_when_the_first_finds_nobody(
    instance: TiloresInstance, tmp_path: Path
) -> None:
    async with connected(instance, tmp_path) as source:
        (found,) = await source.find(Identifiers(name="Quill Bartholomew"))
        assert record_ids(found) == {"crm-1301", "desk-4301"}
        assert await source.find(Identifiers(name="Nobody Of That-Name")) == []
    documents = [str(seen.document) for seen in asked(instance, "Search")]
    assert len(documents) == 4
    assert ["s1:" in document for document in documents] == [False, False, False, True], "others in one document"


def test_values_take_the_parameter_s_type() -> None:
    def parameter(kind: str, *choices: str, is_list: bool = False) -> Parameter:
        return Parameter(("x",), kind, "X", (is_list,), (False,), choices)

    assert fitting(parameter("integer"), "12") == 12
    assert fitting(parameter("integer"), "12.5") is None
    assert fitting(parameter("number"), "12.5") == 12.5
    assert fitting(parameter("number"), "nan") is None
    assert fitting(parameter("number"), "much") is None
    assert fitting(parameter("string", "OPEN", "CLOSED"), "open") == "OPEN"
    assert fitting(parameter("string", "OPEN"), "ajar") is None
    assert fitting(parameter("boolean"), "True") is True
    assert fitting(parameter("string"), ["a"]) is None
    assert fitting(parameter("string", is_list=True), ["a", 1]) == ["a", "1"]
    assert fitting(parameter("string"), {"a": 1}) is None


# --- everything given must fit ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "who",
    [
        Identifiers(email=EDWINA_EMAIL, name="Bartholomew Quill"),
        Identifiers(email=EDWINA_EMAIL, date_of_birth="1951-11-02"),
        Identifiers(phone="+49305550101", email="b.quill@example.com"),
        Identifiers(name="Edwina Hawthorne", phone="+49895550166"),
        Identifiers(customer_id=EDWINA, date_of_birth="1951-11-02"),
        Identifiers(email="not an address"),
        Identifiers(phone="12"),
    ],
)
async def test_what_contradicts_is_nobody(who: Identifiers, instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        assert await source.find(who) == []


async def test_fuzzy_hits_must_still_fit(instance: TiloresInstance, tmp_path: Path) -> None:
    """The instance takes Edwine for Edwina; a name that only sounds alike is not hers."""
    async with connected(instance, tmp_path) as source:
        raw = await source.search({"firstName": "Edwine", "lastName": "Hawthorne"})
        assert len(raw) == 3
        assert await source.find(Identifiers(name="Edwine Hawthorne")) == []


async def test_a_shared_name_is_told_apart_by_more(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        named = Identifiers(name="Edwina Hawthorne")
        assert len(await source.find(named)) == 3
        assert len(await source.find(named, limit=2)) == 2
        (found,) = await source.find(Identifiers(name="Edwina Hawthorne", email="edwina1951@example.org"))
        assert "crm-1101" in record_ids(found)
        (married,) = await source.find(Identifiers(name="Philippa Underhill"))
        assert ids(await source.find(Identifiers(name="Philippa Marchbanks"))) == [married.id]


async def test_numbers_written_nationally_fit(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        instance.submit(
            {"id": "n-1", "source": "n", "firstName": "Nora", "lastName": "Nordby", "phone": "0421 5550177"}
        )
        (found,) = await source.find(Identifiers(phone="+494215550177"))
        assert record_ids(found) == {"n-1"}
        assert await source.find(Identifiers(phone="+494215550178")) == []


# --- learning --------------------------------------------------------------------------------------------------


def test_parameters_that_never_find_anybody_are_tried_later() -> None:
    hints = ParameterStats()
    email, name = {"email": "x"}, {"firstName": "a", "lastName": "b"}
    assert hints.sort_by_success([email, name]) == [email, name]
    for _ in range(5):
        hints.note(email, found=False)
    assert hints.sort_by_success([email, name]) == [email, name], "no other is known to be better"
    hints.note(name, found=True)
    assert hints.sort_by_success([email, name]) == [name, email]
    hints.note(email, found=True)
    assert hints.sort_by_success([email, name]) == [email, name]
    assert hints.successful() == [("email",), ("firstName", "lastName")]
    for number in range(1_000):
        hints.note([f"p{number}"], found=True)
    assert len(hints.successful()) <= 64


@pytest.mark.parametrize("hidden", [{"email_fields": []}, {"exclude_fields": ["email"]}], ids=["unnamed", "excluded"])
async def test_an_email_that_no_record_shows_must_be_found_by_alone(
    hidden: dict[str, Any], instance: TiloresInstance, tmp_path: Path
) -> None:
    name = "Edwina Hawthorne"
    async with connected(instance, tmp_path, **hidden) as source:
        assert [one.id for one in await source.find(Identifiers(email=EDWINA_EMAIL))] == [instance.entity_id(EDWINA)]
        assert await source.find(Identifiers(name=name, email=EDWINA_EMAIL))
        assert await source.find(Identifiers(name=name, email="someone.else@example.com")) == []
        assert await source.find(Identifiers(name="Someone Else", email=EDWINA_EMAIL)) == []
        assert await source.find(Identifiers(customer_id=EDWINA, email=EDWINA_EMAIL))
        assert await source.find(Identifiers(customer_id=EDWINA, email="someone.else@example.com")) == []
