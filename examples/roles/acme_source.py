"""A customer source: two customers in memory, found by name, and spotted in free text."""

from collections.abc import Sequence

from tilores_core import (
    Customer,
    CustomerSourceSpec,
    FieldInfo,
    Identifiers,
    PluginContext,
    Record,
    SourceSchema,
    SupportsMentions,
    hookimpl,
    name_fits,
)

CUSTOMERS = tuple(
    Customer(
        id=number,
        name=name,
        records=(Record(id=f"crm-{number}", system="crm", fields={"name": name, "balance": balance}),),
        traits={"city": city},  # what may be said aloud to tell this customer from a namesake
    )
    for number, name, balance, city in (("A1", "Ada Brown", 40, "Leeds"), ("B2", "Ben Cole", 75, "York"))
)


class AcmeSource:
    async def get(self, customer_id: str) -> Customer | None:
        return next((customer for customer in CUSTOMERS if customer.id == customer_id), None)

    async def find(self, identifiers: Identifiers, *, limit: int = 10) -> Sequence[Customer]:
        if not identifiers or identifiers.email or identifiers.phone or identifiers.date_of_birth:
            return []  # all that is given must fit, and these customers have no address, number or date
        return [
            customer
            for customer in CUSTOMERS
            if identifiers.customer_id in (None, customer.id)
            and (identifiers.name is None or name_fits(identifiers.name, [customer.name or ""]))
        ][:limit]

    async def schema(self) -> SourceSchema:
        # `hash` is part of every answer's cache key: change it when the fields change.
        return SourceSchema(fields=(FieldInfo(name="name"), FieldInfo(name="balance", type="number")), hash="1")

    def mentions(self, text: str) -> Sequence[Identifiers]:
        said = text.lower()
        by_name = [Identifiers(name=one.name) for one in CUSTOMERS if one.name and one.name.lower() in said]
        return by_name + [
            Identifiers(customer_id=one.id) for one in CUSTOMERS if one.id.lower() in said.replace("?", " ").split()
        ]

    async def aclose(self) -> None:
        pass


def build(context: PluginContext) -> AcmeSource:
    return AcmeSource()


@hookimpl
def register_customer_sources() -> list[CustomerSourceSpec]:
    return [CustomerSourceSpec(name="acme", factory=build, abilities=(SupportsMentions,), summary="two customers")]
