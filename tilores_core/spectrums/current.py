"""The spectrums that this process uses: the seven, and what the files of `[chat] spectrum_files` add."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tilores_core.spectrums.classify import GENERAL, PhraseIndex
from tilores_core.spectrums.fields import FieldIndex
from tilores_core.spectrums.model import SPECTRUMS, Spectrum, merge, read_spectrums


class SpectrumSet:
    """Spectrums with the indexes that assign questions and fields to them."""

    def __init__(self, spectrums: Sequence[Spectrum]) -> None:
        self.spectrums = tuple(spectrums)
        self.names = (*(spectrum.name for spectrum in self.spectrums), GENERAL)
        self.classify = PhraseIndex(self.spectrums).classify
        self.of_field = FieldIndex(self.spectrums).of_field

    @cached_property
    def digest(self) -> str:
        """What stands for the set in cache keys: "" for the seven, as they are part of the program."""
        if self.spectrums == SPECTRUMS:
            return ""
        return hashlib.sha256(repr(self.spectrums).encode()).hexdigest()[:12]


_BUILTIN = SpectrumSet(SPECTRUMS)
_current = _BUILTIN


def current_spectrums() -> SpectrumSet:
    """The set in use."""
    return _current


def use_spectrums(paths: Sequence[str | Path]) -> None:
    """Use the seven and what the files add, from now on and in the whole process. Raises `ConfigError`."""
    global _current
    added = [spectrum for path in paths for spectrum in read_spectrums(Path(path))]
    _current = SpectrumSet(merge(added)) if added else _BUILTIN


def classify(question: str) -> str:
    """The name of the spectrum whose words and field names `question` mentions most, or "general".

    A phrase counts more than its words would alone. Equal spectrums: the first in the list. Of a very long
    text the end is read, as a conversation's question comes last.
    """
    return _current.classify(question)


def spectrum_of_field(name: str) -> str | None:
    """The spectrum of a field, or None when no pattern fits.

    Any case style will do: `credit_score`, `CreditScore`, `Credit Score`. Of a dotted path the whole is tried first,
    then its last part.
    """
    return _current.of_field(name)
