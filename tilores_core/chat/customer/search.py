"""Whom a conversation speaks of: the latest message that names somebody decides, the rest of it refines.

A name that fits nobody never falls back to a customer spoken of before: that would answer about the wrong person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import groupby

from tilores_core.chat.customer.choices import narrow
from tilores_core.chat.customer.conversation import Conversation
from tilores_core.chat.customer.mention import Mention, Rank, Strength
from tilores_core.contracts import Customer, CustomerSource, Identifiers
from tilores_core.identity import name_fits, normalise_name
from tilores_core.spectrums import GENERAL, classify

LIMIT = 10
_MOST_NAMES = 4  # looked up of one kind in one message
_MOST_FAINT = 20  # look-ups of faint mentions in one search
_MOST_DATES = 3


@dataclass(frozen=True, slots=True)
class Hits:
    """Who fits what was said. Empty: somebody was named whom nobody fits. Not `complete`: there may be more."""

    customers: tuple[Customer, ...] = ()
    complete: bool = True


class Miss(Enum):
    """Why a message decides nothing: it names nobody, or it asks about something other than customers."""

    NOBODY = "nobody"
    GENERAL = "general"


class Search:
    """One question's search. Asks the source nothing twice."""

    def __init__(self, source: CustomerSource, spoken: Conversation, spectrum: str) -> None:
        self._source = source
        self._spoken = spoken
        self._spectrum = spectrum
        self._asked: dict[Identifiers, tuple[Customer, ...]] = {}
        self._known: dict[int, Hits | None] = {}
        self._faint = 0

    async def before(self, end: int) -> Hits | None:
        """Whom the messages before `end` speak of, None when they name nobody."""
        if end not in self._known:
            self._known[end] = await self._latest(end)
        return self._known[end]

    async def _latest(self, end: int) -> Hits | None:
        for i in reversed(range(end)):
            if not self._spoken.mentions(i).found:
                continue
            found = await self._in_message(i, end)
            if isinstance(found, Hits):
                return found
            if found is Miss.GENERAL:
                return None
        return None

    # --- one message -------------------------------------------------------------------------------------

    async def _in_message(self, i: int, end: int) -> Hits | Miss:
        missed: list[Mention] = []
        found = self._spoken.mentions(i).found
        for (strength, rank, _), group in groupby(found, key=lambda m: (m.strength, m.rank, m.kind)):
            if strength is Strength.FAINT and missed:
                break
            alike = list(group)[:_MOST_NAMES]
            hits = await self._alike(alike, i, end)
            if hits.customers:
                return await self._narrowed(hits, alike, i, end)
            if strength is Strength.STRONG and rank is not Rank.SPEAKER:
                return hits
            if strength is not Strength.FAINT:
                missed += alike
        return await self._missed(missed, i) if missed else Miss.NOBODY

    async def _missed(self, missed: Sequence[Mention], i: int) -> Hits | Miss:
        """What it means that nobody fits the weak mentions of a message, or the name of who speaks."""
        earlier = await self.before(i)
        if earlier is not None and len(earlier.customers) > 1 and earlier.complete:
            meant = narrow(earlier.customers, [self._spoken.said(i)])  # the answer to "which one?"
            if len(meant) < len(earlier.customers):
                return Hits(tuple(meant))
        mentions = self._spoken.mentions(i)
        if any(m.strength is Strength.STRONG or m.alone for m in missed) or mentions.date_of_birth:
            return Hits()
        if mentions.refers_back and earlier is not None:
            return Miss.NOBODY
        latest = i == len(self._spoken) - 1
        if (self._spectrum if latest else classify(self._spoken.text(i))) != GENERAL:
            return Hits()
        if latest:
            return Miss.GENERAL
        return Hits() if any(m.person for m in missed) else Miss.NOBODY

    async def _alike(self, mentions: Sequence[Mention], i: int, end: int) -> Hits:
        customers: dict[str, Customer] = {}
        complete = True
        for mention in mentions:
            if mention.strength is Strength.FAINT:
                self._faint += 1
                if self._faint > _MOST_FAINT:
                    break
            hits = await self._one(mention, i, end)
            customers.update((customer.id, customer) for customer in hits.customers)
            complete = complete and hits.complete
        return Hits(tuple(customers.values()), complete)

    async def _one(self, mention: Mention, i: int, end: int) -> Hits:
        if mention.name is not None and mention.partial:
            earlier = await self.before(i)
            fitting = [c for c in earlier.customers if _fits(mention.name, c)] if earlier else []
            if fitting:
                return Hits(tuple(fitting))
        for who in self._readings(mention, i, end):
            if customers := await self._ask(who):
                return Hits(customers, len(customers) < LIMIT)
        return Hits()

    async def _ask(self, who: Identifiers) -> tuple[Customer, ...]:
        if who not in self._asked:
            if who.customer_id is not None:
                customer = await self._source.get(who.customer_id)
                self._asked[who] = (customer,) if customer is not None else ()
            else:
                self._asked[who] = tuple(await self._source.find(who, limit=LIMIT))
        return self._asked[who]

    # --- several -----------------------------------------------------------------------------------------

    async def _narrowed(self, hits: Hits, mentions: Sequence[Mention], i: int, end: int) -> Hits:
        if len(hits.customers) < 2:
            return hits
        said_from, since = self._reach(mentions[0], i)
        hits = await self._by_more(hits, mentions[0], i, range(said_from, end))
        if len(hits.customers) > 1 and hits.complete:
            said = [self._spoken.said(j) for j in range(said_from, end)]
            hits = Hits(tuple(narrow(hits.customers, said)))
        if len(hits.customers) > 1:
            earlier = await self.before(since)
            ids = {customer.id for customer in earlier.customers} if earlier is not None else set()
            both = tuple(customer for customer in hits.customers if customer.id in ids)
            return Hits(both, hits.complete) if both else hits
        return hits

    async def _by_more(self, hits: Hits, mention: Mention, i: int, reach: range) -> Hits:
        """Ask again with the name beside a shared phone number, and with dates that may be the date of birth."""
        who = mention.readings[0]
        more: list[Identifiers] = []
        if mention.kind in ("email", "phone"):
            found = self._spoken.mentions(i).found
            more += [replace(who, name=m.name) for m in found if m.kind == "name" and not m.partial]
        if mention.kind != "customer_id":
            dates = [d for j in reversed(reach) for d in self._spoken.mentions(j).dates][:_MOST_DATES]
            more += [replace(who, date_of_birth=date) for date in dates]
        among = {customer.id for customer in hits.customers}
        for narrower in more[: _MOST_NAMES + _MOST_DATES]:
            customers = await self._ask(narrower)
            if customers and (not hits.complete or among.issuperset(c.id for c in customers)):
                return Hits(customers, len(customers) < LIMIT)
        return hits

    # --- how far what was said of a name reaches ---------------------------------------------------------

    def _reach(self, mention: Mention, i: int) -> tuple[int, int]:
        """The first message that speaks of the name alone, and the one behind the last that names another."""
        said_from, j = i, i
        while j > 0:
            others = [m for m in self._spoken.mentions(j - 1).found if m.strength is not Strength.FAINT]
            if others and not all(_same(mention, other) for other in others):
                break
            j -= 1
            if others:
                said_from = j
        return said_from, j

    def _readings(self, mention: Mention, i: int, end: int) -> tuple[Identifiers, ...]:
        """The mention's readings, a name's with the date of birth that was said of it."""
        who = mention.readings[0]
        if mention.kind != "name" or who.date_of_birth is not None:
            return mention.readings
        dated = {j: date for j in range(end) if (date := self._spoken.date_of_birth(j)) is not None}
        if not dated:
            return mention.readings
        said_from, since = self._reach(mention, i)
        j = max((j for j in dated if j >= since), default=None)
        if j is None:
            return mention.readings
        born = replace(who, date_of_birth=dated[j])
        # Said between two names, a date may be that of the one before.
        return (born, who) if since > 0 and j < said_from else (born,)


def _same(mention: Mention, other: Mention) -> bool:
    if mention.name is None or other.name is None:
        return mention.readings == other.readings
    return normalise_name(mention.name) == normalise_name(other.name) or (
        (mention.partial or other.partial) and _part_of(mention.name, other.name)
    )


def _fits(name: str, customer: Customer) -> bool:
    return customer.name is not None and name_fits(name, [customer.name])


def _part_of(one: str, other: str) -> bool:
    return name_fits(one, [other]) or name_fits(other, [one])
