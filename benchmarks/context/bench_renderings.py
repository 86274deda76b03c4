"""Ways to show a customer's records to a model: how long they are, and what the demo model makes of them.

    python -m benchmarks.context.bench_renderings [--customers N] [--markdown]

Every rendering is put into the built-in prompt and asked the questions of golden.toml, four of each spectrum, about
N of the 520 demo customers (all by default). Counted are

    right        the newest value is in the answer
    first        and stands before every other that the records have
    all told     where records disagree: every value is in the answer
    admitted     where the records do not hold it: the answer says so
    ungrounded   answers with a value that the guard cannot find in the records

Tokens are an estimate (`tilores_core.chat.context.estimate`). The demo model reads `name: value` lines by rules and
is no measure of how a real model copes with a layout; but what it cannot find, or finds twice with different values,
a real one has to search for as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tilores_core import Customer, Message, Prompt, Record
from tilores_core.chat.context.estimate import estimate_tokens
from tilores_core.chat.grounding.guard import Guard
from tilores_core.chat.prompts import BUILTIN_TEMPLATE, system_message
from tilores_core.chat.records import render
from tilores_core.spectrums import SPECTRUMS, spectrum_of_field
from tilores_plugins.providers.demo.reading import read_prompt
from tilores_plugins.providers.demo.wording import answer
from tilores_plugins.sources.demo.source import DemoSource

QUESTIONS = tomllib.loads(Path(__file__).with_name("golden.toml").read_text())["question"]
PROMPT = Prompt(version="bench", template=BUILTIN_TEMPLATE)


# --- the renderings --------------------------------------------------------------------------------------


def newest_first(customer: Customer) -> list[Record]:
    return sorted(customer.records, key=lambda record: (record.updated_at or "", record.id), reverse=True)


def block(customer: Customer, lines: Sequence[str]) -> str:
    opening = f"<records customer={json.dumps(customer.id)} name={json.dumps(customer.name)}>"
    return "\n".join((opening, *lines, "</records>"))


def shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_json(customer: Customer) -> str:
    """The records as JSON, one field a line."""
    rows = [{"system": r.system, "updated_at": r.updated_at, **r.fields} for r in newest_first(customer)]
    text = json.dumps(rows, ensure_ascii=False, indent=0)
    return block(customer, text.split("\n"))


def as_markdown(customer: Customer) -> str:
    """A heading for each record, a list item for each of its fields."""
    lines: list[str] = []
    for record in newest_first(customer):
        lines.append(f"## {record.system}, {record.updated_at}")
        lines += [f"- {name}: {shown(value)}" for name, value in record.fields.items()]
    return block(customer, lines)


def by_record(customer: Customer) -> str:
    """As today's, but a group for each record in place of one for each spectrum."""
    lines: list[str] = []
    for record in newest_first(customer):
        lines.append(f"[{record.system} {record.updated_at}]")
        lines += [f"{name}: {shown(value)}" for name, value in record.fields.items()]
    return block(customer, lines)


def golden_record(customer: Customer) -> str:
    """One value a field, the newest, by spectrum; no sources."""
    values: dict[str, Any] = {}
    for record in newest_first(customer):
        for name, value in record.fields.items():
            values.setdefault(name, value)
    lines: list[str] = []
    for title, spectrum in [*((s.title, s.name) for s in SPECTRUMS), ("Other", None)]:
        fields = [name for name in values if spectrum_of_field(name) == spectrum]
        if fields:
            lines += [f"[{title}]", *(f"{name}: {shown(values[name])}" for name in fields)]
    return block(customer, lines)


RENDERINGS: dict[str, Callable[[Customer], str]] = {
    "by spectrum, conflicts in the line (ours)": render,
    "golden record": golden_record,
    "by record": by_record,
    "Markdown list by record": as_markdown,
    "JSON, a field a line": as_json,
}


# --- the score -------------------------------------------------------------------------------------------


def held(customer: Customer, field: str) -> list[str]:
    """The distinct values that the records have, newest first, as the demo model says them."""
    values = [record.fields[field] for record in newest_first(customer) if field in record.fields]
    if values and isinstance(values[0], list):  # the first item tells whether the list was found
        first = values[0][0]
        values = [first["merchant"] if isinstance(first, dict) else first]
    return list(dict.fromkeys(str(value).removesuffix(".0") for value in values))


def graded(text: str, customer: Customer, fields: Sequence[str]) -> Iterator[tuple[str, bool]]:
    plain = text.replace(".0 ", " ").replace(".0.", ".")
    for field in fields:
        values = held(customer, field)
        if not values:
            yield "admitted", "do not hold" in text
            continue
        places = [plain.find(value) for value in values]
        yield "right", places[0] >= 0
        yield "first", places[0] >= 0 and all(other < 0 or other >= places[0] for other in places)
        if len(values) > 1:
            yield "all told", min(places) >= 0


def measure(name: str, customers: Sequence[Customer]) -> dict[str, float]:
    guard = Guard()
    asked: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    tokens: list[int] = []
    took: list[float] = []
    ungrounded = answers = 0
    for customer in customers:
        began = time.perf_counter()
        text = RENDERINGS[name](customer)
        took.append(time.perf_counter() - began)
        tokens.append(estimate_tokens(text))
        prompt = read_prompt(system_message(PROMPT, text))
        for question in QUESTIONS:
            ask = question["ask"].format(name=customer.name)
            said = answer(ask, prompt)
            message: Message = {"role": "user", "content": ask}
            watch = guard.watch([message], PROMPT)
            assert watch is not None
            watch.about(customer, known=customer.id)
            ungrounded += bool(watch.find_ungrounded(said))
            answers += 1
            for what, good in graded(said, customer, question["fields"]):
                asked[what] += 1
                passed[what] += good
    share = {what: 100 * passed[what] / asked[what] for what in ("right", "first", "all told", "admitted")}
    return {
        "tokens": statistics.mean(tokens),
        "most": max(tokens),
        "µs": 1e6 * statistics.median(took),
        **share,
        "ungrounded": ungrounded,
        "answers": answers,
    }


async def load(count: int) -> list[Customer]:
    source = DemoSource()
    ids = list(source._people)
    step = max(1, len(ids) // count)
    found = [await source.get(customer_id) for customer_id in ids[::step][:count]]
    return [customer for customer in found if customer is not None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--customers", type=int, default=520)
    arguments = parser.parse_args()
    customers = asyncio.run(load(arguments.customers))
    print(f"{len(customers)} customers, {len(QUESTIONS)} questions each\n")
    columns = ("tokens", "most", "µs", "right", "first", "all told", "admitted", "ungrounded")
    print(f"| {'rendering':42} | " + " | ".join(f"{column:>10}" for column in columns) + " |")
    print(f"| {'-' * 42} | " + " | ".join(["-" * 9 + ":"] * len(columns)) + " |")
    for name in RENDERINGS:
        row = measure(name, customers)
        cells = (
            f"{row[column]:>8.1f} %"
            if column in ("right", "first", "all told", "admitted")
            else f"{row[column]:>10.0f}"
            for column in columns
        )
        print(f"| {name:42} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
