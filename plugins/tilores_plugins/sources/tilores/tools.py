"""LangChain tools for models that search by themselves. langchain_core is imported when they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from tilores_core import Customer
from tilores_plugins.sources.tilores.catalogue import Parameter
from tilores_plugins.sources.tilores.edges import MOST_LINKS, summary
from tilores_plugins.sources.tilores.memory import ParameterStats
from tilores_plugins.sources.tilores.plan import Plan
from tilores_plugins.sources.tilores.reading import Entity
from tilores_plugins.sources.tilores.search_parameters import Given, fitting

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

Result = tuple[str, list[Customer]]  # content for the model, artifact

MOST_CHARACTERS = 12_000
"""Of a tool's content."""

_MOST_PARAMETERS = 40
_MOST_CUSTOMERS = 5
_MOST_RECORDS = 12
_LONGEST_VALUE = 300
_LONGEST_DESCRIPTION = 80
_LONGEST_NAME = 64
_MOST_HINTS = 4
_TAKEN = frozenset({"config", "callbacks", "run_manager"})  # what LangChain passes by itself


class Searches(Protocol):
    """What the tools need of the source."""

    hints: ParameterStats

    async def get(self, customer_id: str) -> Customer | None: ...

    async def search(self, given: Given) -> list[Customer]: ...

    async def edges(self, entity_id: str) -> Entity | None: ...


def make_tools(source: Searches, plan: Plan, customer: Customer | None) -> Sequence[BaseTool]:
    """Search and edges; with `customer` both know that one alone."""
    from langchain_core.tools import StructuredTool

    search = _Search(source, plan, customer)
    about = "this customer's records" if customer else "customers"
    return [
        StructuredTool(
            name="search_customers",
            description=f"Find {about} by one or more of the parameters. {_hint(source.hints)}".strip(),
            args_schema=search.schema(),
            coroutine=search.run,
            response_format="content_and_artifact",
        ),
        _edges_tool(source, customer),
    ]


class _Search:
    def __init__(self, source: Searches, plan: Plan, customer: Customer | None) -> None:
        self._source = source
        self._customer = customer
        self._asking = plan.asking
        self._parameters = _name_parameters(plan)

    def schema(self) -> dict[str, Any]:
        """As JSON schema: short, since it is in every prompt."""
        return {
            "type": "object",
            "title": "search_customers",
            "description": "Only what is known; leave out the rest.",
            "properties": {name: _property(parameter) for name, parameter in self._parameters.items()},
            "required": [name for name, parameter in self._parameters.items() if parameter.required],
        }

    async def run(self, **arguments: Any) -> Result:
        given: dict[str, Any] = {}
        for name, value in arguments.items():
            if value is None or value == "":
                continue
            parameter = self._parameters.get(name)
            if parameter is None:
                return _text_result(f"there is no parameter {name[:_LONGEST_NAME]!r}", known=list(self._parameters))
            typed = fitting(parameter, value)
            if typed is None:
                return _text_result(
                    f"{name}: not a value that it takes", type=parameter.type, one_of=list(parameter.choices)
                )
            given[parameter.name] = typed
        if not given:
            return _text_result("give at least one parameter", known=list(self._parameters))
        if missing := self._asking.missing({**self._asking.settings.fixed_parameters, **given}):
            return _text_result("more is needed", missing=missing)
        found = [one for one in await self._source.search(given) if _is_allowed(one, self._customer)]
        if not found:
            return _text_result(
                "no customer fits" if self._customer is None else "this is not the customer in question"
            )
        return _dump_within_bounds(found), found[:_MOST_CUSTOMERS]


def _edges_tool(source: Searches, bound: Customer | None) -> BaseTool:
    from langchain_core.tools import StructuredTool

    async def run(customer_id: str = "", **_: Any) -> Result:
        customer = await source.get(bound.id if bound is not None else str(customer_id))
        entity = await source.edges(customer.id) if customer and _is_allowed(customer, bound) else None
        if customer is None or entity is None:
            return _text_result("there is no such customer")
        told = [_text(summary(entity, most)) for most in (MOST_LINKS, 8, 0)]
        return next((text for text in told if len(text) <= MOST_CHARACTERS), "{}"), [customer]

    schema: dict[str, Any] = {"type": "object", "title": "customer_edges", "properties": {}}
    if bound is None:
        schema["properties"]["customer_id"] = {
            "type": "string",
            "description": "a customer's id, as a search shows it",
        }
        schema["required"] = ["customer_id"]
    return StructuredTool(
        name="customer_edges",
        description="Why a customer's records belong together: the rules and links that joined them.",
        args_schema=schema,
        coroutine=run,
        response_format="content_and_artifact",
    )


def _is_allowed(found: Customer, bound: Customer | None) -> bool:
    """Whether `found` is the customer in play: it shares a record with it, whatever ids have become of either."""
    if bound is None:
        return True
    known = {record.id for record in bound.records}
    return any(record.id in known for record in found.records)


# --- what a model gets ----------------------------------------------------------------------------------------------


def _dump_within_bounds(customers: Sequence[Customer]) -> str:
    """JSON within bounds: the records of each customer, shorter when it is too much."""
    shown = customers[:_MOST_CUSTOMERS]
    for records, values in ((_MOST_RECORDS, _LONGEST_VALUE), (6, 100), (3, 40), (1, 20), (0, 0)):
        text = _text(
            {
                "customers": [_customer(customer, records, values) for customer in shown],
                "customers_left_out": len(customers) - len(shown),
            }
        )
        if len(text) <= MOST_CHARACTERS:
            return text
    return _text({"customers": [], "customers_left_out": len(customers)})


def _customer(customer: Customer, records: int, values: int) -> dict[str, Any]:
    newest = sorted(customer.records, key=lambda record: record.updated_at or "", reverse=True)
    return {
        "customer_id": customer.id,
        "name": customer.name,
        "records": [
            {
                "record_id": record.id,
                "system": record.system,
                "updated_at": record.updated_at,
                "fields": {name: _short(value, values) for name, value in record.fields.items()},
            }
            for record in newest[:records]
        ],
        "records_left_out": max(0, len(newest) - records),
    }


def _short(value: Any, most: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= most else f"{value[:most]}…"
    return value if not isinstance(value, list | Mapping) or len(_text(value)) <= most else "…"


def _text_result(what: str, **more: Any) -> Result:
    return _text({"error": what, **{name: value for name, value in more.items() if value}})[:MOST_CHARACTERS], []


def _text(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


# --- what a model may give -----------------------------------------------------------------------------------------


def _name_parameters(plan: Plan) -> dict[str, Parameter]:
    """The parameters by names that every provider takes: those we know to use first."""
    settings = plan.asking.settings
    known = set(plan.asking.mapping.values())
    wanted = [one for one in plan.asking.parameters.values() if one.name not in settings.fixed_parameters]
    wanted.sort(key=lambda one: (not one.required, one.name not in known))
    named: dict[str, Parameter] = {}
    for parameter in wanted[:_MOST_PARAMETERS]:
        name = "_".join(parameter.path)[:_LONGEST_NAME]
        while name in named or name in _TAKEN:
            name = f"{name[: _LONGEST_NAME - 1]}_"
        named[name] = parameter
    return named


def _property(parameter: Parameter) -> dict[str, Any]:
    inner: dict[str, Any] = {"type": parameter.type}
    if parameter.choices:
        inner["enum"] = list(parameter.choices)
    if parameter.lists[-1]:
        inner = {"type": "array", "items": inner}
    if parameter.description:
        inner["description"] = parameter.description[:_LONGEST_DESCRIPTION]
    return inner


def _hint(hints: ParameterStats) -> str:
    combinations = [" + ".join(names) for names in hints.successful()[:_MOST_HINTS]]
    return f"Have found customers before: {'; '.join(combinations)}." if combinations else ""
