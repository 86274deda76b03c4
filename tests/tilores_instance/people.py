"""Invented customers of an invented bank, as rows of its systems; nobody here exists.

Edwina Hawthorne of Berlin is one person in five rows (crm-1001, core-3001, web-2001, its copy web-2002, desk-4001)
whose telephone numbers, cities and spellings disagree; two other Edwina Hawthornes, of Kassel (crm-1101, core-3101)
and of Bremen (web-2201), are other people. Philippa Marchbanks married and is Philippa Underhill in one system.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Final

Row = dict[str, Any]


def row(record_id: str, first: str, last: str, **more: Any) -> Row:
    """A row of the bank; the part of its id before the hyphen is its system."""
    return {"id": record_id, "source": record_id.partition("-")[0], "firstName": first, "lastName": last, **more}


def address(street: str, number: str, postal_code: str, city: str) -> Row:
    return {"street": street, "houseNumber": number, "postalCode": postal_code, "city": city, "country": "DE"}


_WEB_ROW: Final[Row] = {
    "email": "Edwina.Hawthorne@example.com",
    "phone": "+49 171 5550199",
    "address": address("Uferweg", "3", "14467", "Potsdam"),
    "openTickets": 0,
    "marketingConsent": False,
    "tags": ["newsletter", "App"],
}

PEOPLE: Final[tuple[Row, ...]] = (
    row(
        "crm-1001",
        "Edwina",
        "Hawthorne",
        dateOfBirth="1984-03-17",
        email="edwina.hawthorne@example.com",
        phone="+49 30 5550101",
        address=address("Lindenallee", "12", "10115", "Berlin"),
        accountNumber="ACC-70010001",
        accountStatus="OPEN",
        balance=2500.5,
        openTickets=1,
        marketingConsent=True,
        tags=["vip", "newsletter"],
        notes="Prefers to be called in the afternoon.",
        receivedDate="2025-03-02T09:15:00Z",
    ),
    row(
        "core-3001",
        "Edwina",
        "Hawthorne",
        dateOfBirth="1984-03-17",
        address=address("Lindenallee", "12", "10115", "Berlin"),
        accountNumber="ACC-70010001",
        accountStatus="OPEN",
        balance=1200.25,
        receivedDate="2024-07-19T06:00:00Z",
    ),
    {**row("web-2001", "Edwina", "Hawthorne"), **_WEB_ROW, "receivedDate": "2025-11-20T18:40:12.123456789Z"},
    {**row("web-2002", "Edwina", "Hawthorne"), **_WEB_ROW, "source": "web", "receivedDate": "2025-11-20T18:41:00Z"},
    row(
        "desk-4001",
        "Edwina",
        "Hawthorn",
        email="e.hawthorne@work.example",
        phone="030 5550101",
        accountStatus="FROZEN",
        balance=100,
        openTickets=2,
        receivedDate="2025-06-30T11:05:44",
    ),
    row(
        "crm-1101",
        "Edwina",
        "Hawthorne",
        dateOfBirth="1951-11-02",
        email="edwina1951@example.org",
        phone="+49 561 5550144",
        address=address("Bergstraße", "7", "34117", "Kassel"),
        accountNumber="ACC-70010077",
        accountStatus="CLOSED",
        balance=0,
        tags=["branch"],
        receivedDate="2023-01-11T08:00:00Z",
    ),
    row(
        "core-3101",
        "Edwina",
        "Hawthorne",
        dateOfBirth="1951-11-02",
        accountNumber="ACC-70010077",
        accountStatus="CLOSED",
        balance=0,
        receivedDate="2022-05-01T08:00:00Z",
    ),
    row(
        "web-2201",
        "Edwina",
        "Hawthorne",
        email="hawthorne.bremen@example.net",
        address=address("Am Wall", "90", "28195", "Bremen"),
        receivedDate="2025-09-09T20:20:20Z",
    ),
    row(
        "crm-1201",
        "Philippa",
        "Marchbanks",
        dateOfBirth="1990-08-25",
        email="philippa@marchbanks.example",
        phone="+49 40 5550122",
        address=address("Hafenstraße", "21", "20457", "Hamburg"),
        accountNumber="ACC-70010120",
        accountStatus="OPEN",
        balance=-45.1,
        openTickets=0,
        receivedDate="2021-02-14T10:00:00Z",
    ),
    row(
        "core-3201",
        "Philippa",
        "Underhill",
        dateOfBirth="1990-08-25",
        email="philippa@marchbanks.example",
        phone="+49 40 5550188",
        accountNumber="ACC-70010121",
        accountStatus="FROZEN",
        balance=310.75,
        receivedDate="2025-05-05T05:05:05Z",
    ),
    row(
        "crm-1301",
        "Bartholomew",
        "Quill",
        dateOfBirth="1977-12-01",
        email="b.quill@example.com",
        phone="+49 89 5550166",
        address=address("Isarring", "4", "80331", "München"),
        accountNumber="ACC-70010130",
        accountStatus="OPEN",
        balance=88000,
        tags=["vip"],
        receivedDate="2025-10-01T12:00:00Z",
    ),
    row(
        "desk-4301",
        "Bartholomew",
        "Quill",
        phone="0049 89 5550166",
        openTickets=3,
        receivedDate="2025-10-02T12:00:00Z",
    ),
    row("crm-1401", "Jörgen", "Æskildsen", dateOfBirth="2001-01-31", email="joergen@example.dk", balance=12.0),
    {"id": "web-2999", "source": "web"},
)

_FIRST: Final = (
    "Alda",
    "Benedikt",
    "Cosima",
    "Dorian",
    "Elspeth",
    "Florian",
    "Gunhild",
    "Hektor",
    "Isolde",
    "Jasper",
)
_LAST: Final = ("Amberfield", "Birkenau", "Crabtree", "Dornbusch", "Eichhorst", "Fernsby", "Grimshaw", "Holloway")
_CITIES: Final = (("10115", "Berlin"), ("20457", "Hamburg"), ("50667", "Köln"), ("80331", "München"))


def crowd(people: int, seed: int = 1) -> Iterator[Row]:
    """More invented customers, two or three rows each, for load: `bulk-<n>` in the crm has `bulk<n>@example.com`,
    account `ACC-8<n padded to 7>` and telephone `+49 30 6<n padded to 6>`."""
    chance = Random(seed)
    for number in range(people):
        first, last = chance.choice(_FIRST), chance.choice(_LAST)
        postal_code, city = chance.choice(_CITIES)
        account, email = f"ACC-8{number:07d}", f"bulk{number}@example.com"
        yield row(
            f"bulk-{number}",
            first,
            last,
            dateOfBirth=f"{chance.randint(1940, 2005)}-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}",
            email=email,
            phone=f"+49 30 6{number:06d}",
            address=address("Musterweg", str(chance.randint(1, 99)), postal_code, city),
            accountNumber=account,
            accountStatus=chance.choice(("OPEN", "FROZEN", "CLOSED")),
            balance=round(chance.uniform(-500, 20_000), 2),
            receivedDate=f"2025-0{chance.randint(1, 9)}-15T08:00:00Z",
        )
        yield row(f"bulkcore-{number}", first, last, accountNumber=account, balance=round(chance.uniform(0, 9000), 2))
        if chance.random() < 0.5:
            yield row(f"bulkweb-{number}", first, last, email=email.upper(), openTickets=chance.randint(0, 4))
