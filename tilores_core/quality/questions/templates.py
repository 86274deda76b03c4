"""The wordings of golden questions: those written by hand, and those made of the names of fields."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, Literal

Origin = Literal["template", "written"]
NAME: Final = "{name}"


@dataclass(frozen=True, slots=True)
class Wording:
    """A question without its customer: the text with `{name}`, and the fields that a right answer states.

    `absent`: the one field is what the records do not hold.
    """

    spectrum: str
    text: str
    fields: tuple[str, ...]
    origin: Origin = "written"
    absent: bool = False


@lru_cache(maxsize=1)
def load_written() -> tuple[Wording, ...]:
    """The wordings of written.toml."""
    data: dict[str, Any] = tomllib.loads(files(__package__).joinpath("written.toml").read_text(encoding="utf-8"))
    found = []
    for spectrum, tables in data.items():
        for key in ("questions", "absent"):
            found += [Wording(spectrum, text, tuple(fields), absent=key == "absent") for text, *fields in tables[key]]
    return tuple(found)


def from_field(spectrum: str, field: str, kind: str) -> Wording:
    """A wording for a field of which nothing but name and kind are known."""
    label = speak_name(field)
    if kind == "boolean":
        text = f"Is it so for {NAME}: {label}?"
    elif kind == "date":
        text = f"What is the date of {NAME}'s {label}?"
    else:
        text = f"What is {NAME}'s {label}?"
    return Wording(spectrum, text, (field,), origin="template")


def from_fields(spectrum: str, first: str, second: str) -> Wording:
    """A wording that asks for two fields at once."""
    text = f"What is {NAME}'s {speak_name(first)}, and what is the {speak_name(second)}?"
    return Wording(spectrum, text, (first, second), origin="template")


def absent_field(spectrum: str, field: str) -> Wording:
    """A wording for a field that other customers have and this one has not."""
    return Wording(spectrum, f"What is {NAME}'s {speak_name(field)}?", (field,), origin="template", absent=True)


def speak_name(field: str) -> str:
    """A field's name as it is said: `LastPayment_date` is "last payment date"."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", field.rpartition(".")[2])
    label = " ".join(re.sub(r"[\W_]+", " ", words).lower().split())
    return re.sub(r" (?:on|at)$", "", label)
