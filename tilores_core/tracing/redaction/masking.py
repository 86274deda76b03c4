"""Masks: `[name]`, `[number]`, … in the place of what is the customer's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tilores_core.chat.customer.words import COMMON
from tilores_core.chat.grounding.names import find_claimed_names
from tilores_core.identity.names import fold_both
from tilores_core.tracing.redaction.patterns import Span, spans
from tilores_core.tracing.redaction.values import LONGEST_PHRASE, SHINGLE, WORD, Values, drop_each_letter, shingle

_NOBODY = Values()
_WIDEST_GAP = 3  # between an initial and the name it belongs to: "E. Hawthorne"
_NARROW_GAP = 2
_SHORTEST_MISSPELT = 4
_NO_NAMES: frozenset[str] = frozenset()


class Redactor:
    """Masks texts about one customer."""

    def __init__(self, values: Values = _NOBODY) -> None:
        self._values = values

    def text(self, text: str) -> str:
        """The text with masks. Names of others that are plain to see are masked too."""
        return _mask(text, [*spans(text), *self._of_the_customer(text), *_names(text)])

    def value(self, value: Any) -> Any:
        """A JSON value with its texts and numbers masked; names of fields stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.value(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(inner) for inner in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            masked = self.text(str(value))
            return masked if masked != str(value) else value
        return value

    def _of_the_customer(self, text: str) -> list[Span]:
        tokens = [(match.start(), match.end(), match[0]) for match in WORD.finditer(text)]
        masked: dict[int, str] = {}
        for spelling in range(2):
            folded = [fold_both(word)[-1 if spelling else 0] for _, _, word in tokens]
            for start, end, label in self._find_known(folded):
                for place in range(start, end):
                    if label == "name" or place not in masked:
                        masked[place] = label
            if text.isascii():
                break
        self._initials(tokens, masked)
        _numbers_beside(tokens, masked)
        return [Span(tokens[place][0], tokens[place][1], label) for place, label in sorted(masked.items())]

    def _find_known(self, words: list[str]) -> Iterator[tuple[int, int, str]]:
        known = self._values
        for start, first in enumerate(words):
            joined = ""
            for end in range(start + 1, min(start + LONGEST_PHRASE, len(words)) + 1):
                joined += words[end - 1]
                if joined in known.words:
                    yield start, end, "name" if joined in known.names else "value"
                elif joined in known.phrases and len(joined) > 2:
                    yield start, end, "value"
            if (
                (first.endswith("s") and first[:-1] in known.words)
                or (len(first) > 5 and any(stem in first for stem in known.stems))
                or self._is_misspelt(first)
            ):
                yield start, start + 1, "name"
            if shingle(tuple(words[start : start + SHINGLE])) in known.shingles:
                yield start, start + SHINGLE, "value"

    def _is_misspelt(self, word: str) -> bool:
        """One letter off a name's or an address's word."""
        if len(word) < _SHORTEST_MISSPELT or word in COMMON or word in self._values.words:
            return False
        nearly = self._values.nearly
        return word in nearly or any(shorter in nearly for shorter in drop_each_letter(word))

    def _initials(self, tokens: list[tuple[int, int, str]], masked: dict[int, str]) -> None:
        """Initials by themselves ("EH", "E. H.") and beside a name ("E. Hawthorne", "Jonas B.")."""
        for place, (_, _, word) in enumerate(tokens):
            if word.isupper() and 2 <= len(word) <= 4 and word.lower() in self._values.initials:
                masked.setdefault(place, "name")
            elif len(word) == 1 and word.isalpha():
                row = "".join(other for _, _, other in tokens[place : place + 3] if len(other) == 1).lower()
                for length in (3, 2):
                    if len(row) >= length and row[:length] in self._values.initials and word.isupper():
                        masked.update(dict.fromkeys(range(place, place + length), "name"))
        last = len(tokens) - 1
        for place in (*range(last + 1), *range(last, -1, -1)):  # both ways: "E. R. Hawthorne", "Hawthorne, E. R."
            start, end, word = tokens[place]
            if len(word) == 1 and word.isupper() and place not in masked:
                behind = masked.get(place + 1) == "name" and tokens[place + 1][0] - end <= _WIDEST_GAP
                before = masked.get(place - 1) == "name" and start - tokens[place - 1][1] <= _WIDEST_GAP
                if behind or before:
                    masked[place] = "name"


def _numbers_beside(tokens: list[tuple[int, int, str]], masked: dict[int, str]) -> None:
    """Small numbers right beside what is masked: of a house, a flat, a birthday."""
    for place in [place for place, (_, _, word) in enumerate(tokens) if len(word) <= 2 and word.isdecimal()]:
        start, end, _ = tokens[place]
        behind = place + 1 in masked and tokens[place + 1][0] - end <= _NARROW_GAP
        before = place - 1 in masked and start - tokens[place - 1][1] <= _NARROW_GAP
        if behind or before:
            masked[place] = "number"


def _names(text: str) -> Iterator[Span]:
    for name in find_claimed_names(text, _NO_NAMES):
        at = text.find(name)
        while at >= 0:
            yield Span(at, at + len(name), "name")
            at = text.find(name, at + len(name))


def _mask(text: str, found: Iterable[Span]) -> str:
    """Overlapping and touching spans become one mask, named after the one that begins first."""
    parts: list[str] = []
    position, label, end = 0, "", -1
    for span in sorted(found, key=lambda span: (span.start, -span.end)):
        if span.start <= end or (label == span.label and not text[end : span.start].strip(" .,'’-_")):
            end = max(end, span.end)
            continue
        if label:
            parts.append(f"[{label}]")
            position = end
        parts.append(text[position : span.start])
        label, end = span.label, span.end
    if label:
        parts.append(f"[{label}]")
        position = end
    parts.append(text[position:])
    return "".join(parts)
