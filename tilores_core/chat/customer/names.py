"""Names of people in free text, found by their shape and by what stands before them.

Typed names have capitals; speech arrives in lower case, where a cue ("customer edwina hawthorne"), a given name or
the possessive must do. Work is linear in the text; each word is looked at a bounded number of times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tilores_core.chat.customer.mention import Rank, Strength
from tilores_core.chat.customer.tokens import Cue, Word, cue_before
from tilores_core.chat.customer.words import (
    COMMON,
    COURTESIES,
    FAMILY_NAMES,
    FOLLOWERS,
    GIVEN_NAMES,
    MODALS,
    NAMES_TOO,
    NEVER,
    PARTICLES,
    PLACE_CUES,
    PLACES,
    PREPOSITIONS,
    SUBJECTS,
    THINGS,
    TITLES,
)

_LONGEST_WORD = 40
_MOST_WORDS = 4  # particles not counted

_CUED_SURELY = ("title", "certain")


@dataclass(frozen=True, slots=True)
class NameSpan:
    """A name at `start`:`end`; the rest as in `Mention`. A possessive counts as a cue."""

    name: str
    start: int
    end: int
    strength: Strength
    rank: Rank = Rank.BARE
    partial: bool = False
    alone: bool = False
    person: bool = False


def find_names(words: Sequence[Word]) -> list[NameSpan]:
    """The names in a text, in order."""
    found = []
    position = 0
    while position < len(words):
        run, span = _name_at(words, position)
        if span is not None:
            found.append(span)
        position += max(run, 1)
    return found


def _name_at(words: Sequence[Word], i: int) -> tuple[int, NameSpan | None]:
    """How many words to go on by, and the name that begins at word `i`, if one does."""
    word = words[i]
    if word.low in (NEVER if word.capital else COMMON) and word.low not in NAMES_TOO:
        return 1, None
    cue = cue_before(words, i)
    run = _capitals(words, i, cued=cue is not None)
    if run:
        reversed_name = _family_first(words, i, run, cue)
        return (2, reversed_name) if reversed_name else (len(run), _typed(words, i, run, cue))
    if word.capital or word.low in COMMON:
        return 1, None
    run = _lower_run(words, i)
    return len(run), _spoken(words, i, run, cue)


# --- typed, with capitals --------------------------------------------------------------------------------


def _capitals(words: Sequence[Word], i: int, *, cued: bool) -> list[Word]:
    """The capitalised words from `i` on that may be one name; empty when none begins here."""
    run: list[Word] = []
    counted = 0
    for j in range(i, len(words)):
        word = words[j]
        if run and (not word.joined or run[-1].owner):
            break
        follower = words[j + 1] if j + 1 < len(words) and words[j + 1].joined else None
        if word.low in PARTICLES and (run or cued or word.capital) and _leads_on(follower):
            run.append(word)
            continue
        if not _may_be_name(word) and not (word.capital and _name_too(word, run, follower)):
            break
        run.append(word)
        counted += 1
    while run and run[-1].low in PARTICLES and not run[-1].capital:
        run.pop()
    return run if counted else []


def _leads_on(follower: Word | None) -> bool:
    return follower is not None and (_may_be_name(follower) or follower.low in PARTICLES)


def _may_be_name(word: Word) -> bool:
    return word.capital and word.low not in NEVER and len(word.text) <= _LONGEST_WORD


def _name_too(word: Word, run: Sequence[Word], follower: Word | None) -> bool:
    """Whether a word that is mostly no name is one here: "April Jones", "Anna Holder's"."""
    if word.low in NAMES_TOO and not run:
        named = follower is not None and _may_be_name(follower)
        return named and not (word.initial and word.low in MODALS and not (follower and follower.owner))
    return word.owner and len(run) == 1 and (_given(run[0]) or word.low not in SUBJECTS)


def _typed(words: Sequence[Word], i: int, run: list[Word], cue: Cue | None) -> NameSpan | None:
    if len(run) > 2 and run[0].initial and not _given(run[0]) and _given(run[1]) and not cue:
        run = run[1:]  # an imperative we do not know: "Retitle Edwina Hawthorne"
    counted = sum(word.low not in PARTICLES for word in run)
    if counted > _MOST_WORDS:
        if cue is None:
            return None
        run = run[:_MOST_WORDS]
    span = _span(run)
    name = span.name.lower()
    if name in PLACES:
        return None
    owner = run[-1].owner
    alone = _alone(words, run)
    if len(run) == 1:
        if cue is not None and True:
            strong = cue in _CUED_SURELY
            return replace(span, partial=True, rank=_rank(cue), strength=Strength.STRONG if strong else Strength.WEAK)
        return replace(span, partial=True, rank=Rank.CUED, strength=Strength.WEAK) if owner else None
    if cue is not None and not (cue == "switch" and _is_thing(run)):
        return replace(span, strength=Strength.STRONG, rank=_rank(cue))
    if owner:
        return replace(span, strength=Strength.STRONG, rank=Rank.CUED)
    if all(word.low in COMMON for word in run):
        return None
    return replace(span, strength=_bare_strength(words, i, run), alone=alone)


def _family_first(words: Sequence[Word], i: int, run: list[Word], cue: Cue | None) -> NameSpan | None:
    """ "Hawthorne, Edwina", where it says nothing else or stands behind a cue."""
    if len(run) > 1 or i + 1 >= len(words) or not words[i + 1].comma or not _may_be_name(words[i + 1]):
        return None
    pair = [run[0], words[i + 1]]
    alone = _alone(words, pair)
    if not alone and cue is None:
        return None
    span = replace(_span(pair), name=f"{run[0].text}, {words[i + 1].text}")
    strength = Strength.STRONG if cue else Strength.WEAK
    return replace(span, strength=strength, rank=_rank(cue) if cue else Rank.BARE, alone=alone)


def _bare_strength(words: Sequence[Word], i: int, run: Sequence[Word]) -> Strength:
    if _is_thing(run):
        return Strength.FAINT
    placed = i > 0 and words[i - 1].low in PLACE_CUES and not _given(run[0])
    return Strength.FAINT if placed else Strength.WEAK


def _is_thing(run: Sequence[Word]) -> bool:
    return any(word.low in THINGS for word in run)


# --- spoken, in lower case -------------------------------------------------------------------------------


def _lower_run(words: Sequence[Word], i: int) -> list[Word]:
    run = [words[i]]
    for j in range(i + 1, len(words)):
        word = words[j]
        if run[-1].owner or not word.joined or word.capital or len(word.text) > _LONGEST_WORD:
            break
        if word.low in COMMON and not (len(run) == 1 and _family_name(run[0], word)):
            break
        run.append(word)
    return run


def _family_name(given: Word, word: Word) -> bool:
    return word.low not in NEVER and (word.owner or (_given(given) and word.low in FAMILY_NAMES))


def _spoken(words: Sequence[Word], i: int, run: list[Word], cue: Cue | None) -> NameSpan | None:
    end = len(run)
    while end > 1 and run[end - 1].low in PARTICLES:
        end -= 1
    run = run[:end]
    counted = sum(word.low not in PARTICLES for word in run)
    person = _given(run[0])
    if counted > (_MOST_WORDS if cue is not None or person else 3):
        # Other languages are all unknown words; a given name among them still begins a name.
        given = next((n for n, word in enumerate(run) if _given(word)), None)
        if given is None:
            return None
        i, run = i + given, run[given:]
        run = run if len(run) <= 3 and run[-1].owner else run[:2]
        cue, person = (cue if given == 0 else None), True
    return _judge(words, i, run, cue, person=person)


def _judge(words: Sequence[Word], i: int, run: list[Word], cue: Cue | None, *, person: bool) -> NameSpan | None:
    span = _span(run)
    owner = run[-1].owner
    if len(run) == 1:
        return _single(run[0], span, cue, person=person)
    if span.name in PLACES:
        return None
    if cue is not None:
        named = cue in _CUED_SURELY or (cue == "speaker" and words[i - 2].low == "name")
        unsure = Strength.WEAK if cue in ("customer", "switch") else Strength.FAINT
        return replace(span, strength=Strength.STRONG if named or person else unsure, rank=_rank(cue))
    if _alone(words, run):
        return replace(span, strength=Strength.WEAK if person else Strength.FAINT, alone=person)
    if owner or person:
        return replace(span, strength=Strength.WEAK, rank=Rank.CUED if owner else Rank.BARE)
    j = i + len(run)
    framed = (i > 0 and words[i - 1].low in PREPOSITIONS) or (
        j < len(words) and (words[j].low in SUBJECTS or words[j].low in FOLLOWERS)
    )
    return span if framed else None


def _single(word: Word, span: NameSpan, cue: Cue | None, *, person: bool) -> NameSpan | None:
    uncased = word.text.upper() == word.text  # scripts without capitals
    if cue is not None and (person or uncased or cue in _CUED_SURELY):
        strength = Strength.STRONG if cue in _CUED_SURELY else Strength.WEAK
        return replace(span, rank=_rank(cue), strength=strength)
    return replace(span, rank=Rank.CUED, strength=Strength.WEAK) if word.owner and person else None


# --- both ------------------------------------------------------------------------------------------------


def _given(word: Word) -> bool:
    return word.low in GIVEN_NAMES or word.low.partition("-")[0] in GIVEN_NAMES


def _rank(cue: Cue) -> Rank:
    return Rank.SPEAKER if cue == "speaker" else Rank.CUED


def _alone(words: Sequence[Word], run: Sequence[Word]) -> bool:
    first, last = run[0].start, run[-1].end
    return len(words) <= len(run) + 6 and all(
        word.low in COURTESIES or word.low in TITLES for word in words if word.start < first or word.end > last
    )


def _span(run: Sequence[Word]) -> NameSpan:
    name = " ".join(word.text for word in run)
    person = _given(run[0])
    return NameSpan(name, run[0].start, run[-1].end, Strength.FAINT, person=person, partial=len(run) == 1)
