"""Step one of the request path: which customer a question is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilores_core.chat.customer.choices import clarification, several
from tilores_core.chat.customer.conversation import Conversation
from tilores_core.chat.customer.search import Search
from tilores_core.contracts import Customer, CustomerOutcome, CustomerSource, Identifiers, Message

__all__ = ["CustomerFinder", "Resolution", "clarification"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Who it is; `customer` is set when it is one."""

    outcome: CustomerOutcome
    customer: Customer | None = None


class CustomerFinder:
    """Finds the customer of a question. `region` (ISO 3166) is where phone numbers without a country code belong."""

    def __init__(self, source: CustomerSource, region: str) -> None:
        self._source = source
        self._region = region

    async def resolve(self, messages: Sequence[Message], customer_id: str | None, *, spectrum: str) -> Resolution:
        """Whom the question is about: `customer_id` when given, else whom the user's messages name, latest first.

        `spectrum` is that of the question. Raises what the source raises (`SourceError`).
        """
        if customer_id is not None:
            customer = await self._source.get(customer_id)
            return _resolution((customer,) if customer is not None else ())
        spoken = Conversation(messages, source=self._source, region=self._region)
        hits = await Search(self._source, spoken, spectrum).before(len(spoken))
        if hits is None:
            return Resolution(outcome=CustomerOutcome(kind="unnamed"))
        return _resolution(hits.customers)

    async def identified(self, identifiers: Identifiers) -> Resolution:
        """Whom the identifiers fit, all of them. Raises what the source raises (`SourceError`)."""
        return _resolution(tuple(await self._source.find(identifiers)))


def _resolution(customers: tuple[Customer, ...]) -> Resolution:
    if not customers:
        return Resolution(outcome=CustomerOutcome(kind="none"))
    if len(customers) > 1:
        return Resolution(outcome=several(customers))
    return Resolution(outcome=CustomerOutcome(kind="one", customer_id=customers[0].id), customer=customers[0])
