"""`tilores forget ID`: here, in the shared cache tiers and the data folder, or by a running server with `--url`."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from tilores_core.cli.options import AdminKeyOption, Options, UrlOption
from tilores_core.cli.output import Output


async def forget(
    options: Options,
    customer: Annotated[str, typer.Argument(metavar="ID", help="The customer's id, as the source has it.")],
    url: UrlOption = None,
    admin_key: AdminKeyOption = None,
) -> Output:
    """Remove a customer from all that is kept.

    That is caches, inputs and results of batches, collected questions; it says what cannot be reached from here.
    """
    from tilores_core.jobs.forget import check_customer_id

    check_customer_id(customer)
    environment = options.environment()
    if url is not None:
        from tilores_core.cli.remote import Server

        server = Server.of(environment, url, admin_key)
        found = await server.delete(f"/admin/customers/{quote(customer, safe='')}", "removed", "not_reached")
    else:
        from tilores_core.cli.cache import open_cache
        from tilores_core.jobs.forget import forget_everywhere
        from tilores_core.services import job_folder

        async with open_cache(options, only_shared=False) as (cache, host), options.open_store() as store:
            found = await forget_everywhere(cache, job_folder(environment), store, host, customer)
            if all(tier["breaker"] is None for tier in (await cache.stats())["tiers"].values()):
                reason = f"ask each server: tilores forget {customer} --url http://127.0.0.1:8000"
                found["not_reached"].insert(0, {"where": "the memory of running servers", "reason": reason})
    return Output(found, *_lines(found))


def _lines(found: dict[str, Any]) -> list[str]:
    removed = found["removed"]
    cache = ", ".join(f"{count} {namespace}" for namespace, count in sorted(removed["cache"].items())) or "nothing"
    return [
        f"removed from the cache: {cache}",
        f"removed from batches: {removed['batch_results']} results, {removed['batch_inputs']} inputs",
        f"removed from questions of live traffic: {removed['questions']}",
        *(f"not reached: {left_out['where']}: {left_out['reason']}" for left_out in found["not_reached"]),
    ]
