"""What plugins hand back, and what a question and its answer look like; one module per role, and `turn`.

There is one small Protocol per role: a third party need not inherit from anything. A new ability is a new small
Protocol (`SupportsPeek`), since a method added to an old one would break every implementation. Values are frozen
dataclasses. Whether an object has its role's methods is checked once, when it is built; the suites in
`tilores_core.testing` check that the methods behave. An executor is a `concurrent.futures.Executor`.
"""

from tilores_core.contracts.alert import (
    SEVERITIES as SEVERITIES,
    Alert as Alert,
    AlertChannel as AlertChannel,
    AlertNotice as AlertNotice,
    AlertSink as AlertSink,
    AlertState as AlertState,
    NoAlerts as NoAlerts,
    NoticeEntry as NoticeEntry,
    NoticeReason as NoticeReason,
    Severity as Severity,
)
from tilores_core.contracts.cache import (
    CacheEntry as CacheEntry,
    CacheTier as CacheTier,
    SupportsBroadcast as SupportsBroadcast,
    SupportsLease as SupportsLease,
    SupportsPeek as SupportsPeek,
    SupportsTagKeys as SupportsTagKeys,
    TierStats as TierStats,
)
from tilores_core.contracts.deploy import (
    DeployFinding as DeployFinding,
    DeployJournal as DeployJournal,
    DeployLog as DeployLog,
    Deployment as Deployment,
    DeployProject as DeployProject,
    DeployTarget as DeployTarget,
    DeployVariable as DeployVariable,
    Progress as Progress,
    SupportsFiles as SupportsFiles,
)
from tilores_core.contracts.executor import SupportsThreads as SupportsThreads
from tilores_core.contracts.extractor import (
    CustomerExtractor as CustomerExtractor,
    Evidence as Evidence,
    Strength as Strength,
)
from tilores_core.contracts.llm import (
    CompletionPiece as CompletionPiece,
    CompletionRequest as CompletionRequest,
    LLMProvider as LLMProvider,
    ModelInfo as ModelInfo,
    SupportsCompletion as SupportsCompletion,
    SupportsUpstreams as SupportsUpstreams,
)
from tilores_core.contracts.optimizer import (
    FAULTS as FAULTS,
    Candidate as Candidate,
    Change as Change,
    Fault as Fault,
    Lesson as Lesson,
    OptimizerStrategy as OptimizerStrategy,
    OptimizerTask as OptimizerTask,
    ScoredCandidate as ScoredCandidate,
    ScoredCase as ScoredCase,
    rank_candidates as rank_candidates,
)
from tilores_core.contracts.plugin_context import (
    CallEvents as CallEvents,
    PluginCache as PluginCache,
    PluginContext as PluginContext,
    PluginServices as PluginServices,
    PluginState as PluginState,
    ServicesNotOpenError as ServicesNotOpenError,
)
from tilores_core.contracts.source import (
    Customer as Customer,
    CustomerSource as CustomerSource,
    FieldInfo as FieldInfo,
    Identifiers as Identifiers,
    MatchQuality as MatchQuality,
    Record as Record,
    SourceLocale as SourceLocale,
    SourceReport as SourceReport,
    SourceSchema as SourceSchema,
    SupportsListing as SupportsListing,
    SupportsLocale as SupportsLocale,
    SupportsMentions as SupportsMentions,
    SupportsReport as SupportsReport,
    SupportsTools as SupportsTools,
)
from tilores_core.contracts.tracer import (
    Feedback as Feedback,
    Span as Span,
    SupportsFeedback as SupportsFeedback,
    Trace as Trace,
    Tracer as Tracer,
)
from tilores_core.contracts.turn import (
    DEFAULT_CACHE_POLICY as DEFAULT_CACHE_POLICY,
    DEFAULT_CALLER as DEFAULT_CALLER,
    Answer as Answer,
    Arm as Arm,
    Attempt as Attempt,
    CachePolicy as CachePolicy,
    Caller as Caller,
    CustomerChoice as CustomerChoice,
    CustomerKind as CustomerKind,
    CustomerOutcome as CustomerOutcome,
    Delta as Delta,
    ExperimentArm as ExperimentArm,
    FinishReason as FinishReason,
    Message as Message,
    Observer as Observer,
    Outcome as Outcome,
    Prompt as Prompt,
    PromptChoice as PromptChoice,
    PromptSource as PromptSource,
    Purpose as Purpose,
    ToolUse as ToolUse,
    Turn as Turn,
    Usage as Usage,
    current_purpose as current_purpose,
)
