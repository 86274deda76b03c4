"""A source over a test instance, and what the tests ask of both."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from tests.tilores_instance import SeenRequest, TiloresInstance
from tilores_core import Customer, PluginContext, PluginServices
from tilores_plugins.sources.tilores.settings import Settings
from tilores_plugins.sources.tilores.source import TiloresSource, build

EDWINA = "crm-1001"
EDWINA_EMAIL = "edwina.hawthorne@example.com"
EDWINA_RECORDS = {"crm-1001", "core-3001", "web-2001", "web-2002", "desk-4001"}


def settings_for(instance: TiloresInstance, **given: Any) -> Settings:
    return Settings.model_validate(
        {
            "api_url": instance.api_url,
            "token_url": instance.token_url,
            "client_id": instance.client_id,
            "client_secret": instance.client_secret,
            "timeout_seconds": 30.0,  # a slow machine is not the instance's fault
            **given,
        }
    )


@asynccontextmanager
async def connected(
    instance: TiloresInstance, folder: Path, services: PluginServices | None = None, **given: Any
) -> AsyncIterator[TiloresSource]:
    context = PluginContext(
        plugin_id="tilores",
        settings=settings_for(instance, **given),
        data_dir=folder,
        services=services or PluginServices(),
    )
    source = build(context)
    try:
        yield source
    finally:
        await source.aclose()


@contextmanager
def in_thread(instance: TiloresInstance) -> Iterator[TiloresInstance]:
    """The instance on a loop of its own, for longer than one test."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(instance.__aenter__(), loop).result(60)
        yield instance
    finally:
        asyncio.run_coroutine_threadsafe(instance.__aexit__(None, None, None), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


def asked(instance: TiloresInstance, operation: str = "") -> list[SeenRequest]:
    """The queries seen that begin so, introspection left out."""
    found = [seen for seen in instance.requests if seen.document and "__schema" not in seen.document]
    return [seen for seen in found if (seen.document or "").startswith(f"query {operation}")]


def introspections(instance: TiloresInstance) -> int:
    return sum("__schema" in (seen.document or "") for seen in instance.requests)


def ids(customers: Sequence[Customer]) -> list[str]:
    return [customer.id for customer in customers]


def record_ids(customer: Customer | None) -> set[str]:
    return {record.id for record in customer.records} if customer else set()
