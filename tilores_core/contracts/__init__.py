"""What plugins hand back, and what a question and its answer look like; one module per role, and `turn`.

There is one small Protocol per role: a third party need not inherit from anything. A new ability is a new small
Protocol (`SupportsPeek`), since a method added to an old one would break every implementation. Values are frozen
dataclasses. Whether an object has its role's methods is checked once, when it is built; the suites in
`tilores_core.testing` check that the methods behave. An executor is a `concurrent.futures.Executor`. The roles
`alerts`, `optimizer` and `deploy` have no Protocol yet, as nothing uses their objects yet.
"""

from tilores_core.contracts.cache import (
    CacheEntry,
    CacheTier,
    SupportsBroadcast,
    SupportsLease,
    SupportsPeek,
    TierStats,
)
from tilores_core.contracts.llm import (
    LLMProvider,
    ModelInfo,
    SupportsUpstreams,
)
from tilores_core.contracts.plugin_context import (
    CallEvents,
    PluginContext,
)
from tilores_core.contracts.source import (
    Customer,
    CustomerSource,
    FieldInfo,
    Identifiers,
    MatchQuality,
    Record,
    SourceSchema,
    SupportsMentions,
    SupportsTools,
)
from tilores_core.contracts.tracer import (
    Feedback,
    Span,
    SpanKind,
    SupportsFeedback,
    Trace,
    Tracer,
)
from tilores_core.contracts.turn import (
    DEFAULT_CACHE_POLICY,
    DEFAULT_CALLER,
    Answer,
    Attempt,
    CachePolicy,
    Caller,
    CustomerChoice,
    CustomerKind,
    CustomerOutcome,
    Delta,
    FinishReason,
    Message,
    Observer,
    Outcome,
    Prompt,
    PromptSource,
    Purpose,
    ToolUse,
    Turn,
    Usage,
    current_purpose,
)

__all__ = [
    "DEFAULT_CACHE_POLICY",
    "DEFAULT_CALLER",
    "Answer",
    "Attempt",
    "CacheEntry",
    "CachePolicy",
    "CacheTier",
    "CallEvents",
    "Caller",
    "Customer",
    "CustomerChoice",
    "CustomerKind",
    "CustomerOutcome",
    "CustomerSource",
    "Delta",
    "Feedback",
    "FieldInfo",
    "FinishReason",
    "Identifiers",
    "LLMProvider",
    "MatchQuality",
    "Message",
    "ModelInfo",
    "Observer",
    "Outcome",
    "PluginContext",
    "Prompt",
    "PromptSource",
    "Purpose",
    "Record",
    "SourceSchema",
    "Span",
    "SpanKind",
    "SupportsBroadcast",
    "SupportsFeedback",
    "SupportsLease",
    "SupportsMentions",
    "SupportsPeek",
    "SupportsTools",
    "SupportsUpstreams",
    "TierStats",
    "ToolUse",
    "Trace",
    "Tracer",
    "Turn",
    "Usage",
    "current_purpose",
]
