"""The customer source: finds customers in a Tilores instance."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import structlog

from tilores_core import (
    ConfigError,
    Customer,
    Identifiers,
    PluginCache,
    PluginContext,
    ServicesNotOpenError,
    SourceError,
    SourceLocale,
    SourceSchema,
    SourceUnavailableError,
    normalise_email,
    normalise_phone,
)
from tilores_plugins.sources.tilores import problems
from tilores_plugins.sources.tilores.api import Api
from tilores_plugins.sources.tilores.catalogue import Catalogue
from tilores_plugins.sources.tilores.deadlines import Deadline, deadline
from tilores_plugins.sources.tilores.fetch import Fetch
from tilores_plugins.sources.tilores.memory import ParameterStats, SeenRecords
from tilores_plugins.sources.tilores.names import is_name
from tilores_plugins.sources.tilores.plan import Plan, make_plan
from tilores_plugins.sources.tilores.problems import Fault, StaleSchemaError
from tilores_plugins.sources.tilores.reading import Entity
from tilores_plugins.sources.tilores.schema_file import SchemaFile
from tilores_plugins.sources.tilores.schemas import OpenCache, Schemas
from tilores_plugins.sources.tilores.search_parameters import Given
from tilores_plugins.sources.tilores.settings import Settings
from tilores_plugins.sources.tilores.status import Status

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

_log = structlog.get_logger(part="source")

T = TypeVar("T")

_LONGEST_ID = 200
_LARGEST_PAGE = 64
_ASKED_RECORDS = 3  # of an entity that is gone


def build(context: PluginContext) -> TiloresSource:
    """Raises `ConfigError` when an address or the client is missing. Asks nothing yet."""
    settings: Settings = context.settings
    settings.check_complete()
    services = context.services

    def cache() -> PluginCache | None:
        hours = settings.schema_refresh_hours
        try:
            return services.cache("schemas", None if hours is None else hours * 3600)  # None: as [cache.schemas] says
        except ServicesNotOpenError:  # `tilores doctor` builds the source alone
            return None

    return TiloresSource(settings, context.state.get(Status), SchemaFile(context.data_dir, settings.api_url), cache)


class TiloresSource:
    """A `CustomerSource` with `SupportsTools`.

    A customer's id is the entity's, which a merge or a split may change; the id of any record, and a customer number
    that the instance can be searched by, lead to the customer as well.
    """

    def __init__(
        self, settings: Settings, status: Status, schema_file: SchemaFile, cache: OpenCache = lambda: None
    ) -> None:
        self._settings = settings
        self._status = status
        self._api = Api(settings, status)
        self._schemas = Schemas(self._api, settings, status, schema_file, cache)
        self._fetch = Fetch(self._api, settings)
        self._seen = SeenRecords()
        self.hints = ParameterStats()
        self._plan: Plan | None = None
        self._planning = asyncio.Lock()
        self._closed = False
        self._told_of_missing = False
        status.in_use = True

    # --- CustomerSource ------------------------------------------------------------------------------------------

    async def get(self, customer_id: str) -> Customer | None:
        wanted = customer_id.strip()
        if not _is_id(wanted):
            return None
        return await self._work("a customer by id", lambda plan, limit: self._get(plan, wanted, limit))

    async def find(self, identifiers: Identifiers, *, limit: int = 10) -> Sequence[Customer]:
        who = self._normalise(identifiers)
        if who is None or limit < 1:
            return []
        found = await self._work("customers", lambda plan, time_left: self._find(plan, who, limit, time_left))
        return found[:limit]

    async def schema(self) -> SourceSchema:
        return (await self._current_plan()).schema

    async def aclose(self) -> None:
        self._closed = True
        await self._schemas.aclose()
        await self._api.aclose()

    # --- SupportsTools -------------------------------------------------------------------------------------------

    async def tools(self, customer: Customer | None) -> Sequence[BaseTool]:
        from tilores_plugins.sources.tilores.tools import make_tools

        return make_tools(self, await self._current_plan(), customer)

    async def search(self, given: Given) -> list[Customer]:
        """All customers that the instance finds with these parameters, unfiltered: for a model's searches."""

        async def work(plan: Plan, limit: Deadline) -> list[Customer]:
            return await self._ask(plan, [{**self._settings.fixed_parameters, **given}], self._settings.page, limit)

        return await self._work("customers", work)

    async def edges(self, entity_id: str) -> Entity | None:
        """The entity with its edges; None when there is none."""
        return await self._work("a customer's edges", lambda plan, limit: self._fetch.edges(plan, entity_id, limit))

    # --- the work ------------------------------------------------------------------------------------------------

    async def _current_plan(self) -> Plan:
        async def work(plan: Plan, limit: Deadline) -> Plan:
            return plan

        return await self._work("the schema", work)

    async def _work(self, what: str, work: Callable[[Plan, Deadline], Awaitable[T]]) -> T:
        """Do it with the plan there is, and once again when the instance's schema turns out to be another."""
        if self._closed:
            raise SourceUnavailableError("the customer source is closed")
        started = time.monotonic()
        async with deadline(self._settings, self._status, what) as limit:
            catalogue = await self._schemas.get()
            try:
                found = await work(await self._plan_for(catalogue), limit)
            except StaleSchemaError:
                catalogue = await self._schemas.renew(catalogue)
                try:
                    found = await work(await self._plan_for(catalogue), limit)
                except StaleSchemaError:
                    raise problems.lasting(Fault.SCHEMA_DISAGREES) from None
        seconds = time.monotonic() - started
        if seconds > self._settings.soft_timeout_seconds:
            self._status.slow += 1
            _log.info("tilores.slow", what=what, seconds=round(seconds, 1))
        return found

    async def _plan_for(self, catalogue: Catalogue) -> Plan:
        if self._plan is not None and self._plan.catalogue is catalogue:
            return self._plan
        async with self._planning:
            if self._plan is None or self._plan.catalogue is not catalogue:
                try:  # a large schema takes a tenth of a second, which the event loop has not got
                    self._plan = await asyncio.to_thread(make_plan, catalogue, self._settings)
                except ConfigError as error:  # settings that this instance's schema cannot meet
                    raise SourceError(error.message, fix=error.fix) from error
            return self._plan

    async def _get(self, plan: Plan, wanted: str, limit: Deadline) -> Customer | None:
        customer = (
            await self._fetch.by_id(plan, wanted, limit)
            or await self._by_records(plan, wanted, limit)
            or await self._by_number(plan, wanted, limit)
        )
        if customer is not None:
            self._seen.note(customer)
        return customer

    async def _by_records(self, plan: Plan, wanted: str, limit: Deadline) -> Customer | None:
        """Find the customer with `wanted` as a record's id, else the entity that all records of the one that is
        gone are in now."""
        remembered = self._seen.of(wanted)[:_ASKED_RECORDS]
        asked = list(dict.fromkeys((*remembered, *(() if ":" in wanted else (wanted,)))))
        found = await self._fetch.by_records(plan, asked, limit)
        by_record: dict[str, Customer | None] = dict(zip(asked, found, strict=True))
        direct = by_record.get(wanted)
        if direct is not None:
            return direct
        now = {one.id: one for one in found if one is not None}
        return next(iter(now.values())) if len(now) == 1 else None

    async def _by_number(self, plan: Plan, wanted: str, limit: Deadline) -> Customer | None:
        variants = plan.asking.by_customer_id(wanted)
        found = await self._ask(plan, variants, 2, limit) if variants else []
        found = [customer for customer in found if plan.reading.has_customer_id(customer, wanted)]
        return found[0] if len(found) == 1 else None

    async def _find(self, plan: Plan, who: Identifiers, most: int, limit: Deadline) -> list[Customer]:
        unread = plan.unread(who)
        if who.customer_id:
            customer = await self._get(plan, who.customer_id.strip(), limit)
            if customer is None or not plan.reading.fits(customer, who):
                return []
            if not unread:
                return [customer]
            others = await self._find(plan, replace(who, customer_id=None), _LARGEST_PAGE, limit)
            return [one for one in others if one.id == customer.id]
        fixed = self._settings.fixed_parameters.keys()
        variants = [
            given
            for given in self.hints.sort_by_success(plan.asking.variants(who))
            if all(given.keys() - fixed <= theirs for theirs in unread)
        ]
        size = min(max(self._settings.page, 1 << (most - 1).bit_length()), _LARGEST_PAGE)
        if not variants and not self._told_of_missing:
            self._told_of_missing = True
            _log.warning("tilores.identifiers_not_searchable")
        for stage in (variants[:1], variants[1:]):
            if not stage:
                continue
            found = await self._ask(plan, stage, size, limit)
            fitting = [customer for customer in found if plan.reading.fits(customer, who)]
            if fitting:
                return fitting
        return []

    async def _ask(self, plan: Plan, variants: Sequence[Given], size: int, limit: Deadline) -> list[Customer]:
        found = await self._fetch.search(plan, variants, size, limit)
        if len(variants) == 1:
            self.hints.note(variants[0], found=bool(found))
        for customer in found:
            self._seen.note(customer)
        return found

    def locale(self) -> SourceLocale:
        return SourceLocale(phone_region=self._settings.phone_region, day_first=self._settings.day_first)

    def _normalise(self, who: Identifiers) -> Identifiers | None:
        """As the contract writes them; None when no customer can fit."""
        if not who or (who.customer_id is not None and not _is_id(who.customer_id.strip())):
            return None
        email = normalise_email(who.email) if who.email else None
        phone = normalise_phone(who.phone, self._settings.locale.region) if who.phone else None
        if (who.email and not email) or (who.phone and not phone) or (who.name and not is_name(who.name)):
            return None
        return replace(who, email=email, phone=phone)


def _is_id(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_ID and text.isprintable()
