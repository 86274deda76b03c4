"""`tilores forget ID`: here, in the shared cache tiers and the data folder, or by a running server with `--url`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from tilores_core.cli.options import AdminKeyOption, JsonOption, UrlOption, get_options
from tilores_core.cli.output import emit

if TYPE_CHECKING:
    from tilores_core.cache.tiered import TieredCache
    from tilores_core.host.host import PluginHost


def forget(
    ctx: typer.Context,
    customer: Annotated[str, typer.Argument(metavar="ID", help="The customer's id, as the source has it.")],
    url: UrlOption = None,
    admin_key: AdminKeyOption = None,
    json: JsonOption = False,
) -> None:
    """Remove a customer from all that is kept.

    That is caches, inputs and results of batches, collected questions; it says what cannot be reached from here.
    """
    from tilores_core.jobs.forget import check_customer_id

    check_customer_id(customer)
    environment = get_options(ctx).environment()
    if url is not None:
        from tilores_core.cli.remote import Server

        server = Server.of(environment, url, admin_key)
        found = server.delete(f"/admin/customers/{quote(customer, safe='')}", "removed", "not_reached")
    else:
        from tilores_core.cli.cache import with_cache

        async def work(cache: TieredCache, host: PluginHost) -> dict[str, Any]:
            from tilores_core.jobs.forget import forget_everywhere
            from tilores_core.services import job_folder
            from tilores_core.store.address import store_address
            from tilores_core.store.lazy import LazyStore

            store = LazyStore(store_address(environment.database_url, environment.data_dir))
            try:
                return await forget_everywhere(cache, job_folder(environment), store, host, customer)
            finally:
                await store.aclose()

        found = with_cache(get_options(ctx), work)
    emit(found, _lines(found), as_json=json)


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
