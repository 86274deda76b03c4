"""Step one of the request path: which customer a question is about.

Reads the messages, asks the source for what `resolution` needs, and hands the decision on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import Final, Generic, TypeVar

from tilores_core import identity
from tilores_core.chat.customer.choices import clarification, several, to_confirm
from tilores_core.chat.customer.extraction import Reading, extract
from tilores_core.chat.customer.name_parts import has_longer_name, is_turned_round
from tilores_core.chat.customer.narrowing import says_nothing
from tilores_core.chat.customer.resolution import Resolver
from tilores_core.chat.customer.state import UNNAMED, Candidates, State
from tilores_core.chat.customer.words import word_set
from tilores_core.chat.messages import text_of
from tilores_core.contracts import (
    Customer,
    CustomerExtractor,
    CustomerOutcome,
    CustomerSource,
    Evidence,
    Identifiers,
    Message,
    Strength,
    SupportsMentions,
)
from tilores_core.identity import Locale, name_fits, normalise_email, normalise_phone
from tilores_core.identity.names import fold
from tilores_core.spectrums import classify

__all__ = ["CustomerFinder", "Resolution", "clarification"]

_BESIDE = word_set("to from with by at via through an mit bei à avec con met")
_WORD = re.compile(r"[^\W_]+")
LIMIT = 10
"""Customers asked of the source at first."""
MOST_NAMESAKES = 200
"""Customers of one name that are told apart; of more none is chosen by a trait."""
_MOST_MESSAGES = 40
_MOST_LOOKUPS = 320
_MOST_ABSENT = 4096  # identifiers remembered
_MOST_READINGS = 512
_LONGEST_KEPT = 16_000  # characters of a reading that is kept
_MOST_BEGINNINGS = 256
_LONGEST_BEGINNING = 4_000  # characters
_Said = tuple[tuple[str, str], ...]  # messages of the user, each with what the assistant had said just before
_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Who it is; `customer` is set when it is one. `reason` says why it is not, for logs and tests."""

    outcome: CustomerOutcome
    customer: Customer | None = None
    reason: str = ""


class _Expiring(Generic[_K, _V]):
    """At most `size` values, each with the time until which it holds; the oldest makes room. A tenth of the work of a
    `TTLCache`."""

    def __init__(self, size: int, clock: Callable[[], float]) -> None:
        self._size = size
        self._clock = clock
        self._entries: dict[_K, tuple[float, _V]] = {}
        self.clear = self._entries.clear

    def get(self, key: _K) -> tuple[float, _V] | None:
        entry = self._entries.get(key)
        return entry if entry is not None and entry[0] > self._clock() else None

    def put(self, key: _K, value: _V, until: float) -> None:
        self._entries[key] = (until, value)
        if len(self._entries) > self._size:
            del self._entries[next(iter(self._entries))]

    def __contains__(self, key: object) -> bool:
        return self.get(key) is not None  # type: ignore[arg-type]  # as of any container


@cache
def _rules() -> str:
    """A digest of the modules and word lists that decide who is meant: what others found is looked for again."""
    digest = blake2b(digest_size=8)
    for package in (Path(__file__).parent, Path(identity.__file__).parent):
        for path in sorted(package.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(path.read_bytes())
    return digest.hexdigest()


class CustomerFinder:
    """Finds the customer of a question.

    `region` (ISO 3166) and `day_first` are those of a `Locale`. `extractor`, with its registered name, reads the
    messages instead of the built-in extraction; its result passes the same rule.
    """

    def __init__(
        self,
        source: CustomerSource,
        region: str,
        extractor: tuple[str, CustomerExtractor] | None = None,
        *,
        day_first: bool | None = None,
        negative_seconds: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`negative_seconds`: how long the source is not asked again for what no customer of it fits."""
        self._source = source
        self._region = region
        name = extractor[0] if extractor else ""
        self._extractor = extractor[1] if extractor else None
        self._clock = clock
        self._negative_seconds = negative_seconds
        self._absent: _Expiring[Identifiers, None] = _Expiring(_MOST_ABSENT, clock)
        self.mark = f"{region}/{day_first}/{_rules()}{name}"
        """Changes when the same conversation may come to another customer: part of the cache key."""
        mentions = source.mentions if isinstance(source, SupportsMentions) else None
        self._new_reading: Callable[[str, str], Reading] = partial(
            extract, region=region, day_first=Locale.of(region, day_first).day_first, mentions=mentions
        )
        # The messages before the last one were mostly read when they were the last.
        self._kept_reading = lru_cache(maxsize=_MOST_READINGS)(self._new_reading)
        # Where conversations without a customer stand, until the source is asked again for what it had to lack.
        self._beginnings: _Expiring[_Said, State] = _Expiring(_MOST_BEGINNINGS, clock)

    def read(
        self, messages: Sequence[Message], *, spectrum: str, renew: bool = False
    ) -> Resolution | Resolver | None:
        """What the user's messages tell without the source, else how far that goes; `resolve` goes on from there.
        None when a plugin's extractor has to read them. `renew`: as for `resolve`."""
        if self._extractor is not None:
            return None
        said = _pair_with_question(messages)
        if not said:
            return _UNNAMED
        if renew:
            self.forget_absent()
        beginning = said[:-1]
        until, before = self._beginnings.get(beginning) or (self._clock() + self._negative_seconds, None)
        if (before or not beginning) and says_nothing(self._read(*said[-1])):  # which is most questions
            state = before or UNNAMED
            self._keep(said, state, until)
            return _UNNAMED if state is UNNAMED else _of(state)
        resolver = self._begin(_Lazily(self._read, said), said, spectrum, before)
        found = resolver.resolve()
        if found is None:
            return resolver
        for turns in (beginning, said):  # the second is the next turn's
            if (known := resolver.without_customers(len(turns) - 1)) is not None:
                state, absent = known
                lacking = [self._absent.get(who) for who in absent]
                self._keep(turns, state, min([until, *(entry[0] if entry else 0.0 for entry in lacking)]))
        return _of(found)

    def _read(self, text: str, asked: str) -> Reading:
        kept = len(text) + len(asked) <= _LONGEST_KEPT
        return self._kept_reading(text, asked) if kept else self._new_reading(text, asked)

    def _keep(self, said: _Said, state: State, until: float) -> None:
        if sum([len(text) + len(asked) for text, asked in said]) <= _LONGEST_BEGINNING:
            self._beginnings.put(said, state, until)

    async def resolve(
        self,
        messages: Sequence[Message],
        customer_id: str | None,
        *,
        spectrum: str,
        begun: Resolver | None = None,
        renew: bool = False,
    ) -> Resolution:
        """Which customer the question is about: `customer_id` when given, else the one that the user's messages name.

        `spectrum` is that of the question; `begun` is from `read`, for one call; `renew` asks the source for what it
        is known not to have, too. Raises what the source raises (`SourceError`).
        """
        if customer_id is not None:
            customer = await self._source.get(customer_id)
            return _resolution((customer,) if customer is not None else ())
        if renew:
            self.forget_absent()
        resolver = begun
        if resolver is None:
            said = _pair_with_question(messages)
            if not said:
                return _UNNAMED
            readings: Sequence[Reading] = _Lazily(self._read, said)
            if self._extractor is not None:
                readings = [await self._by_plugin(self._extractor, text, asked) for text, asked in said]
            resolver = self._begin(readings, said, spectrum)
        for _ in range(_MOST_LOOKUPS):
            if resolver.needed is not None:
                await self._look_up(resolver.needed, resolver.candidates)
            state = resolver.resolve()
            if state is not None:
                return _of(state)
        return _of(State("none", reason="unread"))

    def _begin(
        self, readings: Sequence[Reading], said: Sequence[tuple[str, str]], spectrum: str, before: State | None = None
    ) -> Resolver:
        last = len(said) - 1

        def spectrum_of(i: int) -> str:
            return spectrum if i == last else classify(said[i][0])

        candidates = Candidates(self._absent)
        return Resolver(readings, candidates, spectrum=spectrum_of, region=self._region, before=before)

    def forget_absent(self) -> None:
        """Ask the source again for what no customer fitted."""
        self._absent.clear()
        self._beginnings.clear()

    def names_another(self, messages: Sequence[Message], customer: Customer, records: str) -> bool:
        """Whether the last message of the user asks about another person than the `customer` that the request names:
        by a full name or an id that neither is the customer's nor stands in the `records` (as text)."""
        said = _pair_with_question(messages)
        if not said:
            return False
        reading = self._read(*said[-1])
        asked = [e for e in reading.found if e.kind in ("name", "customer_id") and _is_subject(e, reading)]
        known: frozenset[str] = frozenset()
        for item in asked:
            values = (item.value, *item.alternatives)
            if item.kind == "name" and customer.name and any(name_fits(value, [customer.name]) for value in values):
                return False
            known = known or frozenset(_WORD.findall(fold(f"{customer.id} {records}")))
            if any(known.issuperset(_WORD.findall(fold(value))) for value in values):
                return False
        return bool(asked)

    async def identify(self, identifiers: Identifiers) -> Resolution:
        """The customer that the identifiers fit, all of them; a name as in a message. Raises what the source raises
        (`SourceError`)."""
        found = tuple(await self._source.find(identifiers))
        name = identifiers.name
        if name and not (identifiers.customer_id or identifiers.date_of_birth):
            contact = replace(identifiers, name=None)
            if not contact or len(await self._source.find(contact)) > 1:
                found = tuple(c for c in found if not (has_longer_name(c, name) or is_turned_round(c, name)))
        return _resolution(found)

    async def _look_up(self, who: Identifiers, candidates: Candidates) -> None:
        found: Sequence[Customer]
        if who == Identifiers(customer_id=who.customer_id):
            customer = await self._source.get(str(who.customer_id))
            found = () if customer is None else (customer,)
        else:
            found = await self._source.find(who, limit=LIMIT)
            if len(found) >= LIMIT:
                found = await self._source.find(who, limit=MOST_NAMESAKES)
        if not found:
            self._absent.put(who, None, self._clock() + self._negative_seconds)
        candidates.add(who, found, complete=len(found) < MOST_NAMESAKES)

    async def _by_plugin(self, extractor: CustomerExtractor, text: str, asked: str) -> Reading:
        """What a plugin reads; what it could not bring into the form of its kind counts as said but not read."""
        own = self._read(text, asked)
        try:
            found = await extractor.extract(text, region=self._region)
        except Exception:
            return own
        return replace(own, evidence=tuple(_check(item, self._region) for item in found))


def _is_subject(item: Evidence, reading: Reading) -> bool:
    """Whether a message is about what it identifies, and not about something sent there, paid to or had with."""
    if item.partial or item.speaker or item.polarity not in ("asserted", "corrected") or reading.refers_back:
        return False
    before = reading.text[: item.start].rsplit(None, 1)[-1:]
    beside = bool(before) and before[0].lower() in _BESIDE
    return not beside and item.strength >= (Strength.WEAK if item.kind == "name" else Strength.STRONG)


class _Lazily(Sequence[Reading]):
    """The readings of messages, each made when it is first asked for."""

    def __init__(self, read: Callable[[str, str], Reading], said: Sequence[tuple[str, str]]) -> None:
        self._read = read
        self._said = said
        self._readings: list[Reading | None] = [None] * len(said)

    def __len__(self) -> int:
        return len(self._said)

    def __getitem__(self, i: int) -> Reading:  # type: ignore[override]  # slices are not asked for
        reading = self._readings[i]
        if reading is None:
            reading = self._readings[i] = self._read(*self._said[i])
        return reading


def _pair_with_question(messages: Sequence[Message]) -> _Said:
    """The last messages of the user, each with what the assistant had said just before."""
    asked = ""
    said: list[tuple[str, str]] = []
    for message in messages:
        role = message.get("role")
        if role == "user":
            said.append((text_of(message), asked))
            asked = ""
        elif role == "assistant":
            asked = text_of(message)
    return tuple(said[-_MOST_MESSAGES:])


def _check(item: Evidence, region: str) -> Evidence:
    value: str | None = item.value
    if item.kind == "email":
        value = normalise_email(item.value)
    elif item.kind == "phone" and not item.partial:
        value = normalise_phone(item.value, region)
    if value:
        return item if value == item.value else replace(item, value=value)
    return replace(item, kind="date_of_birth", value="") if item.value else item


def _of(state: State) -> Resolution:
    kind = state.outcome or state.kind
    if kind == "one":
        return replace(_resolution(state.customers), reason=state.reason)
    if kind == "several":
        asked = several(state.customers) if state.customers else to_confirm(state.pool[0])
        return Resolution(outcome=asked, reason=state.reason)
    return Resolution(outcome=CustomerOutcome(kind=kind), reason=state.reason)


_UNNAMED: Final = _of(UNNAMED)


def _resolution(customers: tuple[Customer, ...]) -> Resolution:
    if not customers:
        return Resolution(outcome=CustomerOutcome(kind="none"))
    if len(customers) > 1:
        return Resolution(outcome=several(customers))
    return Resolution(outcome=CustomerOutcome(kind="one", customer_id=customers[0].id), customer=customers[0])
