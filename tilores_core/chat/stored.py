"""Customers and look-ups as they are kept in the cache."""

from __future__ import annotations

from tilores_core.cache.codec import decode, encode
from tilores_core.contracts import Customer, CustomerChoice, CustomerOutcome, Record


def outcome_to_bytes(outcome: CustomerOutcome) -> bytes:
    """A look-up that found nobody or several."""
    return encode({"kind": outcome.kind, "choices": [dict(choice.traits) for choice in outcome.choices]})


def outcome_from_bytes(data: bytes) -> CustomerOutcome:
    value = decode(data)
    return CustomerOutcome(
        kind=value["kind"], choices=tuple(CustomerChoice(traits=traits) for traits in value["choices"])
    )


def customer_to_bytes(customer: Customer) -> bytes:
    return encode(
        {
            "id": customer.id,
            "name": customer.name,
            "traits": dict(customer.traits),
            "records": [[r.id, r.system, r.updated_at, dict(r.fields)] for r in customer.records],
        }
    )


def customer_from_bytes(data: bytes) -> Customer:
    value = decode(data)
    return Customer(
        id=value["id"],
        name=value["name"],
        traits=value["traits"],
        records=tuple(
            Record(id=record_id, system=system, updated_at=updated_at, fields=fields)
            for record_id, system, updated_at, fields in value["records"]
        ),
    )
