"""Traces to LangSmith. Needs a key; the library comes with langchain-core and is imported by the first trace."""

from __future__ import annotations

from tilores_core import SupportsFeedback, TracerSpec, hookimpl


@hookimpl
def register_tracers() -> list[TracerSpec]:
    return [
        TracerSpec(
            name="langsmith",
            factory="tilores_plugins.tracing.langsmith.tracer:build",
            settings="tilores_plugins.tracing.langsmith.settings:Settings",
            requires={"langsmith": "tilores-core[langsmith]"},
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
