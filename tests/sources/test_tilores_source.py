"""The Tilores source against an instance: the suite that every source passes, and what records become."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.sources.tilores_client import (
    EDWINA,
    EDWINA_EMAIL,
    EDWINA_RECORDS,
    asked,
    connected,
    ids,
    in_thread,
    record_ids,
)
from tests.tilores_instance import BANK, NESTED, UPPER, Layout, TiloresInstance
from tilores_core import CustomerSource, Identifiers
from tilores_core.testing.sources import CustomerSourceSuite, KnownCustomer

Running = tuple[TiloresInstance, Path]

PATIENT: dict[str, Any] = {"timeout_seconds": 30, "soft_timeout_seconds": 30}


class _Suite(CustomerSourceSuite):
    layout: Layout = BANK
    version = "0.91"

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
        """One instance for the class: to build its schema takes longer than a test."""
        with in_thread(TiloresInstance(layout=cls.layout, version=cls.version)) as instance:
            yield instance, tmp_path_factory.mktemp("data")

    @pytest_asyncio.fixture
    async def source(self, running: Running) -> AsyncIterator[CustomerSource]:  # type: ignore[override]
        instance, folder = running
        async with connected(instance, folder, **PATIENT) as source:
            yield source

    @pytest.fixture
    def known(self, running: Running) -> KnownCustomer:
        return KnownCustomer(
            id=running[0].entity_id(EDWINA),
            name="Edwina Hawthorne",
            names=("Edwina Rose Hawthorne", "Mrs. Edwina Hawthorne"),
            email=EDWINA_EMAIL,
            phone="+49305550101",
            date_of_birth="1984-03-17",
            namesakes="Edwina Hawthorne",
        )


class TestBank(_Suite):
    pass


class TestNestedOnAnOldServer(_Suite):
    layout = NESTED
    version = "0.60"


class TestUpper(_Suite):
    """Every search there needs a last name."""

    layout = UPPER

    @pytest.fixture
    def known(self, running: Running) -> KnownCustomer:
        return KnownCustomer(
            id=running[0].entity_id(EDWINA),
            name="Edwina Hawthorne",
            date_of_birth="1984-03-17",
            namesakes="Edwina Hawthorne",
        )


# --- records -------------------------------------------------------------------------------------------------


async def test_records_are_flat_and_know_their_system_and_date(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        customer = await source.get(instance.entity_id(EDWINA))
    assert customer is not None
    assert record_ids(customer) == EDWINA_RECORDS
    by_id = {record.id: record for record in customer.records}
    crm, desk = by_id["crm-1001"], by_id["desk-4001"]
    assert (crm.system, crm.updated_at) == ("crm", "2025-03-02T09:15:00Z")
    assert crm.fields["address.city"] == "Berlin"
    assert crm.fields["balance"] == 2500.5
    assert crm.fields["tags"] == ["vip", "newsletter"]
    assert crm.fields["marketingConsent"] is True
    assert "id" not in crm.fields
    assert desk.updated_at == "2025-06-30T11:05:44"
    assert not any(name.startswith("address") for name in desk.fields), "what is not there is left out"


async def test_quality_says_where_the_records_disagree(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        (found,) = await source.find(Identifiers(email=EDWINA_EMAIL))
        by_id = await source.get(found.id)
    assert found.quality is not None
    assert found.quality.hit_score == 1.0
    assert found.quality.consistency is not None
    assert 0.5 < found.quality.consistency < 1
    # Two of one phone, two of another spelling of it and one of a third number: not all agree.
    assert 0 < found.quality.confidence["phone"] < 1
    assert found.quality.confidence["firstName"] == 1.0
    assert found.quality.confidence["lastName"] == pytest.approx((4 / 5) ** 2 + (1 / 5) ** 2)
    assert by_id is not None
    assert by_id.quality is not None
    assert by_id.quality.hit_score is None, "that belongs to a search"


async def test_insights_can_be_switched_off(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path, insights=False) as source:
        (found,) = await source.find(Identifiers(email=EDWINA_EMAIL))
    assert found.quality is None
    assert "Insights" not in str(asked(instance)[0].document)


@pytest.mark.parametrize("layout", [BANK, NESTED, UPPER], ids=lambda layout: layout.name)
async def test_namesakes_differ_by_what_may_be_said(layout: Layout, tmp_path: Path) -> None:
    async with TiloresInstance(layout=layout) as instance, connected(instance, tmp_path) as source:
        found = await source.find(Identifiers(name="edwina hawthorne"))
    said = sorted(tuple(customer.traits.items()) for customer in found)
    assert len(said) == 3
    assert {dict(traits).get("city") for traits in said} == {"Potsdam", "Kassel", "Bremen"}
    assert {dict(traits).get("born") for traits in said} == {"1984", "1951", None}
    assert all(list(dict(traits))[-1] == "postcode begins" for traits in said)


async def test_unions_and_interfaces_are_read(tmp_path: Path) -> None:
    async with TiloresInstance(layout=UPPER) as instance, connected(instance, tmp_path) as source:
        customer = await source.get(instance.entity_id(EDWINA))
    assert customer is not None
    by_id = {record.id: record.fields for record in customer.records}
    assert by_id["crm-1001"]["POLICIES"][0]["PLATE"] == "TI-LO 1"
    assert "PLATE" not in by_id["core-3001"]["POLICIES"][0]
    assert by_id["crm-1001"]["LAST_CLAIM.STOLEN"] == "bicycle"
    assert by_id["desk-4001"]["LAST_CLAIM.LITRES"] == 200
    assert by_id["crm-1001"]["GROUP_01.VALUE_01_01"]


@pytest.mark.parametrize(
    ("given", "there", "absent"),
    [
        ({"exclude_fields": ["notes", "address"]}, {"email"}, {"notes", "address.city"}),
        ({"include_fields": ["balance", "address.c*"]}, {"balance", "address.city", "email"}, {"notes", "tags"}),
        ({"max_fields": 8}, {"email", "firstName"}, {"notes", "tags", "balance"}),
        ({"max_depth": 1, "trait_fields": []}, {"email"}, {"address.city"}),
    ],
)
async def test_what_is_read_can_be_narrowed(
    given: dict[str, Any], there: set[str], absent: set[str], instance: TiloresInstance, tmp_path: Path
) -> None:
    async with connected(instance, tmp_path, **given) as source:
        (found,) = await source.find(Identifiers(email=EDWINA_EMAIL))
        named = {info.name for info in (await source.schema()).fields}
    fields = {name for record in found.records for name in record.fields}
    assert there <= fields
    assert not absent & (fields | named)
    assert all(name.rpartition(".")[2] not in str(asked(instance)[0].document) for name in absent)


async def test_the_id_of_a_record_is_always_read(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path, exclude_fields=["*"]) as source:
        customer = await source.get(EDWINA)
    assert record_ids(customer) == EDWINA_RECORDS
    assert customer is not None
    assert all(not record.fields for record in customer.records)


async def test_of_two_records_with_one_id_there_is_one(instance: TiloresInstance, tmp_path: Path) -> None:
    instance.submit(
        {"id": "crm-1001", "source": "crm", "firstName": "Edwina", "lastName": "Hawthorne", "balance": 1.0}
    )
    async with connected(instance, tmp_path) as source:
        customer = await source.get("crm-1001")
    assert customer is not None
    assert len(record_ids(customer)) == len(customer.records)


# --- ids -----------------------------------------------------------------------------------------------------


async def test_a_record_s_id_leads_to_the_customer(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        for record_id in EDWINA_RECORDS:
            customer = await source.get(record_id)
            assert customer is not None
            assert customer.id == instance.entity_id(EDWINA)


async def test_a_customer_number_leads_to_the_customer(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path, parameters={"customer_id": "accountNumber"}) as source:
        customer = await source.get("ACC-70010130")
        assert record_ids(customer) == {"crm-1301", "desk-4301"}
        assert await source.get("ACC-0") is None
        found = await source.find(Identifiers(customer_id="ACC-70010130", name="Bartholomew Quill"))
        assert ids(found) == [instance.entity_id("crm-1301")]
        assert await source.find(Identifiers(customer_id="ACC-70010130", name="Edwina Hawthorne")) == []


async def test_a_merged_customer_is_found_by_the_old_id(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        before = {record: instance.entity_id(record) for record in ("crm-1001", "web-2201")}
        for entity_id in before.values():
            assert await source.get(entity_id) is not None
        survivor = instance.merge("crm-1001", "web-2201")
        for entity_id in before.values():
            customer = await source.get(entity_id)
            assert customer is not None
            assert customer.id == survivor
            assert record_ids(customer) == {*EDWINA_RECORDS, "web-2201"}
        assert ids(await source.find(Identifiers(email=EDWINA_EMAIL))) == [survivor]


async def test_a_split_customer_keeps_the_larger_part(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        before = instance.entity_id(EDWINA)
        assert await source.get(before) is not None
        instance.split(["web-2001", "web-2002"])
        assert record_ids(await source.get(before)) == EDWINA_RECORDS - {"web-2001", "web-2002"}
        apart = await source.get("web-2001")
        assert apart is not None
        assert apart.id == instance.entity_id("web-2001") != before
        assert record_ids(apart) <= {"web-2001", "web-2002"}


async def test_an_id_whose_records_are_with_different_people_now_is_nobody_s(
    instance: TiloresInstance, tmp_path: Path
) -> None:
    async with connected(instance, tmp_path) as source:
        both = instance.merge("crm-1301", "crm-1401")
        assert await source.get(both) is not None
        instance.split(["crm-1401"])
        # Each part goes into an older entity, so that the id dies.
        instance.merge("crm-1301", "crm-1101")
        instance.merge("crm-1401", "crm-1201")
        assert both not in {instance.entity_id(record) for record in ("crm-1301", "crm-1401")}
        assert await source.get(both) is None
