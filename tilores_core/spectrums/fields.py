"""Which spectrum a field belongs to, by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from tilores_core.spectrums.model import Spectrum

_LONGEST_NAME = 200
_REMEMBERED = 4096
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS = re.compile(r"[\W_]+")


class FieldIndex:
    """The field names and patterns of spectrums."""

    def __init__(self, spectrums: Sequence[Spectrum]) -> None:
        self._exact: dict[str, str] = {}
        written: list[tuple[str, str]] = []
        for spectrum in spectrums:
            for field in spectrum.fields:
                if "*" in field:
                    written.append((field, spectrum.name))
                else:
                    self._exact.setdefault(field, spectrum.name)
        # stable: equal lengths keep the spectrums' order
        written.sort(key=lambda item: -len(item[0].replace("*", "")))
        self._patterns = [(re.compile(".*".join(map(re.escape, field.split("*")))), name) for field, name in written]
        self.of_field = lru_cache(maxsize=_REMEMBERED)(self._of_field)

    def _of_field(self, name: str) -> str | None:
        name = name[:_LONGEST_NAME]
        for candidate in (name, name.rpartition(".")[2]):
            plain = _SEPARATORS.sub("_", _CAMEL.sub("_", candidate)).strip("_").lower()
            if plain in self._exact:
                return self._exact[plain]
            for pattern, spectrum in self._patterns:
                if pattern.fullmatch(plain):
                    return spectrum
        return None
