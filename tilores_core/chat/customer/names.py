"""Names of people in free text, found by their shape and by what stands before them.

Typed names have capitals; speech arrives in lower case, where a cue ("customer edwina hawthorne"), a given name or
the possessive must do. Work is linear in the text; each word is looked at a bounded number of times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tilores_core.chat.customer.spans import (
    PREFIXES,
    SHORTEST_PART,
    NameSpan,
    is_alone,
    is_family,
    is_given,
    is_thing,
    split_given_prefix,
    stands_as_name,
    stands_as_owner,
    stands_as_word,
    without_possessive,
)
from tilores_core.chat.customer.tokens import Cue, Word, cue_before
from tilores_core.chat.customer.words import (
    CONNECTING,
    ENGLISH,
    FAMILY_NAMES,
    GIVEN_NAMES,
    MODALS,
    NAMES_TOO,
    PARTICLES,
    PLACES,
    TITLES,
    WORDS_TOO,
    Vocabulary,
    is_unknown,
    words_in_any,
)
from tilores_core.contracts import Strength
from tilores_core.identity.names import GENERATIONS

_LONGEST_WORD = 40
_MOST_WORDS = 4  # particles not counted

_CUED_SURELY = ("title", "certain")
_CAMEL = re.compile(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])")
_NOT: Final = words_in_any("negators")
SUFFIX_WORDS: Final = GENERATIONS.keys() | {"the"}
_BETWEEN: Final = CONNECTING | {"or", "oder", "ou", "o", "of"}
_OR: Final = _BETWEEN - CONNECTING - {"of"}
_THIRD: Final = frozenset(("second", "third", "fourth", "elder", "younger"))


def find_names(words: Sequence[Word], vocabulary: Vocabulary = ENGLISH) -> list[NameSpan]:
    """The names in a text, in order."""
    return _Names(words, vocabulary).find_all()


class _Names:
    def __init__(self, words: Sequence[Word], vocabulary: Vocabulary) -> None:
        self.words = words
        self.vocabulary = vocabulary

    def find_all(self) -> list[NameSpan]:
        found: list[NameSpan] = []
        position = 0
        words, capitals, common = self.words, self.vocabulary.no_name_capital, self.vocabulary.no_name
        while position < len(words):
            word = words[position]
            known = word.low in (capitals if word.capital else common)
            if known and not (word.owner and not word.capital and stands_as_owner(words, position, self.vocabulary)):
                position += 1
                continue
            run, span = self._name_at(position)
            if span is not None:
                found += self._sharing_family(span, position, found)
                found += self._sharing_family_behind(span, position + run)
                found.append(self._with_title(span, position))
            position += max(run, 1)
        return found

    def _name_at(self, i: int) -> tuple[int, NameSpan | None]:
        """How many words to go on by, and the name that begins at word `i`, if one does."""
        words, word = self.words, self.words[i]
        cue = cue_before(words, i, self.vocabulary)
        run = self._capitals(i, cued=cue is not None) if word.capital or word.low in PARTICLES else []
        if run:
            reversed_name = self._family_first(i, run, cue)
            return reversed_name or (len(run), self._find_typed(i, run, cue))
        if word.capital or (word.low in self.vocabulary.common and not self._lower_name_too(i)):
            return 1, None
        run = self._lower_run(i)
        return len(run), self._find_spoken(i, run, cue)

    def _sharing_family(self, span: NameSpan, i: int, found: Sequence[NameSpan]) -> list[NameSpan]:
        """ "Jane or Richard Roe": Jane Roe is named as well."""
        words = self.words
        if span.partial or i < 2 or words[i].start != span.start or words[i - 1].low not in _BETWEEN:
            return []
        other, (_, _, family) = words[i - 2], span.name.partition(" ")
        strange = words[i - 1].low in _OR and (self._may_be_name(other) or is_unknown(other.low))
        if not ((is_given(other) or strange) and words[i - 1].joined and words[i].joined and family):
            return []
        if any(name.start <= other.start < name.end for name in found if not name.partial):
            return []
        return [span._replace(name=f"{other.text} {family}", start=other.start, end=other.end, alternatives=())]

    def _sharing_family_behind(self, span: NameSpan, i: int) -> list[NameSpan]:
        """ "Richard Roe or Jane", "Lorna Pike or Peck": Jane Roe and Lorna Peck are named as well."""
        words = self.words
        if span.partial or len(words) < i + 2 or words[i].low not in _OR:
            return []
        other = words[i + 1]
        if not is_given(other) and not (
            self._may_be_name(other) if span.name[0].isupper() else is_unknown(other.low)
        ):
            return []
        behind = words[i + 2] if i + 2 < len(words) and words[i + 2].joined else None
        if behind is not None and behind.low not in self.vocabulary.common and behind.low not in MODALS:
            return []
        given, _, family = span.name.rpartition(" ")
        name = f"{other.text} {family}" if is_given(other) else f"{given} {other.text}"
        return [span._replace(name=name, start=other.start, end=other.end, alternatives=())]

    def _with_title(self, span: NameSpan, i: int) -> NameSpan:
        before = self.words[i - 1].low if i else ""
        return span._replace(title=before) if before in TITLES else span

    # --- typed, with capitals ----------------------------------------------------------------------------

    def _capitals(self, i: int, *, cued: bool) -> list[Word]:
        """The capitalised words from `i` on that may be one name; empty when none begins here."""
        words = self.words
        run: list[Word] = []
        counted = 0
        for j in range(i, len(words)):
            word = words[j]
            if run and counted and self._is_suffix(j, run):
                run.append(word)
                continue
            if run and (not word.joined or run[-1].owner):
                break
            follower = words[j + 1] if j + 1 < len(words) and words[j + 1].joined else None
            if (
                word.low in PARTICLES
                and (word.low not in self.vocabulary.never or not run or len(run) < 2 or self._leads_on(follower))
                and (run or cued or word.capital or self._leads_to_given(j))
                and self._leads_on(follower)
            ):
                run.append(word)
                continue
            foreign = run and word.capital and word.low not in ENGLISH.never and self.vocabulary.language != "de"
            if (
                not self._may_be_name(word)
                and not foreign
                and not (word.capital and self._name_too(word, run, follower))
            ):
                break
            run.append(word)
            counted += 1
        while run and run[-1].low in PARTICLES and not run[-1].capital:
            run.pop()
        return run if counted else []

    def _leads_to_given(self, j: int) -> bool:
        """ "van der Berg, April", from the first particle on."""
        words = self.words
        while j < len(words) and words[j].low in PARTICLES:
            j += 1
        given = words[j + 1] if j + 1 < len(words) and words[j + 1].comma else None
        return given is not None and given.capital and (is_given(given) or given.low in NAMES_TOO)

    def _is_suffix(self, j: int, run: Sequence[Word]) -> bool:
        """ "Jr.", "III", "junior", "the third" behind a name."""
        word = self.words[j]
        near = word.start - run[-1].end <= 2
        if not near or run[-1].owner:
            return False
        if word.low in GENERATIONS:
            return word.low not in _THIRD or run[-1].low == "the"
        following = self.words[j + 1] if j + 1 < len(self.words) else None
        return (
            word.low == "the" and following is not None and following.joined and following.low in _THIRD
            and (j + 2 >= len(self.words) or self.words[j + 2].low not in ("one", "customer", "person"))
        )  # fmt: skip

    def _leads_on(self, follower: Word | None) -> bool:
        return follower is not None and (self._may_be_name(follower) or follower.low in PARTICLES)

    def _may_be_name(self, word: Word) -> bool:
        return word.capital and word.low not in self.vocabulary.never and len(word.text) <= _LONGEST_WORD

    def _name_too(self, word: Word, run: Sequence[Word], follower: Word | None) -> bool:
        """Whether a word that is mostly not a name is one here: "April Jones", "Anna Holder's"."""
        if word.low in NAMES_TOO and not run:
            named = self._leads_on(follower) or (
                follower is not None and follower.capital and follower.low in FAMILY_NAMES
            )  # "Vos" is a word, too
            question = word.initial and word.low in MODALS  # "Will Edwina pay?"
            return named and not (question and follower is not None and is_given(follower) and not follower.owner)
        return word.owner and len(run) == 1 and (is_given(run[0]) or word.low not in self.vocabulary.subjects)

    def _lower_name_too(self, i: int) -> bool:
        """ "about will petrov", "april jones what is …", "april prices loan", in lower case."""
        words = self.words
        if stands_as_owner(words, i, self.vocabulary):
            return True
        follower = words[i + 1] if i + 1 < len(words) and words[i + 1].joined else None
        if words[i].low not in NAMES_TOO or follower is None:
            return False
        behind = words[i + 2].low if i + 2 < len(words) else ""
        owned = behind in self.vocabulary.subjects and follower.low.removesuffix("s") in FAMILY_NAMES
        return owned or follower.low not in self.vocabulary.common or follower.low in FAMILY_NAMES

    def _find_typed(self, i: int, run: list[Word], cue: Cue | None) -> NameSpan | None:
        german = self.vocabulary.language == "de"
        if len(run) > 2 and (run[0].initial or german) and not is_given(run[0]) and is_given(run[1]) and not cue:
            i, run = i + 1, run[1:]  # "Retitle Edwina Hawthorne", "Ansprechpartner Edwina Hawthorne"
        if german and len(run) > 3 and run[1].low == "von" and not is_given(run[0]) and run[2].low not in PARTICLES:
            i, run = i + 2, run[2:]  # a noun: "Abrechnung von Edwina Hawthorne"
        counted = sum(word.low not in PARTICLES and word.low not in SUFFIX_WORDS for word in run)
        if counted > _MOST_WORDS:
            if cue is None:
                return None
            run = run[:_MOST_WORDS]
        span = self._span(i, run, cue, alone=is_alone(self.words, run, self.vocabulary))
        if span.name.lower() in PLACES:
            return None
        owner = run[-1].owner
        if len(run) == 1:
            return self._find_single_word(i, span, run[0], cue)
        if cue is not None and not (cue == "switch" and is_thing(run)):
            return span._replace(strength=Strength.STRONG)
        if owner:
            return span._replace(strength=Strength.STRONG)
        if all(word.low in self.vocabulary.common for word in run) and run[0].low not in NAMES_TOO:
            return None
        return span._replace(strength=self._bare_strength(i, run))

    def _find_single_word(self, i: int, span: NameSpan, word: Word, cue: Cue | None) -> NameSpan | None:
        parts = _CAMEL.split(word.text)
        if len(parts) in (2, 3) and all(len(part) >= SHORTEST_PART for part in parts):
            return span._replace(name=" ".join(parts), strength=Strength.WEAK, partial=False)
        if cue is not None:
            strength = Strength.STRONG if cue in _CUED_SURELY else Strength.WEAK
            return span._replace(strength=strength)
        if word.owner:
            return span._replace(strength=Strength.WEAK)
        may = (span.person and not word.initial) or stands_as_name(self.words, i, self.vocabulary)
        return span._replace(strength=Strength.FAINT) if may else None

    def _family_first(self, i: int, run: list[Word], cue: Cue | None) -> tuple[int, NameSpan] | None:
        """How many words to go on by, and "Hawthorne, Edwina", where it says nothing else or stands behind a cue."""
        words = self.words
        j = i + len(run)
        given = j < len(words) and (is_given(words[j]) or words[j].low in NAMES_TOO)
        if i and words[i - 1].low in _NOT:
            return None  # "not Tom, Gwen"
        if len(run) > 1 and is_given(run[0]) and not given:
            return None  # "Tom Fern, York"
        if j >= len(words) or not words[j].comma or not (self._may_be_name(words[j]) or given):
            return None
        if len(run) > 2 and any(word.low not in PARTICLES for word in run[:-1]):
            return None
        pair = [*run, words[j]]
        while j + 1 < len(words) and self._is_suffix(j + 1, pair):
            j += 1
            pair.append(words[j])
        alone = is_alone(self.words, pair, self.vocabulary)
        asked = pair[-1].owner or (i > 0 and words[i - 1].low in self.vocabulary.prepositions)
        leads = run[0].initial and given and (len(run) > 1 or (j + 1 < len(words) and words[j + 1].comma))
        if not alone and cue is None and not asked and not leads:
            return None  # "Fern, Tom, what does he owe?" leads
        name = f"{' '.join(word.text for word in run)}, {' '.join(word.text for word in pair[len(run) :])}"
        return len(pair), self._span(i, pair)._replace(
            name=name,
            partial=False,
            strength=Strength.STRONG if cue else Strength.WEAK,
            alone=alone,
            alternatives=() if given or len(run) == 1 else (" ".join(word.text for word in run),),  # "Tom Fern, York"
        )

    def _bare_strength(self, i: int, run: Sequence[Word]) -> Strength:
        if is_thing(run):
            return Strength.FAINT
        placed = i > 0 and self.words[i - 1].low in self.vocabulary.place_cues and not is_given(run[0])
        return Strength.FAINT if placed else Strength.WEAK

    # --- spoken, in lower case ---------------------------------------------------------------------------

    def _lower_run(self, i: int) -> list[Word]:
        words, common = self.words, self.vocabulary.common
        run = [words[i]]
        for j in range(i + 1, len(words)):
            word = words[j]
            if self._is_suffix(j, run) and len(run) > 1:
                run.append(word)
                continue
            if run[-1].owner or not word.joined or word.capital or len(word.text) > _LONGEST_WORD:
                break
            joins = word.low in PARTICLES or word.low in PREFIXES
            prefixed = run[-1].low in PREFIXES and len(run) > 1 and is_given(run[0])  # "chiara d amico"
            if not (joins and self._is_particle(j, run)) and word.low in common and not prefixed:
                second = len(run) == 1 and self._family_name(run[0], word)
                # A third word that may be the family name: "ann lee king" is not Ann Lee.
                if not second and not (len(run) > 1 and is_family(word)):
                    break
            run.append(word)
        return run

    def _is_particle(self, j: int, run: Sequence[Word]) -> bool:
        """ "anna van der berg", but not "edwina de" in a language where it is "of"."""
        if len(run) > 1 and run[-1].low not in PARTICLES and self.words[j].low not in PREFIXES:
            return False
        follower = self.words[j + 1] if j + 1 < len(self.words) else None
        return follower is not None and follower.joined and (
            follower.low not in self.vocabulary.common or follower.low in PARTICLES or self.words[j].low in PREFIXES
        )  # fmt: skip

    def _family_name(self, given: Word, word: Word) -> bool:
        place = self.words.index(given)
        framed = place > 0 and self.words[place - 1].low in self.vocabulary.prepositions
        may = framed or is_given(given) or given.low in NAMES_TOO or is_unknown(given.low)
        word_too = word.low in WORDS_TOO and word.low not in MODALS and word.low not in self.vocabulary.subjects
        return (may and (is_family(word) or word_too)) or (word.owner and word.low not in self.vocabulary.never)

    def _find_spoken(self, i: int, run: list[Word], cue: Cue | None) -> NameSpan | None:
        if stands_as_word(self.words, i, i + len(run) - 1, self.vocabulary):
            return None
        end = len(run)
        while end > 1 and run[end - 1].low in PARTICLES:
            end -= 1
        run = run[:end]
        counted = sum(word.low not in PARTICLES and word.low not in SUFFIX_WORDS for word in run)
        person = is_given(run[0]) or run[0].low in NAMES_TOO
        if counted > (_MOST_WORDS if cue is not None or person else 3):
            # Other languages are all unknown words; a given name among them still begins a name.
            given = next((n for n, word in enumerate(run) if is_given(word)), None)
            if given is None:
                return self._span(i, run[:_MOST_WORDS])._replace(alternatives=())
            i, run = i + given, run[given:]
            run = run[: 2 * _MOST_WORDS]
            cue, person = (cue if given == 0 else None), True
        span = self._span(i, run, cue)
        if len(run) == 1:
            return self._single(i, run[0], span, cue, person=person)
        if span.name in PLACES:
            return None
        alone = is_alone(self.words, run, self.vocabulary)
        if cue is not None:
            named = cue in _CUED_SURELY or (cue == "speaker" and self.words[i - 2].low == "name")
            unsure = Strength.WEAK if cue in ("customer", "switch") else Strength.FAINT
            return span._replace(strength=Strength.STRONG if named or person else unsure, alone=alone)
        if alone:
            return span._replace(strength=Strength.WEAK if person else Strength.FAINT, alone=person)
        return span._replace(strength=Strength.WEAK) if run[-1].owner or person else span

    def _single(self, i: int, word: Word, span: NameSpan, cue: Cue | None, *, person: bool) -> NameSpan | None:
        uncased = word.text.upper() == word.text  # scripts without capitals
        if not person and len(word.low) > 2 * SHORTEST_PART and (split := split_given_prefix(word.low)):
            return span._replace(name=split, partial=False, strength=Strength.FAINT)
        if cue is not None and (person or uncased or cue in _CUED_SURELY):
            return span._replace(strength=Strength.STRONG if cue in _CUED_SURELY else Strength.WEAK)
        if (person and (word.owner or span.alternatives)) or stands_as_owner(self.words, i, self.vocabulary):
            return span._replace(strength=Strength.WEAK)
        if span.alternatives and (given := span.alternatives[0]) in GIVEN_NAMES:
            return span._replace(name=given, alternatives=(), strength=Strength.WEAK, person=True)
        if not person and not (cue is not None or uncased or stands_as_name(self.words, i, self.vocabulary)):
            return None
        return (
            span._replace(strength=Strength.FAINT, alone=is_alone(self.words, [word], self.vocabulary))
            if person or is_unknown(word.low) or stands_as_name(self.words, i, self.vocabulary)
            else None
        )

    # --- both --------------------------------------------------------------------------------------------

    def _span(self, i: int, run: Sequence[Word], cue: Cue | None = None, *, alone: bool = False) -> NameSpan:
        name = " ".join(word.text for word in run)
        counted = [word for word in run if word.low not in SUFFIX_WORDS]
        return NameSpan(
            name,
            run[0].start,
            run[-1].end,
            Strength.FAINT,
            speaker=cue == "speaker",
            alone=alone,
            person=is_given(run[0]),
            partial=len(counted) == 1,
            alternatives=tuple(without_possessive(self.words, i, run, self.vocabulary)),
        )
