"""Customers and where they come from: `Customer`, `Record`, `Identifiers`, and the `CustomerSource` role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

_EMPTY: Mapping[str, Any] = MappingProxyType({})


def empty_mapping() -> Mapping[str, Any]:
    """One shared read-only empty mapping, as default of a frozen dataclass."""
    return _EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one source system says about a customer. `id` is stable; `updated_at` is an ISO date or None.

    `fields`: name -> JSON value; a field without a value is left out, not None. Two records may disagree on a field.
    """

    id: str
    system: str
    fields: Mapping[str, Any]
    updated_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchQuality:
    """How sure entity resolution is; each value 0 to 1, None where the source does not say.

    `consistency`: how little the records contradict each other. `confidence`: field name -> how much its values agree
    (sum of squared shares). `hit_score`: how well the customer fits the identifiers searched for; unlike the others
    it belongs to one search, not to the customer.
    """

    consistency: float | None = None
    hit_score: float | None = None
    confidence: Mapping[str, float] = field(default_factory=empty_mapping)


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """One customer as entity resolution sees them: an id and the records joined under it.

    `traits`: what may be said aloud to tell this customer from a namesake, label -> value (`born`, `city`), the
    least revealing first. `id` may change when entities merge or split; record ids do not.
    """

    id: str
    name: str | None
    records: tuple[Record, ...]
    traits: Mapping[str, str] = field(default_factory=empty_mapping)
    quality: MatchQuality | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """What is known about a customer; all that is given must fit (an AND, not an OR).

    `email` in lower case, `phone` in E.164 (`+442071838750`), `date_of_birth` as `YYYY-MM-DD`, `name` as
    it was written.
    """

    customer_id: str | None = None
    email: str | None = None
    phone: str | None = None
    name: str | None = None
    date_of_birth: str | None = None

    def __bool__(self) -> bool:
        return bool(self.customer_id or self.email or self.phone or self.name or self.date_of_birth)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldInfo:
    """A field that a source's records may have. `type` is a JSON type name; `spectrum` one of the seven or None."""

    name: str
    type: str = "string"
    spectrum: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSchema:
    """The fields a source offers. `hash` changes when they do; it is part of every answer's cache key."""

    fields: tuple[FieldInfo, ...]
    hash: str


class CustomerSource(Protocol):
    """Where customers come from. All methods may be called concurrently.

    Raises `SourceUnavailableError` when a retry may help, `SourceError` when it will not. A customer that does not
    exist is an answer (None, an empty sequence), never an error.
    """

    async def get(self, customer_id: str) -> Customer | None:
        """The customer with this id, or None."""

    async def find(self, identifiers: Identifiers, *, limit: int = 10) -> Sequence[Customer]:
        """Customers that fit all the identifiers, best first, at most `limit`; empty when none does."""

    async def schema(self) -> SourceSchema:
        """The fields of the records; cheap after the first call."""

    async def aclose(self) -> None: ...


@runtime_checkable
class SupportsMentions(Protocol):
    """A source that finds its own customers in free text without I/O, from an index of names and ids. A word that
    looks like an id ("X-200"), with nothing that says so, is then looked up only if it is among them.

    Speech recognition writes in lower case, so capitals cannot be relied on to find names.
    """

    def mentions(self, text: str) -> Sequence[Identifiers]:
        """Names or ids of this source's customers that occur in `text`, in order; empty when none does."""


@runtime_checkable
class SupportsTools(Protocol):
    """A source whose searches a model may run by itself (`[chat] mode = "tools"`)."""

    async def tools(self, customer: Customer | None) -> Sequence[BaseTool]:
        """LangChain tools. With `customer`, each is bound to that customer and returns data of no other.

        They answer with content for the model and, as artifact, the `Customer`s that the content is about.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLocale:
    """How identifiers are read that are written in the manner of a place; None where it is not known.

    `phone_region` (ISO 3166, two capitals): of phone numbers without a country code. `day_first`: 4/12/1980 is in
    December.
    """

    phone_region: str | None = None
    day_first: bool | None = None


@runtime_checkable
class SupportsLocale(Protocol):
    """A source whose settings say how its customers write numbers and dates; questions are then read so too."""

    def locale(self) -> SourceLocale:
        """What the settings say; `[chat]` in plugins.toml wins over it."""


@runtime_checkable
class SupportsListing(Protocol):
    """A source that can list its customers, for golden questions."""

    async def customer_ids(self, *, limit: int) -> Sequence[str]:
        """Ids of customers, at most `limit`, in an order that stays the same while the customers do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """What a source understood of its data, for `tilores doctor`, `tilores customers check` and the start-up log.

    `left_out`: rows that are not served, of which `problems` names the first few, with place and reason. `facts`:
    what was understood, one line each. `warnings`: what an operator should look at, each with the mend. None of them
    holds a customer's data.
    """

    customers: int
    records: int
    left_out: int = 0
    problems: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@runtime_checkable
class SupportsReport(Protocol):
    """A source that can say what it holds and what it could not read."""

    async def report(self) -> SourceReport:
        """The state that is served now."""
