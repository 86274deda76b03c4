"""An answer taken apart into clauses, with what each of them negates, hedges or calls outdated.

By English words; numbers and dates are read in every language that the engine reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final

from tilores_core.chat.customer.dates import FoundDate, find_dates
from tilores_core.chat.customer.tokens import TextScan
from tilores_core.chat.customer.words import GIVEN_NAMES
from tilores_core.chat.grounding.names import words_of
from tilores_core.chat.routing.sentences import Sentences
from tilores_core.identity import normalise_email
from tilores_core.identity.names import fold
from tilores_core.quality.scoring.numbers import NumberMention, find_numbers, with_all_figures

LONGEST_ANSWER: Final = 8_000
_LONGEST_SENTENCE: Final = 2_000
_CLAUSE = re.compile(
    r";\s+|:\s+|,?\s+\b(?=(?:but|while|whereas|although|though|rather than|instead of|up from|down from|and not|"
    r"compared (?:with|to)|as opposed to|previously|formerly)\b)"
    r"|,\s+(?=(?:not|an? older|the|it|she|he|they|her|his|and)\b)"
    r"|\s+\((?=(?:not|previously|formerly|was|up from|down from)\b)"
)
_NEGATION = re.compile(
    r"\b(?:not(?! only)|never|no longer|isn['’]?t|wasn['’]?t|aren['’]?t|doesn['’]?t|didn['’]?t|nor|neither|"
    r"rather than|instead of|as opposed to|unlike|nicht|kein\w*)\b",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"\b(?:probably|possibly|perhaps|maybe|might|may (?:be|have)|could be|i (?:think|believe|guess|suppose|assume)|"
    r"most likely|it is likely|(?:it )?(?:seems?|appears?)(?: to)?|presumably|not (?:entirely |quite |completely )?"
    r"(?:sure|certain)|unsure|uncertain|as far as i (?:know|can tell)|i would (?:say|guess)|if i remember)\b",
    re.IGNORECASE,
)
_OUTDATED = re.compile(
    r"\b(?:older|previous(?:ly)?|former(?:ly)?|used to|earlier|outdated|out of date|no longer|until|up from|"
    r"down from|before that|in the past|(?:an )?other (?:records?|systems?|sources?)|"
    r"another (?:record|system|source)|old (?:address|number|record|value|one|city|postcode|e-?mail|phone)|"
    r"disagree\w*)\b",
    re.IGNORECASE,
)
_POSSESSOR = re.compile(
    r"((?:[A-ZÀ-ÖØ-Þ][^\W\d_]+(?:-[A-ZÀ-ÖØ-Þ][^\W\d_]+)?\s+){0,2}[A-ZÀ-ÖØ-Þ][^\W\d_]+(?:-[A-ZÀ-ÖØ-Þ][^\W\d_]+)?)['’]s?(?=\s)"
)
_SUBJECT = re.compile(
    r"^\W*((?:[A-ZÀ-ÖØ-Þ][^\W\d_]+\s+){1,2}[A-ZÀ-ÖØ-Þ][^\W\d_]+)\s+(?:has|had|is|was|owes|lives|pays|paid|earns|holds)\b"
)
_FOR = re.compile(r"\b(?:for|of)\s+((?:[A-ZÀ-ÖØ-Þ][^\W\d_]+\s+){1,2}[A-ZÀ-ÖØ-Þ][^\W\d_]+)")
_ORDINAL_AT_END = re.compile(r"(?:^|\s)\d{1,2}\.$")
_NOT_WORD = re.compile(r"[\W_]+")
_PHONE = re.compile(r"(?<![\w.])[+(]{0,3}\d(?:[ ().\-/]{0,2}\d){6,17}(?![\w])")
_EMAIL = re.compile(r"[^\s<>()\[\],;]+@[^\s<>()\[\],;]+")
_SPOKEN_EMAIL = re.compile(
    r"\b([\w\-]+(?:(?: dot | underscore |\.)[\w\-]+)*) at ([\w\-]+(?:(?: dot |\.)[\w\-]+)+)\b", re.IGNORECASE
)
_CODE = re.compile(r"[^\s,;:!?()\"']+")
_SPACED_FIGURES = re.compile(r"(?<!\w)\d(?:[ \-]\d)+(?!\w)")
_NOT_DIGIT = re.compile(r"\D")


@dataclass(frozen=True)
class Clause:
    """A clause, as written and with figures for number words."""

    text: str
    today: date

    @cached_property
    def figures(self) -> str:
        return with_all_figures(self.text)

    @cached_property
    def negated(self) -> bool:
        return self.is_negated_beside("")

    def is_negated_beside(self, value: str) -> bool:
        """Whether it is negated by other words than those of a value: a reason may be "payment not received"."""
        text = self.text.casefold().replace(value.casefold(), " ") if value else self.text
        return _NEGATION.search(_HEDGE.sub(" ", text)) is not None

    @cached_property
    def hedged(self) -> bool:
        return _HEDGE.search(self.text) is not None

    @cached_property
    def outdated(self) -> bool:
        """Whether the clause says that its values are not the present ones."""
        return _OUTDATED.search(self.text) is not None

    @cached_property
    def dates(self) -> tuple[FoundDate, ...]:
        """Full and partial dates, in either order of day and month where both may be."""
        found = [*find_dates(TextScan(self.figures), False, self.today)]
        known = {(date.start, date.value) for date in found}
        found += [d for d in find_dates(TextScan(self.figures), True, self.today) if (d.start, d.value) not in known]
        return tuple(found)

    @cached_property
    def numbers(self) -> tuple[NumberMention, ...]:
        """Numbers that are not parts of a date; a year alone may be either."""
        taken = [(d.start, d.end) for d in self.dates if len(d.value) > 4]
        return tuple(n for n in find_numbers(self.figures) if not any(start <= n.start < end for start, end in taken))

    @cached_property
    def phones(self) -> frozenset[str]:
        """The digits of what may be telephone numbers."""
        return frozenset(_NOT_DIGIT.sub("", match[0]) for match in _PHONE.finditer(self.figures))

    @cached_property
    def emails(self) -> frozenset[str]:
        written = [match[0] for match in _EMAIL.finditer(self.text)]
        for match in _SPOKEN_EMAIL.finditer(self.text):
            local = match[1].replace(" dot ", ".").replace(" underscore ", "_")
            written.append(f"{local}@{match[2].replace(' dot ', '.')}")
        return frozenset(filter(None, (normalise_email(text.strip(".!?*_`")) for text in written)))

    @cached_property
    def codes(self) -> frozenset[str]:
        """Words without what is neither letter nor digit, and figures said one by one."""
        words = [_NOT_WORD.sub("", word).casefold() for word in _CODE.findall(self.figures)]
        words += [_NOT_DIGIT.sub("", match[0]) for match in _SPACED_FIGURES.finditer(self.figures)]
        return frozenset(words)

    @cached_property
    def words(self) -> str:
        """The words, folded, each with a blank before and behind."""
        return f" {plain_words(self.text)} "

    def owners(self) -> list[str]:
        """Names of people whose value this may be said to be: "Julian Hawthorne's", "James Carter has"."""
        found = [match[1] for match in _POSSESSOR.finditer(self.text)]
        found += [match[1] for pattern in (_SUBJECT, _FOR) for match in pattern.finditer(self.text)]
        return found


def plain_words(text: str) -> str:
    """Return `text` folded, its words joined by single blanks."""
    return " ".join(_NOT_WORD.sub(" ", fold(text)).split())


def clauses_of(text: str, today: date) -> list[Clause]:
    """The clauses of the sentences of `text`; beyond 8,000 characters nothing is read."""
    sentences = Sentences(_LONGEST_SENTENCE)
    text = text[:LONGEST_ANSWER]
    whole: list[str] = []
    for sentence in [*sentences.feed(text), sentences.rest()]:
        if whole and _ORDINAL_AT_END.search(whole[-1]):  # "am 14. März" is one sentence
            whole[-1] += f" {sentence.strip()}"
        else:
            whole.append(sentence.strip())
    return [Clause(part, today) for sentence in whole for part in _CLAUSE.split(sentence) if part.strip()]


def is_about_another(clause: Clause, own_names: frozenset[str]) -> bool:
    """Whether the clause says that its values are those of someone who is not the customer."""
    if not own_names:
        return False
    for name in clause.owners():
        first = words_of(name.split()[0])
        if not first or first & own_names:
            continue
        if first & GIVEN_NAMES or (len(name.split()) > 1 and not words_of(name) & own_names):
            return True
    return False
