"""Traces to LangSmith. Needs a key; nothing here imports httpx, building the tracer does."""

from __future__ import annotations

from tilores_core import PluginContext, PluginError, SupportsFeedback, Tracer, TracerSpec, hookimpl
from tilores_plugins.tracing.langsmith.settings import Settings


def build(context: PluginContext) -> Tracer:
    """Raises `PluginError` when it is not to trace, or cannot."""
    settings: Settings = context.settings
    if not settings.tracing:
        raise PluginError("LANGSMITH_TRACING says no", plugin=context.plugin_id, fix="unset it to send traces")
    key = settings.api_key.get_secret_value().strip() if settings.api_key is not None else ""
    if not key:
        raise PluginError(
            "there is no key", plugin=context.plugin_id, fix="set LANGSMITH_API_KEY to send traces to LangSmith"
        )
    from tilores_plugins.tracing.langsmith.tracer import LangSmithTracer

    return LangSmithTracer(settings, key)


@hookimpl
def register_tracers() -> list[TracerSpec]:
    return [
        TracerSpec(
            name="langsmith",
            factory=build,
            settings=Settings,
            requires={"httpx": "tilores-core[langsmith]"},
            environment={
                "tracing": "LANGSMITH_TRACING",
                "api_key": "LANGSMITH_API_KEY",
                "project": "LANGSMITH_PROJECT",
                "endpoint": "LANGSMITH_ENDPOINT",
                "workspace_id": "LANGSMITH_WORKSPACE_ID",
            },
            aliases={
                "tracing": "LANGCHAIN_TRACING_V2",
                "api_key": "LANGCHAIN_API_KEY",
                "project": "LANGCHAIN_PROJECT",
                "endpoint": "LANGCHAIN_ENDPOINT",
            },
            abilities=(SupportsFeedback,),
            summary="Traces to LangSmith",
        )
    ]
