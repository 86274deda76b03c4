"""The fields of the demo's records, from data/fields.csv: the one place where they are described."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from importlib.resources import files

from tilores_core import FieldInfo, SourceSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of the demo records. `systems` that have it; `share` of the customers that have it there, if any."""

    info: FieldInfo
    systems: frozenset[str]
    share: float


def load_catalogue() -> tuple[Field, ...]:
    text = files(__package__).joinpath("data", "fields.csv").read_text(encoding="utf-8")
    return tuple(
        Field(
            info=FieldInfo(
                name=row["name"], type=row["type"], spectrum=row["spectrum"], description=row["description"]
            ),
            systems=frozenset(row["systems"].split()),
            share=float(row["share"]),
        )
        for row in csv.DictReader(text.splitlines())
    )


def schema_of(catalogue: tuple[Field, ...]) -> SourceSchema:
    fields = tuple(field.info for field in catalogue)
    text = "".join(f"{info.name}\0{info.type}\0{info.spectrum}\0{info.description}\n" for info in fields)
    return SourceSchema(fields=fields, hash=hashlib.sha256(text.encode()).hexdigest()[:16])
