"""`tilores forget ID`: here, in the shared cache tiers and the data folder, or by a running server with `--url`."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import typer

from tilores_core.cli.cache_tiers import with_cache
from tilores_core.cli.options import Options
from tilores_core.cli.remote import Server
from tilores_core.jobs.forget import check_customer_id, forget_everywhere
from tilores_core.services import job_folder


def forget(options: Options, customer_id: str, *, url: str | None, admin_key: str | None, as_json: bool) -> None:
    """Print what was removed, and what cannot be reached from here."""
    check_customer_id(customer_id)
    environment = options.environment()
    if url is not None:
        server = Server.of(environment, url, admin_key)
        found = server.delete(f"/admin/customers/{quote(customer_id, safe='')}")
    else:
        folder = job_folder(environment)
        found = with_cache(options, lambda cache, host: forget_everywhere(cache, folder, host, customer_id))
    typer.echo(json.dumps(found) if as_json else _lines(found))


def _lines(found: dict[str, Any]) -> str:
    removed = found["removed"]
    cache = ", ".join(f"{count} {namespace}" for namespace, count in sorted(removed["cache"].items())) or "nothing"
    lines = [
        f"removed from the cache: {cache}",
        f"removed from batches: {removed['batch_results']} results, {removed['batch_inputs']} inputs",
    ]
    return "\n".join([*lines, *(f"not reached: {one['where']}: {one['reason']}" for one in found["not_reached"])])
