"""Removing a customer from all that is kept: caches of all replicas, inputs and outputs of batches."""

from __future__ import annotations

import asyncio
from typing import Any

from tilores_core.cache.forget import forget_customer
from tilores_core.cache.tiered import TieredCache
from tilores_core.errors import InvalidRequestError, StoreError
from tilores_core.host.host import PluginHost
from tilores_core.host.roles import TRACERS
from tilores_core.jobs.job_folder import JobFolder
from tilores_core.store.lazy import LazyStore

LONGEST_ID = 500


def check_customer_id(customer_id: str) -> None:
    """Raise `InvalidRequestError` for what cannot be a customer's id."""
    if not 1 <= len(customer_id) <= LONGEST_ID or not customer_id.isprintable() or customer_id.isspace():
        raise InvalidRequestError(
            f"customer_id must have 1 to {LONGEST_ID} printable characters",
            param="customer_id",
            fix="send the id as the source has it",
        )


async def forget_everywhere(
    cache: TieredCache, folder: JobFolder, store: LazyStore, host: PluginHost, customer_id: str
) -> dict[str, Any]:
    """Remove the customer, whose id is as the source has it. Repeating it is harmless.

    `removed`: entries of the cache by namespace, which other replicas remove too, lines of batch results, inputs of
    batches, and questions of live traffic. `not_reached`: objects with `where` and `reason`, as of batches that
    still run, which are left as they are.
    """
    check_customer_id(customer_id)
    config = host.config
    entries = await forget_customer(cache, config.use.source, customer_id)
    lines, inputs, running = await asyncio.to_thread(folder.forget, customer_id)
    unreached = [
        *((f"cache tier '{name}'", "it does not answer; its entries go when it is back") for name in entries.pending),
        *(
            (f"files of cache tier '{tier['name']}'", "a persistent one is rewritten later")
            for tier in (await cache.stats())["tiers"].values()
            if tier["breaker"] is not None and tier["name"] not in entries.pending
        ),
        *((f"batch {job_id}", "it has not ended; cancel it or wait, and send this again") for job_id in running),
    ]
    questions = 0
    try:
        questions = await (await store.get()).questions.forget(customer_id)
    except StoreError as error:
        unreached.append(("questions from live traffic in the database", error.message))
    unreached.append((f"customer source '{config.use.source}'", "the records are kept there"))
    if config.prewarm.file:
        reason = "a list in it that names the customer would have the answers made again"
        unreached.append((f"[prewarm] file {config.prewarm.file}", reason))
    if tracers := host.used_names(TRACERS):
        unreached.append((f"traces at {', '.join(tracers)}", "delete them there; see [tracing] capture"))
    if not host.is_simulated(config.use.model):
        provider = config.use.model.partition(":")[0]
        unreached.append((f"logs of the model provider '{provider}'", "its own rules apply"))
    removed = {"cache": dict(entries.removed), "batch_results": lines, "batch_inputs": inputs, "questions": questions}
    return {"removed": removed, "not_reached": [{"where": where, "reason": why} for where, why in unreached]}
