"""`tilores forget ID`: here, in the shared cache tiers and the data folder, or by a running server with `--url`."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import typer

from tilores_core.cache.tiered import TieredCache
from tilores_core.cli.cache_tiers import with_cache
from tilores_core.cli.options import Options
from tilores_core.cli.remote import Server
from tilores_core.host.host import PluginHost
from tilores_core.jobs.forget import check_customer_id, forget_everywhere
from tilores_core.services import job_folder
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore


def forget(options: Options, customer_id: str, *, url: str | None, admin_key: str | None, as_json: bool) -> None:
    """Print what was removed, and what cannot be reached from here."""
    check_customer_id(customer_id)
    environment = options.environment()
    if url is not None:
        server = Server.of(environment, url, admin_key)
        found = server.delete(f"/admin/customers/{quote(customer_id, safe='')}")
    else:
        folder = job_folder(environment)
        address = store_address(environment.database_url, environment.data_dir)

        async def work(cache: TieredCache, host: PluginHost) -> dict[str, Any]:
            store = LazyStore(address)
            try:
                return await forget_everywhere(cache, folder, store, host, customer_id)
            finally:
                await store.aclose()

        found = with_cache(options, work)
    typer.echo(json.dumps(found) if as_json else _lines(found))


def _lines(found: dict[str, Any]) -> str:
    removed = found["removed"]
    cache = ", ".join(f"{count} {namespace}" for namespace, count in sorted(removed["cache"].items())) or "nothing"
    lines = [
        f"removed from the cache: {cache}",
        f"removed from batches: {removed['batch_results']} results, {removed['batch_inputs']} inputs",
        f"removed from questions of live traffic: {removed['questions']}",
    ]
    return "\n".join(
        [*lines, *(f"not reached: {left_out['where']}: {left_out['reason']}" for left_out in found["not_reached"])]
    )
