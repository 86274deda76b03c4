"""Which spectrum a question belongs to.

A dictionary of the first words of all phrases: each word of the question costs one look-up, and only those that
begin a phrase cost more. One large regular expression took ten times as long, as it tries every alternative
at every word.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from tilores_core.spectrums.model import Spectrum

GENERAL = "general"

_LONGEST_QUESTION = 4_000
_POSSESSIVE = re.compile(r"['’]s\b")
# translate and split take a quarter of what a regular expression's findall takes.
_BLANKS = str.maketrans({chr(c): " " for c in range(128) if not chr(c).isalnum()} | dict.fromkeys("’‘“”–—…¿¡", " "))

_Points = tuple[tuple[int, int], ...]  # spectrum, points
# first word -> (points of that word alone, second word -> [(the words after it, points)], longest first)
_Phrases = dict[str, tuple[_Points, dict[str, list[tuple[list[str], _Points]]]]]


class PhraseIndex:
    """The words of spectrums, and which spectrum a question belongs to by them."""

    def __init__(self, spectrums: Sequence[Spectrum]) -> None:
        self._names = tuple(spectrum.name for spectrum in spectrums)
        self._phrases = _build(spectrums)

    def classify(self, question: str) -> str:
        """See `current.classify`."""
        text = question[-_LONGEST_QUESTION:].lower()
        if "'" in text or "’" in text:
            text = _POSSESSIVE.sub("", text)
        words = text.translate(_BLANKS).split()
        points = [0] * len(self._names)
        known = self._phrases
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
