"""Entities from the instance: in pages that fit, with what insights it can give."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from tilores_core import Customer
from tilores_plugins.sources.tilores import problems
from tilores_plugins.sources.tilores.api import Api
from tilores_plugins.sources.tilores.deadlines import Deadline
from tilores_plugins.sources.tilores.plan import Plan
from tilores_plugins.sources.tilores.problems import Fault, TooLargeError
from tilores_plugins.sources.tilores.queries import Shape
from tilores_plugins.sources.tilores.reading import Entity
from tilores_plugins.sources.tilores.search_parameters import Given
from tilores_plugins.sources.tilores.settings import Settings

_log = structlog.get_logger(part="source")

_FEWER_RECORDS = (64, 8, 1)
_WITHOUT_INSIGHTS_SECONDS = 300.0
_INSIGHTS = ("recordInsights", "consistency", "hitScore")
_IN_THREAD = 200  # records; more would hold up the loop


class Fetch:
    """Asks with one plan's documents. Raises what `Api.run` raises, but for `TooLargeError`."""

    def __init__(self, api: Api, settings: Settings) -> None:
        self._api = api
        self._settings = settings
        self._insights_from = 0.0

    # --- operations --------------------------------------------------------------------------------------------

    async def search(self, plan: Plan, variants: Sequence[Given], size: int, limit: Deadline) -> list[Customer]:
        """Who any of the variants finds, the best hits first. `size`: a power of two."""
        if not plan.catalogue.can("SearchInput.page", "SearchInput.pageSize"):
            raise problems.lasting(Fault.NO_OPERATION, what="paging in its search")
        found = await self._pages(plan, list(variants), 1, size, self._shape(limit), limit)
        customers = {customer.id: customer for customer in await self._customers(plan, found)}
        # Without sorting by the instance; with it this changes nothing within one variant.
        return sorted(customers.values(), key=lambda one: -((one.quality and one.quality.hit_score) or 0.0))

    async def by_id(self, plan: Plan, entity_id: str, limit: Deadline) -> Customer | None:
        if not plan.catalogue.can("Query.entity"):
            raise problems.lasting(Fault.NO_OPERATION, what="entity")
        data = await self._shrinking(plan, plan.documents.by_id, {"id": entity_id}, limit)
        return await self._fetch_one(plan, data.get("entity"))

    async def by_records(self, plan: Plan, record_ids: Sequence[str], limit: Deadline) -> list[Customer | None]:
        """The customers that these records belong to now, in order."""
        if not record_ids or not plan.catalogue.can("Query.entityByRecord"):
            return [None] * len(record_ids)
        variables = {f"r{number}": record_id for number, record_id in enumerate(record_ids)}
        data = await self._shrinking(
            plan, lambda shape: plan.documents.by_records(len(record_ids), shape), variables, limit
        )
        return [await self._fetch_one(plan, data.get(name)) for name in variables]

    async def edges(self, plan: Plan, entity_id: str, limit: Deadline) -> Entity | None:
        """The entity with its edges and the ids of its records."""
        if not plan.catalogue.can("Query.entity", "Entity.edges"):
            raise problems.lasting(Fault.NO_OPERATION, what="edges of an entity")
        try:
            result = await self._api.run(plan.documents.edges(), {"id": entity_id}, limit)
        except TooLargeError:
            raise problems.lasting(Fault.OVERSIZED_REPLY) from None
        if result.data is None:
            raise problems.lasting(Fault.RESOLVER, count=len(result.errors))
        return _entity(result.data.get("entity"))

    # --- pages ---------------------------------------------------------------------------------------------------

    async def _pages(
        self, plan: Plan, variants: list[Given], page: int, size: int, shape: Shape, limit: Deadline
    ) -> list[Entity]:
        """One page; if that is more than can be sent, each variant alone, then in halves, then with fewer records.

        When time presses, with few records at once.
        """
        variables: dict[str, Any] = {f"p{n}": plan.asking.variables(given) for n, given in enumerate(variants)}
        variables |= {"page": page, "size": size}
        try:
            data = await self._careful(
                lambda shape: plan.documents.search(len(variants), shape), variables, shape, limit
            )
        except TooLargeError:
            if limit.pressed or (len(variants) == 1 and size == 1):
                parts = [self._pages(plan, variants, page, size, _fewer(shape, plan, limit), limit)]
            elif len(variants) > 1:
                parts = [self._pages(plan, [given], page, size, shape, limit) for given in variants]
            else:
                # Pages of half the size cover exactly this one: no namesake is lost.
                halves = (2 * page - 1, 2 * page)
                parts = [self._pages(plan, variants, half, size // 2, shape, limit) for half in halves]
            return [entity for part in await asyncio.gather(*parts) for entity in part]
        found: list[Entity] = []
        for n in range(len(variants)):
            output = data.get(f"s{n}")
            entities = output.get("entities") if isinstance(output, Mapping) else None
            found += [entity for entity in entities or () if isinstance(entity, Mapping)]
        return found

    async def _shrinking(
        self, plan: Plan, document: Callable[[Shape], str], variables: Mapping[str, Any], limit: Deadline
    ) -> Mapping[str, Any]:
        """The data, with fewer records where all are too much."""
        shape = self._shape(limit)
        while True:
            try:
                return await self._careful(document, variables, shape, limit)
            except TooLargeError:
                shape = _fewer(shape, plan, limit)

    # --- one request ---------------------------------------------------------------------------------------------

    async def _careful(
        self, document: Callable[[Shape], str], variables: Mapping[str, Any], shape: Shape, limit: Deadline
    ) -> Mapping[str, Any]:
        """The data; once more without insights when it is they that fail. Raises `TooLargeError`."""
        result = await self._api.run(document(shape), variables, limit)
        blamed = any(problems.names(result.errors, step) for step in _INSIGHTS)
        if result.data is None and shape.insights and blamed:
            _log.warning("tilores.insights_failed", pause_s=_WITHOUT_INSIGHTS_SECONDS)
            self._insights_from = time.monotonic() + _WITHOUT_INSIGHTS_SECONDS
            result = await self._api.run(document(replace(shape, insights=False)), variables, limit)
        if result.data is None:
            raise problems.lasting(Fault.RESOLVER, count=len(result.errors))
        if result.errors:
            _log.info("tilores.partial_reply", errors=len(result.errors))
        return result.data

    def _shape(self, limit: Deadline) -> Shape:
        wanted = self._settings.insights and time.monotonic() >= self._insights_from
        return Shape(insights=wanted and not limit.pressed)

    # --- what comes back -----------------------------------------------------------------------------------------

    async def _fetch_one(self, plan: Plan, output: object) -> Customer | None:
        entity = _entity(output)
        return (await self._customers(plan, [entity]))[0] if entity is not None else None

    async def _customers(self, plan: Plan, entities: Sequence[Entity]) -> list[Customer]:
        try:
            if sum(len(entity.get("records") or ()) for entity in entities) > _IN_THREAD:
                return await asyncio.to_thread(lambda: [plan.reading.customer(entity) for entity in entities])
            return [plan.reading.customer(entity) for entity in entities]
        except (KeyError, TypeError, AttributeError):
            raise problems.passing(Fault.BROKEN) from None


def _fewer(shape: Shape, plan: Plan, limit: Deadline) -> Shape:
    """Fewer records of each customer. Raises `SourceError` when it cannot be fewer."""
    steps = _FEWER_RECORDS[1:] if limit.pressed else _FEWER_RECORDS
    left = [count for count in steps if shape.records is None or count < shape.records]
    if not left or not plan.documents.can_limit:
        raise problems.lasting(Fault.OVERSIZED_REPLY)
    _log.info("tilores.reply_too_large", records_asked_for=left[0])
    return replace(shape, records=left[0])


def _entity(output: object) -> Entity | None:
    entity = output.get("entity") if isinstance(output, Mapping) else None
    return entity if isinstance(entity, Mapping) else None
