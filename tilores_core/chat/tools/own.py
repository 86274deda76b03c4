"""The tools for a source that brings none, over nothing but its contract: find a customer, read the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tilores_core.chat.context.quality import is_weak
from tilores_core.chat.customer.finder import LIMIT
from tilores_core.chat.records import mark_weak, render, section
from tilores_core.chat.tools.tool import Found, InvalidArgumentsError, OtherCustomerError, Tool, define
from tilores_core.contracts import Customer, CustomerSource, Identifiers
from tilores_core.identity import Locale, normalise_email, normalise_phone, parse_date
from tilores_core.spectrums import current_spectrums

FIND: Final = "find_customer"
RECORDS: Final = "customer_records"
NAMES: Final = frozenset({FIND, RECORDS})

_LONGEST: Final = 200
_STRING: Final = {"type": "string"}
_FIND: Final = define(
    FIND,
    "Find one customer by what the user said of them; all that is given must fit. When just one fits: the records.",
    {
        "customer_id": _STRING,
        "email": _STRING,
        "phone": _STRING,
        "name": {"type": "string", "description": "first and last name"},
        "date_of_birth": {"type": "string", "description": "YYYY-MM-DD"},
    },
)


def _records_definition() -> Mapping[str, Any]:
    spectrums = current_spectrums().spectrums
    return define(
        RECORDS,
        "The records of the customer in play: all of them, or one group of fields.",
        {
            "spectrum": {
                "type": "string",
                "enum": [spectrum.name for spectrum in spectrums],
                "description": "; ".join(f"{spectrum.name}: {spectrum.title}" for spectrum in spectrums),
            }
        },
    )


@dataclass(frozen=True, slots=True)
class BoundCustomer:
    """The customer that an answer is about, with the records as they are rendered."""

    customer: Customer
    text: str

    @classmethod
    def bind_found(cls, customer: Customer) -> BoundCustomer:
        """One that a search has found."""
        return cls(customer, render_records(customer))

    def is_same(self, other: Customer) -> bool:
        """The same id, or a record in common: ids change when customers merge, those of records do not."""
        known = {record.id for record in self.customer.records}
        return other.id == self.customer.id or any(record.id in known for record in other.records)


def render_records(customer: Customer) -> str:
    """The records; marked when the search that found the customer fits only poorly."""
    text = render(customer)
    return mark_weak(text) if is_weak(customer.quality) else text


def records_tool(in_play: Callable[[], BoundCustomer | None]) -> Tool:
    """Reads what is in memory already."""

    definition = _records_definition()

    async def run(arguments: Mapping[str, Any]) -> Found:
        _check(arguments, definition)
        now = in_play()
        if now is None:
            return "No customer is in play yet: find one first.", ()
        spectrum = arguments.get("spectrum")
        if spectrum and spectrum not in {known.name for known in current_spectrums().spectrums}:
            raise InvalidArgumentsError("spectrum: not one of those listed")
        return section(now.text, spectrum) if spectrum else now.text, (now.customer,)

    return Tool(definition=definition, run=run)


def find_tool(source: CustomerSource, locale: Locale, in_play: Callable[[], BoundCustomer | None]) -> Tool:
    """Asks the source. With a customer in play it finds that one or none."""

    async def run(arguments: Mapping[str, Any]) -> Found:
        bound = in_play()
        who = read_identifiers(arguments, locale)
        if who == Identifiers(customer_id=who.customer_id):
            one = await source.get(str(who.customer_id))
            found = [] if one is None else [one]
        else:
            found = list(await source.find(who, limit=LIMIT))
        if bound is not None:
            if not any(bound.is_same(customer) for customer in found):
                raise OtherCustomerError  # the same whether another customer fits or none
            return bound.text, (bound.customer,)
        if not found:
            return "No customer fits. Ask the user for more, or for the spelling.", ()
        return render_records(found[0]), found

    return Tool(definition=_FIND, run=run)


def read_identifiers(arguments: Mapping[str, Any], locale: Locale) -> Identifiers:
    _check(arguments, _FIND)
    given = {key: value.strip() for key, value in arguments.items() if isinstance(value, str) and value.strip()}
    if not given:
        raise InvalidArgumentsError("give at least one of customer_id, email, phone, name, date_of_birth")
    day_first = locale.day_first
    for key, read, how in (
        ("email", normalise_email, "an e-mail address"),
        ("phone", lambda text: normalise_phone(text, locale.region), "a telephone number"),
        (
            "date_of_birth",
            lambda text: parse_date(text, day_first=day_first, birth=True),
            "a date as YYYY-MM-DD",
        ),
    ):
        if key in given:
            value = read(given[key])
            if value is None:
                raise InvalidArgumentsError(f"{key}: must be {how}")
            given[key] = value
    return Identifiers(**given)


def _check(arguments: Mapping[str, Any], definition: Mapping[str, Any]) -> None:
    known = definition["function"]["parameters"]["properties"]
    if not arguments.keys() <= known.keys():
        raise InvalidArgumentsError(f"there is only {', '.join(known)}")
    for key, value in arguments.items():
        if value is not None and (not isinstance(value, str) or len(value) > _LONGEST):
            raise InvalidArgumentsError(f"{key}: must be a text of at most {_LONGEST} characters")
