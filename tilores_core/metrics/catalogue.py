"""Every metric of the server, on one page. What is not here cannot be counted, and docs, dashboard and alert rules
are checked against it. A later part adds its families here and its values with `Metrics.watch`."""

from __future__ import annotations

from typing import Final

from tilores_core.metrics.families import Family
from tilores_core.metrics.histogram import LAG_BOUNDS, MODEL_BOUNDS, REQUEST_BOUNDS, SOURCE_BOUNDS

_MODEL: Final = ("provider", "model")

# --- requests --------------------------------------------------------------------------------------------

REQUESTS = Family(
    name="tilores_requests_total",
    kind="counter",
    labels=("route", "status", "cache"),
    help="Requests answered. cache: l1, l2, ... or miss; empty where nothing was asked. Status 499: the client left.",
)
REQUEST_SECONDS = Family(
    name="tilores_request_duration_seconds",
    kind="histogram",
    labels=("route", "cache"),
    bounds=REQUEST_BOUNDS,
    help="From a request's headers to its whole answer, in this process.",
)
FIRST_TOKEN = Family(
    name="tilores_first_token_seconds",
    kind="histogram",
    labels=("cache",),
    bounds=REQUEST_BOUNDS,
    help="From a request's headers to the first piece of its streamed answer; fillers do not count.",
)
STREAM_FAILURES = Family(
    name="tilores_stream_failures_total",
    kind="counter",
    labels=("route",),
    help="Streams that ended with an error after their first piece; their status is 200.",
)
IN_PROGRESS = Family(
    name="tilores_requests_in_progress",
    kind="gauge",
    help="Chat requests that wait for an answer which is in no cache tier.",
)

# --- models ----------------------------------------------------------------------------------------------

ATTEMPTS = Family(
    name="tilores_model_attempts_total",
    kind="counter",
    labels=(*_MODEL, "outcome"),
    help="Calls of models. outcome: ok or an error code. A model that no provider lists is `other`.",
)
ATTEMPT_SECONDS = Family(
    name="tilores_model_attempt_seconds",
    kind="histogram",
    labels=_MODEL,
    bounds=MODEL_BOUNDS,
    help="Calls of models, from the call to the whole answer or the error.",
)
MODEL_FIRST_TOKEN = Family(
    name="tilores_model_first_token_seconds",
    kind="histogram",
    labels=_MODEL,
    bounds=MODEL_BOUNDS,
    help="From a model's call to its first token, where it said anything.",
)
TOKENS = Family(
    name="tilores_model_tokens_total",
    kind="counter",
    labels=(*_MODEL, "direction", "purpose"),
    help="Tokens as the provider counted them. direction: input, output; purpose: live, batch, prewarm and so on.",
)
COST = Family(
    name="tilores_model_cost_dollars_total",
    kind="counter",
    labels=(*_MODEL, "purpose"),
    help="US dollars, of models whose price is known.",
)
HEDGES = Family(
    name="tilores_model_hedges_total",
    kind="counter",
    labels=_MODEL,
    help="Second calls that were made as the first was slow.",
)
FALLBACKS = Family(
    name="tilores_model_fallbacks_total",
    kind="counter",
    labels=("model", "answered_by"),
    help="Answers by another model than the one that was asked for.",
)
MODEL_BREAKER_OPEN = Family(
    name="tilores_model_breaker_open",
    kind="gauge",
    labels=_MODEL,
    help="Workers in which the model is left alone as it failed too often; 0: none.",
)
MODEL_BREAKER_OPENED = Family(
    name="tilores_model_breaker_opened_total",
    kind="counter",
    labels=_MODEL,
    help="How often the model began to be left alone.",
)

# --- customers and grounding -----------------------------------------------------------------------------

SOURCE_LOOKUPS = Family(
    name="tilores_source_lookups_total",
    kind="counter",
    labels=("outcome",),
    help="Look-ups in the customer source. outcome: ok (also when there is nobody) or an error code.",
)
SOURCE_SECONDS = Family(
    name="tilores_source_lookup_seconds",
    kind="histogram",
    bounds=SOURCE_BOUNDS,
    help="Look-ups in the customer source, failed ones too.",
)
GROUNDING = Family(
    name="tilores_grounding_answers_total",
    kind="counter",
    labels=("outcome",),
    help="Answers of models held against the records. outcome: checked (all), flagged, blocked.",
)

# --- cache -----------------------------------------------------------------------------------------------

_TIER = ("tier", "namespace")

CACHE_HITS = Family(name="tilores_cache_hits_total", kind="counter", labels=_TIER, help="Entries found in a tier.")
CACHE_MISSES = Family(
    name="tilores_cache_misses_total", kind="counter", labels=_TIER, help="Entries looked for in a tier in vain."
)
CACHE_PROMOTIONS = Family(
    name="tilores_cache_promotions_total",
    kind="counter",
    labels=_TIER,
    help="Entries put into a tier as one below had them.",
)
CACHE_STORES = Family(name="tilores_cache_stores_total", kind="counter", labels=_TIER, help="New entries for a tier.")
CACHE_DAMAGED = Family(
    name="tilores_cache_damaged_total", kind="counter", labels=_TIER, help="Entries that could not be read."
)
CACHE_EVICTIONS = Family(
    name="tilores_cache_evictions_total",
    kind="counter",
    labels=("tier",),
    help="Entries that made room for others, where the tier knows.",
)
CACHE_EXPIRATIONS = Family(
    name="tilores_cache_expirations_total",
    kind="counter",
    labels=("tier",),
    help="Entries removed at the end of their life, where the tier knows.",
)
CACHE_ERRORS = Family(
    name="tilores_cache_errors_total", kind="counter", labels=("tier",), help="Calls of a tier that failed."
)
CACHE_SKIPPED = Family(
    name="tilores_cache_skipped_total",
    kind="counter",
    labels=("tier",),
    help="Calls of a tier that were not made as its breaker was open.",
)
CACHE_ENTRIES = Family(
    name="tilores_cache_entries", kind="gauge", labels=("tier",), help="Entries in the tiers within the processes."
)
CACHE_BYTES = Family(
    name="tilores_cache_bytes",
    kind="gauge",
    labels=("tier",),
    help="Memory of the tiers within the processes, all workers together.",
)
CACHE_SHARED_BYTES = Family(
    name="tilores_cache_shared_bytes",
    kind="gauge",
    labels=("tier",),
    merge="max",
    help="Memory of a tier that the workers share, as its server says.",
)
CACHE_BREAKER_OPEN = Family(
    name="tilores_cache_breaker_open",
    kind="gauge",
    labels=("tier", "operation"),
    help="Workers that leave the tier alone. operation: read, write.",
)
CACHE_BREAKER_OPENED = Family(
    name="tilores_cache_breaker_opened_total",
    kind="counter",
    labels=("tier", "operation"),
    help="How often a tier began to be left alone.",
)
CACHE_OWED = Family(
    name="tilores_cache_owed_invalidations",
    kind="gauge",
    labels=("tier",),
    help="Removals that a tier still has to make; what they are of is not served from it.",
)
CACHE_EVENTS = Family(
    name="tilores_cache_events_total",
    kind="counter",
    labels=("namespace", "event"),
    help="Above the tiers: coalesced (waited for somebody who asked the same), made, failed, refreshes, "
    "served_stale, served_on_error, dropped (an invalidation overtook it).",
)
CACHE_INVALIDATIONS = Family(
    name="tilores_cache_invalidations_total",
    kind="counter",
    labels=("event",),
    help="Messages about removals: sent, heard, lost, unreadable.",
)

# --- what goes on beside the requests --------------------------------------------------------------------

QUEUE_DEPTH = Family(
    name="tilores_queue_depth", kind="gauge", labels=("queue",), help="What waits in a queue behind the requests."
)
QUEUE_DROPPED = Family(
    name="tilores_queue_dropped_total",
    kind="counter",
    labels=("queue",),
    help="What did not fit into a queue and was left out.",
)
QUEUE_FAILED = Family(
    name="tilores_queue_failed_total",
    kind="counter",
    labels=("queue",),
    help="What the receiver at the end of a queue failed to take.",
)
LOOP_LAG = Family(
    name="tilores_event_loop_lag_seconds",
    kind="histogram",
    bounds=LAG_BOUNDS,
    help="How much later than asked for a timer of the event loop rings, four times a second.",
)

# --- batches and pre-warming -----------------------------------------------------------------------------

BATCHES_RUNNING = Family(name="tilores_batches_running", kind="gauge", help="Batches at work in the server.")
BATCH_LINES = Family(
    name="tilores_batch_lines_total",
    kind="counter",
    labels=("outcome",),
    help="Lines of the server's batches. outcome: all, and of these failed, cached, repeated (answered by an earlier "
    "line), unidentified. A batch that is gone on with after a restart counts what it has written anew.",
)
PREWARM_LEADING = Family(
    name="tilores_prewarm_leading",
    kind="gauge",
    help="Workers that warm by the plan; one of all replicas does.",
)
PREWARM_CUSTOMERS = Family(
    name="tilores_prewarm_customers_total",
    kind="counter",
    labels=("cause",),
    help="Customers that were warmed. cause: list, call (POST /events/call).",
)
PREWARM_ENTRIES = Family(
    name="tilores_prewarm_entries_total",
    kind="counter",
    labels=("cause", "result"),
    help="Records and answers: warmed, failed, kept (could not be renewed), or why they were skipped (fresh, budget, "
    "unnamed, unknown, too_many, late, outage).",
)
PREWARM_ANSWERS = Family(
    name="tilores_prewarm_answers_total", kind="counter", help="Answers that were made before anybody asked."
)
PREWARM_USED = Family(
    name="tilores_prewarm_used_answers_total", kind="counter", help="Of these, those that somebody asked for since."
)
PREWARM_HITS = Family(name="tilores_prewarm_hits_total", kind="counter", help="How often warmed answers were served.")

# --- the process -----------------------------------------------------------------------------------------

WORKERS = Family(name="tilores_workers", kind="gauge", help="Worker processes that are alive.")
CPU_SECONDS = Family(
    name="tilores_process_cpu_seconds_total", kind="counter", help="Processor time of all workers together."
)
MEMORY = Family(
    name="tilores_process_memory_bytes", kind="gauge", help="Resident memory of all workers together, on Linux."
)
BUILD = Family(name="tilores_build_info", kind="gauge", labels=("version",), merge="max", help="Always 1.")

FAMILIES: Final[tuple[Family, ...]] = tuple(value for value in tuple(globals().values()) if isinstance(value, Family))
BY_NAME: Final = {family.name: family for family in FAMILIES}
