"""The spectrums that this process uses: the seven, and what the files of `[chat] spectrum_files` add.

A dictionary of the first words of all phrases says which spectrum a question belongs to: each word of the question
costs one look-up, and only those that begin a phrase cost more. One large regular expression took ten times as long,
as it tries every alternative at every word.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path

from tilores_core.identity.names import ascii_words
from tilores_core.spectrums.model import SPECTRUMS, Spectrum, merge, read_spectrums

GENERAL = "general"

_LONGEST_QUESTION = 4_000
_POSSESSIVE = re.compile(r"['’]s\b", re.IGNORECASE)
_BLANKS = str.maketrans({chr(c): " " for c in range(128) if not chr(c).isalnum()} | dict.fromkeys("’‘“”–—…¿¡", " "))

_Points = tuple[tuple[int, int], ...]  # spectrum, points
# first word -> (points of that word alone, second word -> [(the words after it, points)], longest first)
_Phrases = dict[str, tuple[_Points, dict[str, list[tuple[list[str], _Points]]]]]


class PhraseIndex:
    """The words of spectrums, and which spectrum a question belongs to by them."""

    def __init__(self, spectrums: Sequence[Spectrum]) -> None:
        self._names = tuple(spectrum.name for spectrum in spectrums)
        self._phrases = _build(spectrums)
        self._first_words = frozenset(self._phrases)

    def classify(self, question: str) -> str:
        """See `current.classify`."""
        text = question[-_LONGEST_QUESTION:]
        if "'" in text or "’" in text:
            text = _POSSESSIVE.sub("", text)
        words = ascii_words(text) if text.isascii() else text.lower().translate(_BLANKS).split()
        if self._first_words.isdisjoint(words):
            return GENERAL
        known = self._phrases
        points = [0] * len(self._names)
        position, end = 0, len(words)
        while position < end:
            phrases = known.get(words[position])
            position += 1
            if phrases is None:
                continue
            scores, longer = phrases
            for rest, rest_scores in longer.get(words[position], ()) if position < end else ():
                after = position + 1 + len(rest)
                if not rest or words[position + 1 : after] == rest:
                    scores, position = rest_scores, after
                    break
            for spectrum, score in scores:
                points[spectrum] += score
        best = max(points)
        return self._names[points.index(best)] if best else GENERAL


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


def _build(spectrums: Sequence[Spectrum]) -> _Phrases:
    found: dict[tuple[str, ...], dict[int, int]] = defaultdict(dict)
    for index, spectrum in enumerate(spectrums):
        named = (field for field in spectrum.fields if "*" not in field)
        for phrase in (*spectrum.words, *named):
            words = tuple(phrase.lower().translate(_BLANKS).split())
            # A phrase of two words beats one word said twice.
            score = 3 * len(words) - 2
            for spelling in (words, (*words[:-1], _plural(words[-1]))):
                found[spelling][index] = score
    phrases: _Phrases = {}
    for spelling, scores in sorted(found.items(), key=lambda item: (-len(item[0]), item[0])):
        alone, longer = phrases.get(spelling[0], ((), {}))
        if len(spelling) == 1:
            alone = tuple(scores.items())
        else:
            longer.setdefault(spelling[1], []).append((list(spelling[2:]), tuple(scores.items())))
        phrases[spelling[0]] = (alone, longer)
    return phrases


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
