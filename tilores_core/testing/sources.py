"""What every customer source must do.

    import pytest
    import pytest_asyncio
    from tilores_core.testing.sources import CustomerSourceSuite, KnownCustomer

    class TestAcmeSource(CustomerSourceSuite):
        @pytest_asyncio.fixture
        async def source(self):
            source = AcmeSource(...)
            yield source
            await source.aclose()

        @pytest.fixture
        def known(self):
            return KnownCustomer(id="C1", name="Edwina Hawthorne", email="edwina@example.com", ...)

`known` describes one customer that the source has; what is left out of it is not tested. The tests that need
an ability or a piece of data that is not there are skipped, and say so.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import pytest

from tilores_core.contracts import Customer, CustomerSource, Identifiers, SupportsListing, SupportsMentions
from tilores_core.spectrums import current_spectrums

_JSON_TYPES = {"string", "integer", "number", "boolean", "array", "object", "null"}
_NOBODY = Identifiers(email="nobody.at.all@example.invalid")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCustomer:
    """A customer that the source under test has.

    `names`: further spellings that must lead to the customer. `phone` in E.164. `namesakes`: a name that several
    customers have, this one need not be among them. `accented`: a name with letters beyond ASCII that one
    customer has, and `plain` the same without them.
    """

    id: str
    name: str
    names: tuple[str, ...] = ()
    email: str | None = None
    phone: str | None = None
    date_of_birth: str | None = None
    namesakes: str | None = None
    accented: str | None = None
    plain: str | None = None


def given(value: str | None, what: str) -> str:
    """The value, or the test is skipped."""
    if value is None:
        pytest.skip(f"`known` has no {what}")
    return value


def ids(customers: object) -> list[str]:
    assert isinstance(customers, list | tuple), "find returns a sequence of customers"
    return [customer.id for customer in customers]


@pytest.mark.asyncio
class CustomerSourceSuite:
    """Subclass it, override `source` and `known`."""

    @pytest.fixture
    def source(self) -> CustomerSource:
        raise NotImplementedError("override the `source` fixture")

    @pytest.fixture
    def known(self) -> KnownCustomer:
        raise NotImplementedError("override the `known` fixture")

    # --- one, none ---------------------------------------------------------------------------------------

    async def test_get_returns_the_customer(self, source: CustomerSource, known: KnownCustomer) -> None:
        customer = await source.get(known.id)
        assert customer is not None
        assert customer.id == known.id
        assert customer.name == known.name
        assert customer.records

    async def test_get_of_an_unknown_id_is_none(self, source: CustomerSource, known: KnownCustomer) -> None:
        assert await source.get(f"{known.id}-that-nobody-has") is None
        assert await source.get("") is None

    @pytest.mark.parametrize("odd", ["'", "%", "\u0000", "🦉", "../../etc/passwd", "a" * 10_000])
    async def test_odd_ids_are_nobody(self, source: CustomerSource, odd: str) -> None:
        assert await source.get(odd) is None
        assert ids(await source.find(Identifiers(name=odd))) == []

    async def test_records_are_plain_and_tell_themselves_apart(
        self, source: CustomerSource, known: KnownCustomer
    ) -> None:
        customer = await source.get(known.id)
        assert customer is not None
        assert len({record.id for record in customer.records}) == len(customer.records)
        for record in customer.records:
            assert record.system
            assert None not in record.fields.values(), "a missing field is absent, not None"
            fields = dict(record.fields)
            assert json.loads(json.dumps(fields, allow_nan=False)) == fields

    async def test_the_same_customer_comes_back_every_time(
        self, source: CustomerSource, known: KnownCustomer
    ) -> None:
        assert await source.get(known.id) == await source.get(known.id)

    # --- find --------------------------------------------------------------------------------------------

    async def test_nothing_given_finds_nobody(self, source: CustomerSource) -> None:
        assert ids(await source.find(Identifiers())) == []

    async def test_find_by_id(self, source: CustomerSource, known: KnownCustomer) -> None:
        assert ids(await source.find(Identifiers(customer_id=known.id))) == [known.id]

    async def test_find_by_email(self, source: CustomerSource, known: KnownCustomer) -> None:
        email = given(known.email, "email")
        assert ids(await source.find(Identifiers(email=email))) == [known.id]
        assert ids(await source.find(_NOBODY)) == []

    async def test_find_by_phone(self, source: CustomerSource, known: KnownCustomer) -> None:
        assert known.id in ids(await source.find(Identifiers(phone=given(known.phone, "phone"))))

    async def test_find_by_name(self, source: CustomerSource, known: KnownCustomer) -> None:
        for name in (known.name, known.name.upper(), known.name.lower(), *known.names):
            assert known.id in ids(await source.find(Identifiers(name=name))), name

    async def test_names_in_either_order(self, source: CustomerSource, known: KnownCustomer) -> None:
        first, _, last = known.name.rpartition(" ")
        if not first:
            pytest.skip("`known` has a name of one word")
        assert known.id in ids(await source.find(Identifiers(name=f"{last}, {first}")))

    async def test_names_beyond_ascii(self, source: CustomerSource, known: KnownCustomer) -> None:
        accented, plain = given(known.accented, "accented"), given(known.plain, "plain")
        found = ids(await source.find(Identifiers(name=accented)))
        assert len(found) == 1
        assert ids(await source.find(Identifiers(name=plain))) == found

    async def test_namesakes_are_several_and_can_be_told_apart(
        self, source: CustomerSource, known: KnownCustomer
    ) -> None:
        found = await source.find(Identifiers(name=given(known.namesakes, "namesakes")))
        assert len(found) > 1
        assert len({customer.id for customer in found}) == len(found)
        traits = {tuple(customer.traits.items()) for customer in found}
        assert len(traits) == len(found), "the traits of namesakes must differ"
        assert all(isinstance(text, str) for customer in found for text in customer.traits.values())

    async def test_find_keeps_to_its_limit(self, source: CustomerSource, known: KnownCustomer) -> None:
        name = Identifiers(name=given(known.namesakes, "namesakes"))
        everybody = ids(await source.find(name))
        assert ids(await source.find(name, limit=1)) == everybody[:1]

    async def test_everything_given_must_fit(self, source: CustomerSource, known: KnownCustomer) -> None:
        whole = Identifiers(
            customer_id=known.id,
            name=known.name,
            email=known.email,
            phone=known.phone,
            date_of_birth=known.date_of_birth,
        )
        assert ids(await source.find(whole)) == [known.id]
        assert ids(await source.find(Identifiers(name=known.name, email=_NOBODY.email))) == []
        assert ids(await source.find(Identifiers(customer_id=known.id, name="Zebulon Quackenbush"))) == []
        if known.date_of_birth:
            assert ids(await source.find(Identifiers(name=known.name, date_of_birth="1901-01-01"))) == []
            both = Identifiers(name=known.name, date_of_birth=known.date_of_birth)
            assert known.id in ids(await source.find(both))

    # --- schema, concurrency, end ------------------------------------------------------------------------

    async def test_the_schema_describes_the_records(self, source: CustomerSource, known: KnownCustomer) -> None:
        schema = await source.schema()
        assert schema.hash
        assert len({info.name for info in schema.fields}) == len(schema.fields)
        assert {info.type for info in schema.fields} <= _JSON_TYPES
        assert {info.spectrum for info in schema.fields} <= {None, *current_spectrums().names}
        customer = await source.get(known.id)
        assert customer is not None
        described = {name for info in schema.fields for name in (info.name, info.name.partition(".")[0])}
        assert {name for record in customer.records for name in record.fields} <= described

    async def test_the_schema_is_stable(self, source: CustomerSource) -> None:
        assert await source.schema() == await source.schema()

    async def test_many_at_once(self, source: CustomerSource, known: KnownCustomer) -> None:
        async def one(turn: int) -> Customer | None:
            if turn % 3 == 0:
                return await source.get(known.id)
            if turn % 3 == 1:
                return next(iter(await source.find(Identifiers(customer_id=known.id))), None)
            return await source.get("nobody")

        found = await asyncio.gather(*map(one, range(60)))
        expected = await source.get(known.id)
        assert all(customer == (None if turn % 3 == 2 else expected) for turn, customer in enumerate(found))

    async def test_listed_customers_are_there_and_in_an_order_that_stays(
        self, source: CustomerSource, known: KnownCustomer
    ) -> None:
        if not isinstance(source, SupportsListing):
            pytest.skip("the source does not list its customers")
        listed = await source.customer_ids(limit=1_000)
        assert len(listed) == len(set(listed))
        assert list(await source.customer_ids(limit=2)) == list(listed)[:2]
        for customer_id in listed[:3]:
            found = await source.get(customer_id)
            assert found is not None
            assert found.id == customer_id
        assert known.id in listed or len(listed) == 1_000

    async def test_closing_twice_is_harmless(self, source: CustomerSource) -> None:
        await source.aclose()
        await source.aclose()

    # --- SupportsMentions --------------------------------------------------------------------------------

    async def test_mentions(self, source: CustomerSource, known: KnownCustomer) -> None:
        if not isinstance(source, SupportsMentions):
            pytest.skip("the source has no `mentions`")
        await source.schema()
        for text in (f"What does {known.name} owe?", f"what about {known.name.lower()}'s limit"):
            names = [found.name.lower() for found in source.mentions(text) if found.name]
            assert names == [known.name.lower()], text
        assert [found.customer_id for found in source.mentions(f"and {known.id}?")] == [known.id]
        assert list(source.mentions("what is a mortgage?")) == []
        assert list(source.mentions("")) == []

    async def test_what_is_mentioned_can_be_found(self, source: CustomerSource, known: KnownCustomer) -> None:
        if not isinstance(source, SupportsMentions):
            pytest.skip("the source has no `mentions`")
        await source.schema()
        for mention in source.mentions(f"is {known.name.lower()} the same as {known.id}"):
            assert known.id in ids(await source.find(mention))
