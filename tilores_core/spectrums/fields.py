"""Which spectrum a field belongs to, by its name."""

from __future__ import annotations

import re
from functools import lru_cache

from tilores_core.spectrums.model import SPECTRUMS

_LONGEST_NAME = 200
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS = re.compile(r"[\W_]+")


@lru_cache(maxsize=4096)
def spectrum_of_field(name: str) -> str | None:
    """The spectrum of a field, or None when no pattern fits.

    Any case style will do: `credit_score`, `CreditScore`, `Credit Score`. Of a dotted path the whole is tried first,
    then its last part.
    """
    name = name[:_LONGEST_NAME]
    for candidate in (name, name.rpartition(".")[2]):
        plain = _SEPARATORS.sub("_", _CAMEL.sub("_", candidate)).strip("_").lower()
        if plain in _EXACT:
            return _EXACT[plain]
        for pattern, spectrum in _PATTERNS:
            if pattern.fullmatch(plain):
                return spectrum
    return None


def _exact() -> dict[str, str]:
    names: dict[str, str] = {}
    for spectrum in SPECTRUMS:
        for field in spectrum.fields:
            if "*" not in field:
                names.setdefault(field, spectrum.name)
    return names


def _patterns() -> list[tuple[re.Pattern[str], str]]:
    written = [(field, spectrum.name) for spectrum in SPECTRUMS for field in spectrum.fields if "*" in field]
    written.sort(key=lambda item: -len(item[0].replace("*", "")))  # stable: equal lengths keep the spectrums' order
    return [(re.compile(".*".join(map(re.escape, field.split("*")))), name) for field, name in written]


_EXACT = _exact()
_PATTERNS = _patterns()
