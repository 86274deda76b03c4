"""The customer that a turn is about, and that customer's records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tilores_core.cache.keys import customer_tags
from tilores_core.chat.records import mark_weak
from tilores_core.contracts import Customer, CustomerOutcome

# Appended to the fingerprint in an answer's cache key when the match is weak.
WEAK_MATCH_SUFFIX: Final = "~"


@dataclass(frozen=True, slots=True)
class CustomerRecords:
    """A customer, and the records rendered as text for a model. The text depends on the customer only.

    `tokens`: an estimate for the text.
    """

    customer: Customer
    text: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerMatch:
    """The outcome of a customer look-up. `fingerprint` and `record_ids` are empty unless it is one customer.

    `overdue`: the records are older than the turn allows, because the source does not answer. `weak`: the search that
    found the customer has a low hit score; the model gets a warning, other searches for the same customer do not.
    `tier`: the cache tier that had it, `miss` when the source was asked. `records`: when they were loaded on the way.
    """

    outcome: CustomerOutcome
    fingerprint: str = ""
    record_ids: tuple[str, ...] = ()
    overdue: bool = False
    weak: bool = False
    tier: str = field(default="miss", compare=False)
    records: CustomerRecords | None = field(default=None, compare=False)

    @property
    def unclear(self) -> bool:
        """Whether a customer was asked for and it is not known which: none fits, or several do."""
        return self.outcome.kind in ("none", "several")

    @property
    def cache_key_part(self) -> str:
        """The customer's part of an answer's cache key."""
        return f"{self.fingerprint}{WEAK_MATCH_SUFFIX}" if self.weak else self.fingerprint

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of cached answers about this customer. Record ids survive merges and splits."""
        return customer_tags(self.outcome.customer_id, self.record_ids)

    @property
    def records_text(self) -> str | None:
        """The records as the model gets them, with a warning when the match is weak; None without records."""
        if self.records is None:
            return None
        return mark_weak(self.records.text) if self.weak else self.records.text


NO_CUSTOMER = CustomerMatch(outcome=CustomerOutcome(kind="unnamed"))
