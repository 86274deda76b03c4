"""Instances that name things differently: the same people under three schemas.

BANK is tests/data/tilores.graphql. UPPER has upper-case names, a required search parameter, an interface, a union and
enums inside a record, and more than 300 fields. NESTED has snake_case names and groups, in the search too. All three
share the part of the schema that every instance has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from graphql import parse, print_ast
from graphql.language import DocumentNode, TypeDefinitionNode

from tests.tilores_instance.paths import value_at
from tests.tilores_instance.people import Row

BANK_SDL = Path(__file__).resolve().parent.parent / "data" / "tilores.graphql"
OWN_TYPES = {"Record", "RecordInput", "SearchParams", "Address", "AddressInput", "AccountStatus"}
GROUPS, GROUP_FIELDS = 12, 26


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """`record` and `search` say where a Record and the SearchParams have each attribute of matching.ATTRIBUTES;
    `received` is the field of a record with the time it came; `shape` turns a row of the bank into a Record."""

    name: str
    sdl: Callable[[], str]
    record: Mapping[str, str]
    search: Mapping[str, str]
    received: str
    shape: Callable[[Row], Row]


@cache
def bank_sdl() -> str:
    return BANK_SDL.read_text(encoding="utf-8")


def with_own_types(own: str) -> str:
    """The bank's schema with its own types replaced by these."""
    document = parse(bank_sdl())
    kept = [
        definition
        for definition in document.definitions
        if not (isinstance(definition, TypeDefinitionNode) and definition.name.value in OWN_TYPES)
    ]
    return print_ast(DocumentNode(definitions=tuple(kept))) + "\n\n" + own


@cache
def upper_sdl() -> str:
    groups = [
        f"type ATTRIBUTES_{group:02d} {{\n"
        + "\n".join(f"  VALUE_{group:02d}_{number:02d}: String" for number in range(1, GROUP_FIELDS + 1))
        + "\n}"
        for group in range(1, GROUPS + 1)
    ]
    fields = "\n".join(f"  GROUP_{group:02d}: ATTRIBUTES_{group:02d}" for group in range(1, GROUPS + 1))
    own = (Path(__file__).parent / "upper.graphql").read_text(encoding="utf-8")
    return with_own_types(own.replace("  # GROUPS\n", fields + "\n") + "\n\n" + "\n\n".join(groups))


@cache
def nested_sdl() -> str:
    return with_own_types((Path(__file__).parent / "nested.graphql").read_text(encoding="utf-8"))


def _filled(record: Row) -> Row:
    return {name: value for name, value in record.items() if value is not None and value != {}}


def _upper(row: Row) -> Row:
    def at(path: str) -> Any:
        return value_at(row, path)

    policies: list[Row] = []
    if number := row.get("accountNumber"):
        kind = (
            {"__typename": "MOTOR_POLICY", "PLATE": "TI-LO 1"}
            if row["source"] == "crm"
            else {"__typename": "HOME_POLICY"}
        )
        policies.append(
            {**kind, "POLICY_NUMBER": number, "STATUS": row.get("accountStatus"), "PREMIUM": row.get("balance")}
        )
    claim: Row | None = None
    if tickets := row.get("openTickets"):
        claim = (
            {"__typename": "WATER_CLAIM", "LITRES": tickets * 100}
            if tickets > 1
            else {"__typename": "THEFT_CLAIM", "STOLEN": "bicycle"}
        )
    return _filled(
        {
            "id": row["id"],
            "SOURCE_SYSTEM": at("source").upper(),
            "FIRST_NAME": at("firstName"),
            "LAST_NAME": at("lastName"),
            "BIRTH_DATE": at("dateOfBirth"),
            "E_MAIL": at("email"),
            "TELEPHONE_NO": at("phone"),
            "CUSTOMER_NO": at("accountNumber"),
            "STREET": at("address.street"),
            "ZIP": at("address.postalCode"),
            "TOWN": at("address.city"),
            "PREMIUM_TOTAL": at("balance"),
            "POLICIES": policies or None,
            "LAST_CLAIM": claim,
            "RECEIVED_AT": at("receivedDate"),
            "GROUP_01": {"VALUE_01_01": at("notes")} if at("notes") else None,
        }
    )


def _nested(row: Row) -> Row:
    def at(path: str) -> Any:
        return value_at(row, path)

    place = {"street": at("address.street"), "zip_code": at("address.postalCode"), "town": at("address.city")}
    return _filled(
        {
            "id": row["id"],
            "data_source": at("source"),
            "person": _filled(
                {"given_name": at("firstName"), "family_name": at("lastName"), "birth_date": at("dateOfBirth")}
            ),
            "contact": _filled({"email_address": at("email"), "mobile_number": at("phone")}),
            "addresses": [_filled(place)] if _filled(place) else None,
            "contract": _filled(
                {"contract_number": at("accountNumber"), "state": at("accountStatus"), "amount_due": at("balance")}
            ),
            "labels": at("tags"),
            "ingested_at": at("receivedDate"),
        }
    )


BANK = Layout(
    "bank",
    bank_sdl,
    record={
        "id": "id",
        "first_name": "firstName",
        "last_name": "lastName",
        "date_of_birth": "dateOfBirth",
        "email": "email",
        "phone": "phone",
        "account_number": "accountNumber",
        "postal_code": "address.postalCode",
        "city": "address.city",
    },
    search={
        "id": "id",
        "first_name": "firstName",
        "last_name": "lastName",
        "date_of_birth": "dateOfBirth",
        "email": "email",
        "phone": "phone",
        "account_number": "accountNumber",
        "postal_code": "postalCode",
        "city": "city",
    },
    received="receivedDate",
    shape=lambda row: row,
)
_UPPER_NAMES = {
    "first_name": "FIRST_NAME",
    "last_name": "LAST_NAME",
    "date_of_birth": "BIRTH_DATE",
    "email": "E_MAIL",
    "phone": "TELEPHONE_NO",
    "account_number": "CUSTOMER_NO",
    "postal_code": "ZIP",
    "city": "TOWN",
}
UPPER = Layout("upper", upper_sdl, {"id": "id", **_UPPER_NAMES}, _UPPER_NAMES, "RECEIVED_AT", _upper)
NESTED = Layout(
    "nested",
    nested_sdl,
    record={
        "id": "id",
        "first_name": "person.given_name",
        "last_name": "person.family_name",
        "date_of_birth": "person.birth_date",
        "email": "contact.email_address",
        "phone": "contact.mobile_number",
        "account_number": "contract.contract_number",
        "postal_code": "addresses.0.zip_code",
        "city": "addresses.0.town",
    },
    search={
        "first_name": "person.given_name",
        "last_name": "person.family_name",
        "date_of_birth": "person.birth_date",
        "email": "contact.email_address",
        "phone": "contact.mobile_number",
        "account_number": "contract_number",
        "postal_code": "place.zip_code",
        "city": "place.town",
    },
    received="ingested_at",
    shape=_nested,
)
LAYOUTS: Mapping[str, Layout] = {layout.name: layout for layout in (BANK, UPPER, NESTED)}
