"""The demo source: the suite every source passes, and the data set itself."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
import pytest_asyncio
from pydantic import ValidationError

from tilores_core import Customer, CustomerSource, Identifiers, PluginContext, normalise_phone
from tilores_core.spectrums import SPECTRUMS, spectrum_of_field
from tilores_core.testing.sources import CustomerSourceSuite, KnownCustomer
from tilores_plugins.sources import demo
from tilores_plugins.sources.demo.people import AS_OF, CUSTOMERS, EDWINA, Person, build_people
from tilores_plugins.sources.demo.source import DemoSource, Settings, build

DIGEST = "3a87b676a340179fc71b28ebc64fd581bac038918494352d01bc76a34d2ca6d2"


def make() -> DemoSource:
    return build(PluginContext(plugin_id="demo", settings=Settings(), data_dir=Path()))


class TestDemoSource(CustomerSourceSuite):
    @pytest_asyncio.fixture
    async def source(self) -> AsyncIterator[CustomerSource]:  # type: ignore[override]
        source = make()
        yield source
        await source.aclose()

    @pytest.fixture
    def known(self) -> KnownCustomer:
        return KnownCustomer(
            id=EDWINA,
            name="Edwina Hawthorne",
            names=("Eddie Hawthorne", "Winnie Hawthorne", "Edwina Rose Hawthorne", "Ms Edwina R. Hawthorne"),
            email="edwina.hawthorne@example.com",
            phone="+15035550142",
            date_of_birth="1983-03-14",
            namesakes="Sarah Mitchell",
            accented=ACCENTED,
            plain=PLAIN,
        )


def _accented() -> tuple[str, str]:
    person = next(p for p in build_people() if p.name == "Jörg Krüger" or "ü" in p.last_name)
    return person.name, person.name.translate(str.maketrans("äöüÄÖÜ", "aouAOU"))


ACCENTED, PLAIN = _accented()


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return build_people()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def customers(people: list[Person]) -> list[Customer]:
    source = make()
    found = [await source.get(person.id) for person in people]
    return [customer for customer in found if customer is not None]


def values(customer: Customer) -> dict[str, Any]:
    """What the records say together, the first record's word counting."""
    merged: dict[str, Any] = {}
    for record in customer.records:
        merged = {**record.fields, **merged}
    return merged


def digest_of(customers: Iterable[Customer]) -> str:
    digest = hashlib.sha256()
    for customer in customers:
        records = [[r.id, r.system, r.updated_at, dict(r.fields)] for r in customer.records]
        whole = [customer.id, customer.name, dict(customer.traits), records]
        digest.update(json.dumps(whole, sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()


def test_the_data_set_does_not_drift(customers: list[Customer]) -> None:
    """Answers quoted in documents and examples depend on it: change it knowingly, then pin the new digest."""
    assert digest_of(customers) == DIGEST


def test_other_processes_make_the_same_customers(people: list[Person]) -> None:
    code = (
        "from tilores_plugins.sources.demo.people import build_people; import hashlib; "
        "print(hashlib.sha256(repr(build_people()).encode()).hexdigest())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == hashlib.sha256(repr(people).encode()).hexdigest()


def test_there_are_enough_customers_records_and_fields(customers: list[Customer]) -> None:
    assert len(customers) == CUSTOMERS >= 500
    assert len({customer.id for customer in customers}) == CUSTOMERS
    assert {len(customer.records) for customer in customers} == {3, 4, 5, 6}
    fields = {name for customer in customers for record in customer.records for name in record.fields}
    assert len(fields) >= 310


async def test_the_catalogue_lists_exactly_the_fields_there_are(customers: list[Customer]) -> None:
    schema = await make().schema()
    used = {name for customer in customers for record in customer.records for name in record.fields}
    assert used == {info.name for info in schema.fields}
    types = {"string": str, "integer": int, "number": float, "boolean": bool, "array": list}
    by_name = {info.name: info for info in schema.fields}
    for customer in customers:
        for name, value in values(customer).items():
            assert type(value) is types[by_name[name].type], (customer.id, name, value)


async def test_every_field_has_the_spectrum_its_name_tells() -> None:
    schema = await make().schema()
    assert {info.spectrum for info in schema.fields} == {spectrum.name for spectrum in SPECTRUMS}
    for info in schema.fields:
        assert info.description
        assert spectrum_of_field(info.name) == info.spectrum, info.name


def test_record_ids_are_unique(customers: list[Customer]) -> None:
    counts = Counter(record.id for customer in customers for record in customer.records)
    assert max(counts.values()) == 1


def test_contacts_are_fictional_and_belong_to_one_customer(people: list[Person]) -> None:
    owners: dict[str, str] = {}
    for person in people:
        for sighting in person.sightings:
            assert sighting.email.endswith(("@example.com", "@example.org", "@example.net"))
            number = normalise_phone(sighting.phone, person.place.country)
            assert number is not None, sighting.phone
            assert phonenumbers.is_possible_number(phonenumbers.parse(number))
            assert owners.setdefault(number, person.id) == person.id, number
            if number.startswith("+1"):
                assert number[5:10] == "55501"


def test_records_disagree_but_most_are_right(people: list[Person]) -> None:
    wrong = Counter[str]()
    for person in people:
        for what in ("name", "email", "address"):
            off = sum(getattr(sighting, what) != getattr(person, what) for sighting in person.sightings)
            assert off <= len(person.sightings) / 2
            wrong[what] += bool(off)
        assert person.sightings[0].name == person.name
    assert min(wrong.values()) > 50


def test_some_customers_share_a_name(customers: list[Customer]) -> None:
    groups = Counter(customer.name for customer in customers)
    shared = {name: count for name, count in groups.items() if count > 1}
    assert shared["Sarah Mitchell"] == 3
    assert len(shared) >= 6
    for name in shared:
        namesakes = [customer for customer in customers if customer.name == name]
        assert len({customer.traits["born"] for customer in namesakes}) == len(namesakes)


def test_the_traits_begin_with_the_least_revealing(customers: list[Customer]) -> None:
    assert list(customers[0].traits.items()) == [
        ("born", "1983"),
        ("city", "Portland"),
        ("customer since", "2011"),
        ("postcode begins", "972"),
    ]


def test_every_customer_is_consistent(customers: list[Customer]) -> None:
    for customer in customers:
        facts = values(customer)
        check_money(facts)
        check_credit(facts)
        check_times(facts)


def check_money(f: dict[str, Any]) -> None:
    if "savings_account_balance" in f:
        assert f["total_balance"] == pytest.approx(f["current_account_balance"] + f["savings_account_balance"])
    spent = [value for name, value in f.items() if name.startswith("spending_") and name.endswith("_monthly")]
    if spent:
        assert f["monthly_spending"] == pytest.approx(sum(spent))
        assert len(spent) == 6
    if "spending_change" in f and {"spending_last_month", "spending_month_before"} <= f.keys():
        before, now = f["spending_month_before"], f["spending_last_month"]
        assert f["spending_change"] == pytest.approx(100 * (now - before) / before, abs=0.06)
    if "recent_transactions" in f:
        assert f["recent_transactions"][0]["amount"] == f["last_transaction_amount"]
        assert f["recent_transactions"][0]["date"] == f["last_transaction_on"]


def check_credit(f: dict[str, Any]) -> None:
    assert f["credit_available"] == pytest.approx(f["credit_limit_total"] - f["credit_used_total"])
    if "credit_score" not in f:
        return
    bands = {"poor": (300, 579), "fair": (580, 669), "good": (670, 739), "very good": (740, 799)}
    low, high = bands.get(f["credit_score_band"], (800, 850))
    assert low <= f["credit_score"] <= high
    if {"credit_score_previous", "credit_score_change"} <= f.keys():
        assert f["credit_score"] == f["credit_score_previous"] + f["credit_score_change"]
    assert f["credit_utilization"] == pytest.approx(100 * f["credit_used_total"] / f["credit_limit_total"], abs=0.06)
    assert f["debt_to_income_ratio"] == pytest.approx(100 * f["total_debt"] / f["annual_income"], abs=0.06)
    if "installment_balance" in f:
        assert f["total_debt"] == pytest.approx(f["installment_balance"] + f["credit_used_total"])
    if {"loan_to_value_ratio", "mortgage_balance", "collateral_value"} <= f.keys():
        expected = 100 * f["mortgage_balance"] / f["collateral_value"]
        assert f["loan_to_value_ratio"] == pytest.approx(expected, abs=0.06)


def check_times(f: dict[str, Any]) -> None:
    born = date.fromisoformat(f["date_of_birth"])
    assert f["age"] == AS_OF.year - born.year - ((AS_OF.month, AS_OF.day) < (born.month, born.day))
    assert f["date_of_birth"] < f["customer_since"] <= f["first_account_opened_on"]
    assert f["first_account_opened_on"] <= f.get("last_account_opened_on", AS_OF.isoformat())
    past = [name for name in f if name.startswith("last_") and name.endswith("_on")]
    assert all(f[name] <= AS_OF.isoformat() for name in [*past, "address_since", "customer_since"] if name in f)
    future = [name for name in f if name.startswith("next_") and name.endswith("_on")]
    assert all(f[name] > AS_OF.isoformat() for name in future)
    due = date.fromisoformat(f["next_payment_due_on"])
    assert f["days_to_next_payment"] == (due - AS_OF).days
    if "last_call_on" in f:
        contact = date.fromisoformat(f["last_contact_on"])
        assert f["last_call_on"] <= f["last_contact_on"]
        assert f["days_since_last_contact"] == (AS_OF - contact).days
        assert bool(f["open_tickets"]) == ("open_ticket_id" in f)
    if "tickets_resolved_12m" in f:
        assert f["open_tickets"] + f["tickets_resolved_12m"] == f["tickets_12m"]


async def test_edwina(customers: list[Customer]) -> None:
    edwina = customers[0]
    facts = values(edwina)
    assert edwina.name == "Edwina Hawthorne"
    assert [record.system for record in edwina.records] == [
        "crm",
        "core_banking",
        "call_center",
        "credit_bureau",
        "web_portal",
        "marketing",
    ]
    assert all(record.updated_at for record in edwina.records)
    assert facts["credit_score"] == 742
    assert facts["credit_score_band"] == "very good"
    schema = await make().schema()
    missing = {info.name for info in schema.fields} - facts.keys()
    assert missing == {"accessibility_needs", "savings_dormant_since"}
    assert {info.spectrum for info in schema.fields if info.name in facts} == {s.name for s in SPECTRUMS}
    names = {record.fields["first_name"] for record in edwina.records}
    assert names == {"Edwina", "Eddie", "Winnie"}


async def test_a_middle_name_that_is_not_hers_is_somebody_else() -> None:
    assert await make().find(Identifiers(name="Edwina May Hawthorne")) == []


def test_there_are_no_settings() -> None:
    with pytest.raises(ValidationError):
        Settings(customers=3)  # type: ignore[call-arg]


def test_registering_imports_nothing_heavy() -> None:
    (spec,) = demo.register_customer_sources()
    assert spec.name == "demo"
    code = (
        "import sys, tilores_plugins.sources.demo, tilores_plugins.sources.file; "
        "print([m for m in ('phonenumbers', 'langchain_core', 'fastapi') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"
