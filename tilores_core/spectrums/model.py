"""What a spectrum is."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """A kind of question. `fields`: snake_case names of record fields, `*` for anything; `words`: what people say."""

    name: str
    title: str
    meaning: str
    fields: tuple[str, ...]
    words: tuple[str, ...]


def _load() -> tuple[Spectrum, ...]:
    data = tomllib.loads(files(__package__).joinpath("spectrums.toml").read_text(encoding="utf-8"))
    return tuple(
        Spectrum(
            name=table["name"],
            title=table["title"],
            meaning=table["meaning"],
            fields=tuple(table["fields"]),
            words=tuple(table["words"]),
        )
        for table in data["spectrum"]
    )


SPECTRUMS: tuple[Spectrum, ...] = _load()
