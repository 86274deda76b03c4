"""How sure the records are of themselves, as the few words of it that a model should know.

Only what matters is said: that the records contradict each other much, and which fields their sources disagree on.
Bands and not figures: a model does nothing with the difference between 0.58 and 0.61, and every figure in the text
would make another fingerprint, and with it another answer, of the same customer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from tilores_core.contracts import MatchQuality

LOW_CONSISTENCY: Final = 0.7
UNSURE: Final = 0.6
"""A field below this confidence is named: two records that disagree give 0.5, two against one 0.56, three 0.63."""
WEAK_HIT: Final = 0.5


_WORD = re.compile(r"\w+")
_SAME_NUMBER = 9  # digits at the end: the same telephone number with and without its country code


def confidence(values: Iterable[str]) -> float:
    """How much the values of a field agree, 0 to 1: the sum of the squared shares of each distinct value.

    `a, a, a, b` gives 0.625; no values give 1. Tilores' `confidence` insight has the same formula and, like this,
    makes no difference of case. Nor are two spellings of one telephone number or one name in either order different
    here: they need no care.
    """
    spelt = Counter(values)
    total = spelt.total()
    if len(spelt) < 2:
        return 1.0
    counts: dict[str, int] = {}
    for value, count in spelt.items():
        meant = _meant(value)
        counts[meant] = counts.get(meant, 0) + count
    return sum((count / total) ** 2 for count in counts.values())


def _meant(value: str) -> str:
    words = _WORD.findall(value.casefold())
    joined = "".join(words)
    return joined[-_SAME_NUMBER:] if joined.isdigit() and len(joined) >= _SAME_NUMBER else " ".join(sorted(words))


def is_weak(quality: MatchQuality | None) -> bool:
    """Whether the customer fits what was searched for only poorly."""
    return quality is not None and quality.hit_score is not None and quality.hit_score < WEAK_HIT


def is_inconsistent(quality: MatchQuality | None, shared: int, disputed: Mapping[str, float]) -> bool:
    """Say whether the records contradict each other much. `shared`: how many fields more than one record has;
    `disputed`: the confidence of those that differ.

    What the source says of the consistency counts; else it is the mean confidence of the shared fields.
    """
    if quality is not None and quality.consistency is not None:
        return quality.consistency < LOW_CONSISTENCY
    return shared > 0 and (shared - len(disputed) + sum(disputed.values())) / shared < LOW_CONSISTENCY


def unsure_fields(quality: MatchQuality | None, names: Collection[str], disputed: Mapping[str, float]) -> list[str]:
    """The fields of `names` that the sources disagree on, in alphabetical order; the source's word counts first."""
    said = quality.confidence if quality is not None else {}
    low = {name for name, value in disputed.items() if said.get(name, value) < UNSURE}
    return sorted(low | {name for name, value in said.items() if value < UNSURE and name in names})


def list_differences(quality: MatchQuality | None) -> list[object]:
    """All of a source's quality that the two functions above make a difference of; empty when it says nothing."""
    if quality is None or (quality.consistency is None and not quality.confidence):
        return []
    low = quality.consistency is not None and quality.consistency < LOW_CONSISTENCY
    fields = quality.confidence.items()
    return [
        None if quality.consistency is None else low,
        sorted(name for name, value in fields if value < UNSURE),
        sorted(name for name, value in fields if value >= UNSURE),
    ]
