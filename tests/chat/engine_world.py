"""The chat engine with its real parts, over customers in memory, a scripted model and a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from tilores_core.cache.tiered import Hit, TieredCache
from tilores_core.chat.customer.finder import CustomerFinder
from tilores_core.chat.customer_lookup import CustomerLookup
from tilores_core.chat.engine import ChatEngine
from tilores_core.chat.models import Models
from tilores_core.chat.prompts import BUILTIN
from tilores_core.chat.reporter import OutcomeReporter
from tilores_core.chat.turn_context import KeyMemo, TurnContext
from tilores_core.contracts import (
    Answer,
    CacheTier,
    Caller,
    Customer,
    Delta,
    FieldInfo,
    Identifiers,
    LLMProvider,
    Message,
    ModelInfo,
    Observer,
    Outcome,
    PromptChoice,
    PromptSource,
    Record,
    SourceSchema,
    Turn,
)
from tilores_core.errors import SourceUnavailableError
from tilores_core.identity import Locale, name_fits
from tilores_core.settings import CacheTable, ChatTable, RoutingTable
from tilores_core.settings.config import NamespaceTable
from tilores_core.testing import FakeProvider
from tilores_core.testing.tiers import SharedStore, SharedTier
from tilores_core.testing.waiting import Clock, settle
from tilores_plugins.cache.memory import MemoryTier

MODEL = "fake:fake-1"
PRICED = ModelInfo(id="fake-1", input_price=2.0, output_price=10.0)
ONE_CALL_EACH = RoutingTable(attempts=1, breaker_failures=1000)
"""So that what a test enqueues is what its turns get; how a model is asked again has tests of its own."""
MAY_NOT_SEARCH = Caller(name="phone", search=False)


def customer(customer_id: str, name: str, mark: str, *, born: str = "", city: str = "", **fields: Any) -> Customer:
    """A customer with `mark` in two records: if it is seen anywhere, this customer's data were."""
    told = {"credit_score": mark, "date_of_birth": born, "city": city, **fields}
    return Customer(
        id=customer_id,
        name=name,
        records=(
            Record(id=f"r1-{customer_id}", system="crm", fields={k: v for k, v in told.items() if v}),
            Record(id=f"r2-{customer_id}", system="billing", fields={"note": f"{mark}-billing"}),
        ),
        traits={label: value for label, value in (("born", born), ("city", city)) if value},
    )


EDWINA = customer("EDW_HAWTHORNE_001", "Edwina Hawthorne", "mark-edwina", born="1962-04-12", city="Manchester")
ROBIN = customer("C-2001", "Robin Ashdown", "mark-robin", born="1988-08-08", city="Dublin")
JOHN_1 = customer("C-1001", "John Smith", "mark-john-one", born="1980-03-04", city="Leeds")
JOHN_2 = customer("C-1002", "John Smith", "mark-john-two", born="1975-11-20", city="York")
PEOPLE = (EDWINA, ROBIN, JOHN_1, JOHN_2)

ABOUT_EDWINA = "What is Edwina Hawthorne's credit score?"


class OnePrompt:
    """A `PromptSource`: the turn's own prompt, else the built-in one."""

    varies = False

    def choose(self, turn: Turn, model: str) -> PromptChoice:
        return PromptChoice(turn.prompt or BUILTIN)


class Crm:
    """A customer source in memory that counts what it is asked and can be made slow or fail."""

    def __init__(self, people: Sequence[Customer] = PEOPLE) -> None:
        self.people = {person.id: person for person in people}
        self.calls: list[str] = []
        self.down = False
        self.gate: asyncio.Event | None = None
        self.fields: tuple[str, ...] = ("credit_score", "city")

    async def get(self, customer_id: str) -> Customer | None:
        await self._asked(f"get {customer_id}")
        return self.people.get(customer_id)

    async def find(self, identifiers: Identifiers, *, limit: int = 10) -> Sequence[Customer]:
        await self._asked(f"find {identifiers.name}")
        return [person for person in self.people.values() if _fits(person, identifiers)][:limit]

    async def schema(self) -> SourceSchema:
        return SourceSchema(fields=tuple(FieldInfo(name=name) for name in self.fields), hash="-".join(self.fields))

    async def aclose(self) -> None:
        return None

    def change(self, customer_id: str, mark: str) -> None:
        """The customer's records say something else from now on."""
        person = self.people[customer_id]
        fields = {**person.records[0].fields, "credit_score": mark}
        self.people[customer_id] = replace(
            person, records=(replace(person.records[0], fields=fields), *person.records[1:])
        )

    async def _asked(self, what: str) -> None:
        self.calls.append(what)
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise SourceUnavailableError("the test's source is down", fix="wait")


def _fits(person: Customer, who: Identifiers) -> bool:
    born = person.records[0].fields.get("date_of_birth")
    return (
        (who.customer_id is None or who.customer_id == person.id)
        and who.email is None
        and who.phone is None
        and (who.date_of_birth is None or who.date_of_birth == born)
        and (who.name is None or (len(who.name.split()) > 1 and name_fits(who.name, [person.name or ""])))
    )


class World:
    """One replica. `store`: an L2 that several worlds share; they then share `crm` and `clock` too.

    `routing`: `[routing]` settings; `life`: `[cache]` settings; without a word about it lives have no jitter, so that
    the clock decides alone.
    """

    def __init__(
        self,
        *,
        provider: FakeProvider | None = None,
        providers: Mapping[str, LLMProvider] | None = None,
        model: str = MODEL,
        fallbacks: Sequence[str] = (),
        crm: Crm | None = None,
        clock: Clock | None = None,
        store: SharedStore | None = None,
        memory: bool = True,
        prompts: PromptSource | None = None,
        observers: Sequence[Observer] | None = None,
        source_seconds: float = 5.0,
        entries: int = 10_000,
        routing: RoutingTable = ONE_CALL_EACH,
        chat: ChatTable | None = None,
        **life: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.crm = crm or Crm()
        self.provider = provider or FakeProvider(infos=(PRICED,))
        self.outcomes: list[Outcome] = []
        table = CacheTable(**{"jitter": 0.0, **life})
        tiers: list[tuple[str, CacheTier]] = []
        if memory:
            tiers.append(("memory", MemoryTier(max_entries=entries, ttl_seconds=1e9, clock=self.clock)))
        if store is not None:
            self.shared = SharedTier(store)
            tiers.append(("shared", self.shared))
        self.cache = TieredCache(tiers, table=table, clock=self.clock)
        self.models = Models(
            providers or {self.provider.name: self.provider}, default=model, fallbacks=tuple(fallbacks)
        )
        self.lookup = CustomerLookup(
            source=self.crm,
            name="crm",
            finder=CustomerFinder(self.crm, "GB"),
            cache=self.cache,
            table=table,
            locale=Locale.of("GB"),
            seconds=source_seconds,
            clock=self.clock,
        )
        self.reporter = OutcomeReporter([self._note] if observers is None else observers)
        self.engine = ChatEngine(
            customers=self.lookup,
            models=self.models,
            prompts=prompts or OnePrompt(),
            cache=self.cache,
            table=table,
            reporter=self.reporter,
            routing=routing,
            chat=chat,
            clock=self.clock,
        )

    async def __aenter__(self) -> Self:
        await self.cache.start()
        self.reporter.start()
        await self.lookup.refresh_schema()
        await settle()  # a listener that has just begun trusts nothing that was stored before
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.aclose()
        await self.cache.aclose()

    async def _note(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    # --- asking

    async def ask(self, *said: str, **turn: Any) -> Answer:
        return await self.engine.answer(question(*said, **turn))

    async def listen(self, *said: str, **turn: Any) -> tuple[list[Delta], Answer]:
        """A whole stream: the pieces, then the answer, which must come last and once."""
        return await collect(self.engine, question(*said, **turn))

    def context(self, turn: Turn, memo: KeyMemo | None = None) -> TurnContext:
        return self.engine.begin(turn, memo)

    def key(self, turn: Turn, memo: KeyMemo | None = None) -> str | None:
        """The key of the turn's answer, if memory alone leads to it."""
        context = self.context(turn, memo)
        key = self.engine._answers.find_key(context)
        known = key is not None and (context.missing_key is None or self.cache.get_from_memory(key) is not None)
        return key if known else None

    def peek(self, turn: Turn, key: str) -> Hit | None:
        """What memory holds under the key, if the turn may have it, fresh."""
        hit = self.cache.get_from_memory(key)
        return hit if hit is not None and self.engine._answers.is_good(self.engine.begin(turn), hit) else None

    def key_part(self, turn: Turn) -> str | None:
        """The customer's part of it."""
        context = self.context(turn)
        part = self.lookup.find_key_part(context)
        return part if context.missing_key is None else None

    async def find_stored(self, turn: Turn, memo: KeyMemo) -> tuple[str, Hit] | None:
        """The key and the entry of a fresh answer in memory or in a shared tier."""
        answers, context = self.engine._answers, self.context(turn, memo)
        hit = answers.get_from_memory(context) or await answers.get_from_tiers(context)
        return None if hit is None else (str(answers.find_key(context)), hit)

    @property
    def calls(self) -> int:
        """How often a model was asked."""
        return len(self.provider.asked)


async def collect(engine: ChatEngine, turn: Turn) -> tuple[list[Delta], Answer]:
    items = [item async for item in engine.stream(turn)]
    pieces, last = [item for item in items[:-1] if isinstance(item, Delta)], items[-1]
    assert isinstance(last, Answer)
    assert len(pieces) == len(items) - 1, "only the last item is the answer"
    return pieces, last


def question(*said: str, **turn: Any) -> Turn:
    """What the user said, with an assistant that answers "Certainly." in between."""
    messages: list[Message] = []
    for text in said or (ABOUT_EDWINA,):
        if messages:
            messages.append({"role": "assistant", "content": "Certainly."})
        messages.append({"role": "user", "content": text})
    return Turn(**{"messages": tuple(messages), **turn})


def table(ttl: float, *, stale: float = 0.0, negative: float = 15.0) -> NamespaceTable:
    return NamespaceTable(ttl_seconds=ttl, stale_seconds=stale, negative_ttl_seconds=negative)


async def finished(*waiting: Awaitable[Any]) -> list[Any]:
    """Results and errors of all."""
    return await asyncio.gather(*waiting, return_exceptions=True)
