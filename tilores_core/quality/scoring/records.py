"""A customer's records, indexed once so that many answers about the customer can be scored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from tilores_core.chat.grounding.amounts import Claim
from tilores_core.chat.grounding.claims import claims
from tilores_core.chat.grounding.evidence import Evidence, evidence_of
from tilores_core.chat.grounding.literal import stands_literally
from tilores_core.chat.grounding.names import strange_words, words_of
from tilores_core.chat.records import render
from tilores_core.contracts import Customer
from tilores_core.quality.scoring.clauses import LONGEST_ANSWER
from tilores_core.quality.scoring.numbers import with_all_figures

_NAME_FIELD = re.compile(
    r"(?:(?:first|last|middle|maiden|preferred|full|given|family)_?name|name|surname|forename|nickname|alias(?:es)?)",
    re.IGNORECASE,
)
_IDENTIFYING = frozenset({"email", "phone", "account"})


@dataclass(frozen=True)
class IndexedRecords:
    """What can be looked up in the records of one customer, for `report_answer` and `score_live`.

    `customer` None: none was identified. Ages and spans of years are counted until the records' newest date, so that
    scores do not depend on the day on which they are computed.
    """

    customer: Customer | None

    @cached_property
    def text(self) -> str:
        """The records as a model gets them."""
        return "" if self.customer is None else render(self.customer)

    @cached_property
    def evidence(self) -> Evidence:
        """Every value of the records, in each spelling that bears a claim out."""
        return evidence_of(self.text, () if self.customer is None else (self.customer,))

    @property
    def _fields(self) -> Iterator[tuple[str, Any]]:
        for record in self.customer.records if self.customer is not None else ():
            yield from record.fields.items()

    @cached_property
    def own_names(self) -> frozenset[str]:
        """The words of the customer's own names, folded."""
        names = [str(value) for field, value in self._fields if _NAME_FIELD.fullmatch(field)]
        return words_of(" ".join([(self.customer and self.customer.name) or "", *names]))

    @cached_property
    def field_words(self) -> frozenset[frozenset[str]]:
        """The words of each field's name, folded."""
        return frozenset(_words_of_field(field) for field, _ in self._fields)

    def quotes(self, text: str) -> bool:
        """Whether all that `text` may state stands in the records as it is written, which takes a fraction of the
        time of `strange_values` to find. False says nothing."""
        text = with_all_figures(text[:LONGEST_ANSWER])
        return self.customer is not None and stands_literally(text, [self.text])

    def strange_values(self, text: str, question: str) -> tuple[int, int]:
        """How many values `text` states, and how many of them neither the records nor the question bear out.

        Without a customer only e-mail addresses, phone and account numbers are looked at: the rest is general
        knowledge.
        """
        said = evidence_of(question[:LONGEST_ANSWER])
        words = self.evidence.words | said.words
        text = with_all_figures(text[:LONGEST_ANSWER])
        stated = claims(text, words)
        if self.customer is None:
            stated = [claim for claim in stated if claim.kind in _IDENTIFYING]
        elif stated and stands_literally(text, [self.text]):
            return len(stated), 0
        return len(stated), sum(not self._is_borne_out(claim, said, words) for claim in stated)

    def _is_borne_out(self, claim: Claim, said: Evidence, words: frozenset[str]) -> bool:
        if claim.kind == "name":
            return not strange_words(claim.text, words)
        return self.evidence.bears_out(claim) or said.bears_out(claim)


@lru_cache(4096)
def _words_of_field(name: str) -> frozenset[str]:
    return words_of(name.replace("_", " "))
