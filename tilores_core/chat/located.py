"""A customer, found and known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tilores_core.chat.records import marked_weak
from tilores_core.contracts import Customer, CustomerOutcome

# Behind the fingerprint of one whom the search fits only poorly, in what an answer's key is made of.
WEAKLY: Final = "~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Whom the turn is about. `fingerprint` and `record_ids` are empty unless it is one customer.

    `overdue`: the records are older than the turn allows, as the source does not answer. `weak`: the search that
    found the customer fits only poorly, which the model is told and other searches for the same customer are not.
    `tier`: where that was known, `miss` when the source was asked.
    """

    outcome: CustomerOutcome
    fingerprint: str = ""
    record_ids: tuple[str, ...] = ()
    overdue: bool = False
    weak: bool = False
    tier: str = field(default="miss", compare=False)

    @property
    def told(self) -> str:
        """What stands in an answer's key for all that the model is told of the customer."""
        return f"{self.fingerprint}{WEAKLY}" if self.weak else self.fingerprint

    @property
    def tags(self) -> tuple[str, ...]:
        """What a cached answer about this customer can be deleted by: record ids survive merges and splits."""
        return customer_tags(self.outcome.customer_id, self.record_ids)


@dataclass(frozen=True, slots=True)
class Known:
    """A customer's records, also as the text that a model is given; it depends on nothing but the customer.

    `tokens`: about how many the text takes.
    """

    customer: Customer
    text: str
    tokens: int

    def told(self, located: Located) -> str:
        """The text for a turn that found the customer so."""
        return marked_weak(self.text) if located.weak else self.text


UNNAMED = Located(outcome=CustomerOutcome(kind="unnamed"))


def customer_tags(customer_id: str | None, record_ids: tuple[str, ...]) -> tuple[str, ...]:
    if customer_id is None:
        return ()
    return (f"customer:{customer_id}", *(f"record:{record_id}" for record_id in record_ids))
