"""A name as people say it, in the parts and spellings that an instance may know it by."""

from __future__ import annotations

from dataclasses import dataclass

from tilores_core import name_words, normalise_name

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class SplitName:
    """A name split into first and last name. `first` is empty when the name is one word."""

    first: str
    last: str


def is_name(text: str) -> bool:
    """Whether there is anything in it to search for."""
    return len(text) <= _LONGEST and bool(normalise_name(text))


def splits(name: str) -> list[SplitName]:
    """First and last name, the likeliest way first: as it is written, in the other order, with a longer last name,
    and without accents."""
    last, comma, first = name.partition(",")
    kept = set(normalise_name(name).split())
    words = [
        word
        for word in (f"{first} {last}" if comma and normalise_name(first) else name).split()
        if not kept.isdisjoint(normalise_name(word).split())  # a title or a suffix, which the normalised name lacks
    ]
    words = [word.strip(",;.") if len(word) > 2 else word for word in words]
    if not words:
        return []
    if len(words) == 1:
        return [SplitName("", words[0])]
    found = [SplitName(words[0], words[-1])]
    if len(words) > 2:
        found.append(SplitName(words[0], " ".join(words[1:])))
        found.append(SplitName(" ".join(words[:-1]), words[-1]))
    found.append(SplitName(words[-1], words[0]))
    found += [
        SplitName(_fold_accents(one.first, way), _fold_accents(one.last, way)) for one in found[:1] for way in (0, -1)
    ]
    return list(dict.fromkeys(one for one in found if one.last))


def _fold_accents(text: str, way: int) -> str:
    """Without accents: ü as u, or as ue."""
    if text.isascii():
        return text
    return " ".join(
        (spellings := name_words(word))[way if len(spellings) > 1 else 0] for word in text.split() if name_words(word)
    )
