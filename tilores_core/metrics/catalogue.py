"""Every metric of the server, on one page. What is not here cannot be counted, and docs, dashboard and alert rules
are checked against it. A later part adds its families here and its values with `Metrics.watch`."""

from __future__ import annotations

from typing import Final

from tilores_core.metrics.family import Family

REQUEST_BOUNDS: Final = (
    *(0.00002, 0.00003, 0.00005, 0.00007, 0.0001, 0.0002, 0.0005),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""An answer from memory takes 30 to 100 microseconds, one from a model seconds."""
MODEL_BOUNDS: Final = (0.005, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0)
SOURCE_BOUNDS: Final = (0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LAG_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

_MODEL: Final = ("provider", "model")
_TIER: Final = ("tier",)
_ENTRY: Final = ("tier", "namespace")


def _counter(name: str, help: str, *labels: str) -> Family:
    return Family(name=f"tilores_{name}_total", kind="counter", help=help, labels=labels)


def _gauge(name: str, help: str, *labels: str) -> Family:
    return Family(name=f"tilores_{name}", kind="gauge", help=help, labels=labels)


def _shared_gauge(name: str, help: str, *labels: str) -> Family:
    """All workers report the same thing, so the largest value counts and not the sum."""
    return Family(name=f"tilores_{name}", kind="gauge", help=help, labels=labels, merge="max")


def _histogram(name: str, bounds: tuple[float, ...], help: str, *labels: str) -> Family:
    return Family(name=f"tilores_{name}", kind="histogram", help=help, labels=labels, bounds=bounds)


# --- requests --------------------------------------------------------------------------------------------

REQUESTS = _counter(
    "requests",
    "Requests answered. cache: l1, l2, ..., miss, or empty for other requests. Status 499: the client left.",
    *("route", "status", "cache"),
)
REQUEST_SECONDS = _histogram(
    "request_duration_seconds",
    REQUEST_BOUNDS,
    "From a request's headers to its whole answer, in this process.",
    *("route", "cache"),
)
FIRST_TOKEN = _histogram(
    "first_token_seconds",
    REQUEST_BOUNDS,
    "From a request's headers to the first piece of its streamed answer; fillers do not count.",
    "cache",
)
STREAM_FAILURES = _counter(
    "stream_failures", "Streams that ended with an error after their first piece; their status is 200.", "route"
)
IN_PROGRESS = _gauge("requests_in_progress", "Chat requests waiting for an answer that is in no cache tier.")

# --- models ----------------------------------------------------------------------------------------------

ATTEMPTS = _counter(
    "model_attempts",
    "Calls of models. outcome: ok or an error code. A model that no provider lists is `other`.",
    *(*_MODEL, "outcome"),
)
ATTEMPT_SECONDS = _histogram(
    "model_attempt_seconds", MODEL_BOUNDS, "Calls of models, from the call to the whole answer or the error.", *_MODEL
)
MODEL_FIRST_TOKEN = _histogram(
    "model_first_token_seconds", MODEL_BOUNDS, "From a model's call to its first token, if there was one.", *_MODEL
)
TOKENS = _counter(
    "model_tokens",
    "Tokens as the provider counted them. direction: input, output; purpose: live, batch, prewarm and so on.",
    *(*_MODEL, "direction", "purpose"),
)
COST = _counter("model_cost_dollars", "US dollars, for models with a known price.", *_MODEL, "purpose")
HEDGES = _counter("model_hedges", "Hedged calls: second calls made because the first was slow.", *_MODEL)
FALLBACKS = _counter(
    "model_fallbacks", "Answers by another model than the one that was requested.", "model", "answered_by"
)
MODEL_BREAKER_OPEN = _gauge("model_breaker_open", "Workers whose circuit breaker for the model is open.", *_MODEL)
MODEL_BREAKER_OPENED = _counter("model_breaker_opened", "How often a circuit breaker for the model opened.", *_MODEL)

# --- customers and grounding -----------------------------------------------------------------------------

SOURCE_LOOKUPS = _counter(
    "source_lookups",
    "Look-ups in the customer source. outcome: ok (also when no customer was found) or an error code.",
    "outcome",
)
SOURCE_SECONDS = _histogram(
    "source_lookup_seconds", SOURCE_BOUNDS, "Duration of look-ups in the customer source, failed ones included."
)
GROUNDING = _counter(
    "grounding_answers",
    "Answers of models checked against the records. outcome: checked (all), flagged, blocked.",
    "outcome",
)

# --- prompts ---------------------------------------------------------------------------------------------

PROMPT_VERSION = _shared_gauge("prompt_version", "Number of the prompt version that a label points at.", "label")
PROMPT_STALE = _shared_gauge(
    "prompt_stale", "1 while the store does not answer and the last known prompt version serves, else 0."
)
PROMPT_DEPLOYMENTS = _counter(
    "prompt_deployments",
    "Deployments by this server. result: deployed, refused (by a check), failed (the store), rolled_back.",
    "result",
)

# --- experiments -----------------------------------------------------------------------------------------

EXPERIMENT_ASSIGNMENTS = _counter(
    "experiment_assignments",
    "Live turns to which a running experiment gave an arm, answers from the cache among them.",
    *("experiment", "arm"),
)
EXPERIMENT_EXPOSURES = _counter(
    "experiment_exposures",
    "Sessions or customers that met their arm for the first time in a web process.",
    *("experiment", "arm"),
)
EXPERIMENT_EXCLUSIONS = _counter(
    "experiment_exclusions",
    "Turns of a running experiment that were left out of its scores. reason: fallback (another model answered), "
    "unreliable (not scored), repeat (the session has a score).",
    *("experiment", "reason"),
)
EXPERIMENT_LIFT = _shared_gauge(
    "experiment_lift",
    "Difference of the mean scores at the last look. bound: estimate, and low and high of the always-valid interval.",
    *("experiment", "bound"),
)
EXPERIMENT_CONFIDENCE = _shared_gauge(
    "experiment_confidence", "Confidence at the last look that the candidate is better.", "experiment"
)
EXPERIMENT_DECISION = _shared_gauge(
    "experiment_decision",
    "1 for what the last look at a running experiment came to: continue, propose, advance, deploy and so on.",
    *("experiment", "decision"),
)
EXPERIMENTS_ENDED = _counter(
    "experiments_ended",
    "Experiments that this server ended. outcome: deployed, won, kept, harm, mismatch, superseded, refused, stopped.",
    "outcome",
)

# --- cache -----------------------------------------------------------------------------------------------

CACHE_HITS = _counter("cache_hits", "Entries found in a tier.", *_ENTRY)
CACHE_MISSES = _counter("cache_misses", "Entries not found in a tier.", *_ENTRY)
CACHE_PROMOTIONS = _counter("cache_promotions", "Entries copied into a tier because a lower one had them.", *_ENTRY)
CACHE_STORES = _counter("cache_stores", "New entries stored in a tier.", *_ENTRY)
CACHE_DAMAGED = _counter("cache_damaged", "Entries that could not be read.", *_ENTRY)
CACHE_EVICTIONS = _counter("cache_evictions", "Entries removed to make room, where the tier reports it.", *_TIER)
CACHE_EXPIRATIONS = _counter(
    "cache_expirations", "Entries removed at the end of their life, where the tier reports it.", *_TIER
)
CACHE_ERRORS = _counter("cache_errors", "Calls of a tier that failed.", *_TIER)
CACHE_SKIPPED = _counter("cache_skipped", "Calls of a tier that were skipped because its breaker was open.", *_TIER)
CACHE_ENTRIES = _gauge("cache_entries", "Entries in the in-process tiers.", *_TIER)
CACHE_BYTES = _gauge("cache_bytes", "Memory of the in-process tiers, all workers together.", *_TIER)
CACHE_SHARED_BYTES = _shared_gauge(
    "cache_shared_bytes", "Memory of a tier that the workers share, as its server reports it.", *_TIER
)
CACHE_BREAKER_OPEN = _gauge(
    "cache_breaker_open",
    "Workers whose circuit breaker for the tier is open. operation: read, write.",
    "tier",
    "operation",
)
CACHE_BREAKER_OPENED = _counter(
    "cache_breaker_opened", "How often a circuit breaker for the tier opened.", "tier", "operation"
)
CACHE_PENDING = _gauge(
    "cache_pending_invalidations",
    "Invalidations that failed and will be retried. Matching entries are not served meanwhile.",
    *_TIER,
)
CACHE_EVENTS = _counter(
    "cache_events",
    "Above the tiers: coalesced (waited for an identical request), made, failed, refreshes, served_stale, "
    "served_on_error, dropped (invalidated while it was being made).",
    *("namespace", "event"),
)
CACHE_INVALIDATIONS = _counter(
    "cache_invalidations", "Messages about invalidations: sent, heard, lost, unreadable.", "event"
)

# --- queues and the event loop ---------------------------------------------------------------------------

QUEUE_DEPTH = _gauge("queue_depth", "Items waiting in a queue behind the requests.", "queue")
QUEUE_DROPPED = _counter("queue_dropped", "Items dropped because a queue was full.", "queue")
QUEUE_FAILED = _counter("queue_failed", "Items that the receiver at the end of a queue failed to take.", "queue")
LOOP_LAG = _histogram(
    "event_loop_lag_seconds", LAG_BOUNDS, "Event loop lag: how late a timer fires, sampled four times a second."
)

# --- alerts ----------------------------------------------------------------------------------------------

ALERTS_RAISED = _counter("alerts_raised", "Alerts raised in this process, repetitions included.")
ALERTS_OPEN = _shared_gauge("alerts_open", "Alerts that are open or acknowledged.", "severity")
ALERT_MESSAGES = _counter(
    "alert_messages",
    "Messages to alert channels. result: sent, failed (tried again later), given_up.",
    *("channel", "result"),
)
ALERTS_WAITING = _shared_gauge("alerts_waiting", "Alerts that wait to be sent to a channel.", "channel")

# --- batches and pre-warming -----------------------------------------------------------------------------

BATCHES_RUNNING = _gauge("batches_running", "Batches in progress.")
BATCH_LINES = _counter(
    "batch_lines",
    "Lines of batches. outcome: all, and of these failed, cached, repeated (answered by an earlier line), "
    "unidentified. Each line once, when it is in the output, also where a batch is resumed.",
    "outcome",
)
PREWARM_LEADING = _gauge("prewarm_leading", "Processes that run the pre-warm schedule; one of all replicas does.")
PREWARM_CUSTOMERS = _counter(
    "prewarm_customers", "Customers that were pre-warmed. cause: list, call (POST /events/call).", "cause"
)
PREWARM_ENTRIES = _counter(
    "prewarm_entries",
    "Records and answers: warmed, failed, kept (could not be renewed), or why they were skipped (fresh, budget, "
    "unnamed, unknown, too_many, late, outage).",
    *("cause", "result"),
)
PREWARM_ANSWERS = _counter("prewarm_answers", "Answers that were made before they were requested.")
PREWARM_USED = _counter("prewarm_used_answers", "Pre-warmed answers that were requested since.")
PREWARM_HITS = _counter("prewarm_hits", "How often pre-warmed answers were served.")

# --- live quality ----------------------------------------------------------------------------------------

HEALING_EPISODES = _counter(
    "healing_episodes",
    "Episodes of healing that ended, by diagnosis, action and state: healed, not healed, reported.",
    *("diagnosis", "action", "state"),
)
QUALITY_ANSWERS = _counter(
    "quality_answers",
    "Live answers of models by what became of them: scored, over_budget ([quality] live_cpu_percent), not_scorable, "
    "failed, dropped.",
    "result",
)
QUALITY_SCORES = _counter("quality_scores", "Scores of live answers.", *(*_MODEL, "spectrum", "score"))
QUALITY_SUM = _counter(
    "quality_score_sum",
    "Sum of those scores, each from 0 to 1; divided by their number, their mean.",
    *(*_MODEL, "spectrum", "score"),
)
QUALITY_CPU = _counter("quality_cpu_seconds", "Processor time that scoring live answers has taken.")
QUALITY_WAITING = _gauge("quality_windows_waiting", "Windows of live scores that are not in the store yet.")
QUALITY_FAILURES = _counter("quality_store_failures", "Times that live scores could not be added to the store.")
QUALITY_FEEDBACK = _counter(
    "quality_feedback",
    "Feedback by what became of it: joined (to its answer), handed_on (to the process that knows the answer), "
    "ignored (no score from 0 to 1), dropped.",
    "result",
)

# --- evaluations -----------------------------------------------------------------------------------------

EVALUATION_ANSWERS = _counter(
    "evaluation_answers", "Answers of evaluations that the worker process did. result: ok, failed.", "result"
)
EVALUATION_SCORE = _shared_gauge(
    "evaluation_score",
    "Mean overall score of the worker process's latest evaluation, from 0 to 1.",
    *(*_MODEL, "spectrum"),
)

# --- the process -----------------------------------------------------------------------------------------

WORKERS = _gauge("workers", "Web processes that are alive.")
CPU_SECONDS = _counter("process_cpu_seconds", "Processor time of all web processes together.")
MEMORY = _gauge("process_memory_bytes", "Resident memory of all web processes together, on Linux.")
BUILD = _shared_gauge("build_info", "Always 1.", "version")

FAMILIES: Final[tuple[Family, ...]] = tuple(value for value in tuple(globals().values()) if isinstance(value, Family))
BY_NAME: Final = {family.name: family for family in FAMILIES}
