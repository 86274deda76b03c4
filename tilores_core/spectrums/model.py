"""What a spectrum is, and the files that describe spectrums."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from tilores_core.errors import ConfigError
from tilores_core.files import read_text
from tilores_core.settings.loader import config_error, describe_problem

_Text = Annotated[str, StringConstraints(max_length=200, pattern=r"\S")]
_Texts = Annotated[tuple[_Text, ...], Field(min_length=1, max_length=2_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """A kind of question, and what a `[[spectrum]]` table holds.

    `name`: in snake_case. `title`: without brackets and line breaks. `fields`: snake_case names of record fields, `*`
    for anything; `words`: what people say; `weight`: what it counts for in means over spectrums.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
    title: Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\[\]<>|\n]+$")]
    meaning: _Text
    fields: _Texts
    words: _Texts
    weight: Annotated[float, Field(ge=0, le=1_000, strict=True, allow_inf_nan=False)] = 1.0


_TABLES: Final = TypeAdapter(Annotated[tuple[Spectrum, ...], Field(max_length=50)])

SPECTRUMS: Final[tuple[Spectrum, ...]] = _TABLES.validate_python(
    tomllib.loads(files(__package__).joinpath("spectrums.toml").read_text(encoding="utf-8"))["spectrum"]
)
"""The seven that are built in."""


def read_spectrums(path: Path) -> tuple[Spectrum, ...]:
    """The spectrums of a TOML file with `[[spectrum]]` tables, in the form of the built-in spectrums.toml.

    Raises `ConfigError` naming file, table and key.
    """
    try:
        tables = tomllib.loads(read_text(path, fix="correct [chat] spectrum_files")).get("spectrum")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path), fix="correct that line") from None
    if not tables:
        fix = "write one [[spectrum]] table per spectrum; docs/quality.md shows one"
        raise ConfigError("has no [[spectrum]] table", where=str(path), fix=fix)
    try:
        return _TABLES.validate_python(tables)
    except ValidationError as error:
        known = list(Spectrum.__dataclass_fields__)
        problems = [
            ("spectrum " + ".".join(map(str, item["loc"])), describe_problem(item, known))
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise config_error(str(path), problems) from None


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
