"""Customers and look-ups as they are kept in the cache."""

from __future__ import annotations

from typing import Any

from tilores_core.cache.codec import decode, encode
from tilores_core.contracts import Customer, CustomerChoice, CustomerOutcome, MatchQuality, Record


def outcome_to_bytes(outcome: CustomerOutcome) -> bytes:
    """A look-up that found nobody or several."""
    return encode(
        {
            "kind": outcome.kind,
            "choices": [dict(choice.traits) for choice in outcome.choices],
            "distinguished_by": list(outcome.distinguished_by),
            "more": outcome.more,
        }
    )


def outcome_from_bytes(data: bytes) -> CustomerOutcome:
    value = decode(data)
    return CustomerOutcome(
        kind=value["kind"],
        choices=tuple(CustomerChoice(traits=traits) for traits in value["choices"]),
        distinguished_by=tuple(value.get("distinguished_by", ())),
        more=value.get("more", 0),
    )


def customer_to_bytes(customer: Customer) -> bytes:
    """Without the hit score, which is one search's and not the customer's."""
    return encode(
        {
            "id": customer.id,
            "name": customer.name,
            "traits": dict(customer.traits),
            "quality": _quality_to_list(customer.quality),
            "records": [[r.id, r.system, r.updated_at, dict(r.fields)] for r in customer.records],
        }
    )


def customer_from_bytes(data: bytes) -> Customer:
    value = decode(data)
    return Customer(
        id=value["id"],
        name=value["name"],
        traits=value["traits"],
        quality=_quality_from_list(value.get("quality")),
        records=tuple(
            Record(id=record_id, system=system, updated_at=updated_at, fields=fields)
            for record_id, system, updated_at, fields in value["records"]
        ),
    )


def _quality_to_list(quality: MatchQuality | None) -> list[Any] | None:
    return None if quality is None else [quality.consistency, dict(quality.confidence)]


def _quality_from_list(value: list[Any] | None) -> MatchQuality | None:
    return None if value is None else MatchQuality(consistency=value[0], confidence=value[1])
