"""What a spectrum is, and the files that describe spectrums."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from tilores_core.errors import ConfigError

_MAX_BYTES: Final = 1024 * 1024
_MAX_ADDED: Final = 50
_MAX_TEXTS: Final = 2_000
_MAX_TEXT: Final = 200
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_TEXTS: Final = ("name", "title", "meaning")
_LISTS: Final = ("fields", "words")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """A kind of question.

    `fields`: snake_case names of record fields, `*` for anything; `words`: what people say; `weight`: what it counts
    for in means over spectrums.
    """

    name: str
    title: str
    meaning: str
    fields: tuple[str, ...]
    words: tuple[str, ...]
    weight: float = 1.0


def _spectrum(table: dict[str, Any]) -> Spectrum:
    return Spectrum(
        name=table["name"],
        title=table["title"],
        meaning=table["meaning"],
        fields=tuple(table["fields"]),
        words=tuple(table["words"]),
        weight=float(table.get("weight", 1.0)),
    )


def _load() -> tuple[Spectrum, ...]:
    data = tomllib.loads(files(__package__).joinpath("spectrums.toml").read_text(encoding="utf-8"))
    return tuple(_spectrum(table) for table in data["spectrum"])


SPECTRUMS: Final[tuple[Spectrum, ...]] = _load()
"""The seven that are built in."""


def read_spectrums(path: Path) -> tuple[Spectrum, ...]:
    """The spectrums of a TOML file with `[[spectrum]]` tables, in the form of the built-in spectrums.toml.

    Raises `ConfigError` naming file, table and key.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ConfigError(f"is larger than {_MAX_BYTES} bytes", where=str(path), fix="is it the right file?")
        tables = tomllib.loads(data.decode()).get("spectrum")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path), fix="correct that line") from None
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", where=str(path), fix="correct [chat] spectrum_files"
        ) from error
    if not isinstance(tables, list) or not 0 < len(tables) <= _MAX_ADDED:
        raise ConfigError(
            f"has no [[spectrum]] table, or more than {_MAX_ADDED}",
            where=str(path),
            fix="write one [[spectrum]] table per spectrum; docs/quality.md shows one",
        )
    for number, table in enumerate(tables, 1):
        if problem := _problem(table):
            raise ConfigError(problem, where=f"{path}: [[spectrum]] {number}", fix="correct that table")
    return tuple(_spectrum(table) for table in tables)


def _problem(table: Any) -> str | None:
    if not isinstance(table, dict):
        return "is not a table"
    if unknown := sorted(table.keys() - {*_TEXTS, *_LISTS, "weight"}):
        return f"unknown key {unknown[0][:_MAX_TEXT]!r}; known are {', '.join((*_TEXTS, *_LISTS, 'weight'))}"
    for key in _TEXTS:
        if not isinstance(table.get(key), str) or not 0 < len(table[key]) <= _MAX_TEXT:
            return f"{key} must be a text of 1 to {_MAX_TEXT} characters"
    if not _NAME.fullmatch(table["name"]):
        return "name must be in snake_case: letters, digits and _, and begin with a letter"
    if any(mark in table["title"] for mark in "[]<>|\n"):
        return "title must not hold [ ] < > | or line breaks"
    for key in _LISTS:
        values = table.get(key)
        if not isinstance(values, list) or not 0 < len(values) <= _MAX_TEXTS:
            return f"{key} must be an array of 1 to {_MAX_TEXTS} texts"
        if not all(isinstance(value, str) and 0 < len(value.strip()) <= _MAX_TEXT for value in values):
            return f"{key} must hold texts of 1 to {_MAX_TEXT} characters"
    weight = table.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1_000:
        return "weight must be a number from 0 to 1000"
    return None


def merge(added: Iterable[Spectrum], known: Sequence[Spectrum] = SPECTRUMS) -> tuple[Spectrum, ...]:
    """Return `known` with those of `added`, which come first, as they are the more particular ones.

    One with the name of a known spectrum adds its fields and words to that one, and its other values replace those.
    """
    merged = {spectrum.name: spectrum for spectrum in known}
    new: dict[str, Spectrum] = {}
    for spectrum in added:
        before = merged.get(spectrum.name) or new.get(spectrum.name)
        if before is not None:
            spectrum = replace(
                spectrum,
                fields=tuple(dict.fromkeys((*before.fields, *spectrum.fields))),
                words=tuple(dict.fromkeys((*before.words, *spectrum.words))),
            )
        (merged if spectrum.name in merged else new)[spectrum.name] = spectrum
    return (*new.values(), *merged.values())
