"""Traces to any collector that speaks OTLP over HTTP, as OpenTelemetry spans by the GenAI conventions.

Nothing here imports the protocol's messages or httpx; building the tracer does.
"""

from __future__ import annotations

from tilores_core import HealthCheckSpec, SupportsFeedback, TracerSpec, hookimpl

_SETTINGS = "tilores_plugins.tracing.otel.settings:Settings"


@hookimpl
def register_tracers() -> list[TracerSpec]:
    return [
        TracerSpec(
            name="otel",
            factory="tilores_plugins.tracing.otel.tracer:build",
            settings=_SETTINGS,
            requires={"opentelemetry.proto": "tilores-core[otel]", "httpx": "tilores-core[otel]"},
            environment={
                "endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
                "traces_endpoint": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "headers": "OTEL_EXPORTER_OTLP_HEADERS",
                "compression": "OTEL_EXPORTER_OTLP_COMPRESSION",
                "certificate": "OTEL_EXPORTER_OTLP_CERTIFICATE",
                "service_name": "OTEL_SERVICE_NAME",
                "resource_attributes": "OTEL_RESOURCE_ATTRIBUTES",
            },
            abilities=(SupportsFeedback,),
            summary="Traces by OTLP to an OpenTelemetry collector",
        )
    ]


@hookimpl
def register_health_checks() -> list[HealthCheckSpec]:
    return [
        HealthCheckSpec(
            name="otel",
            factory="tilores_plugins.tracing.otel.status:build",
            settings=_SETTINGS,
            summary="what the OpenTelemetry collector took, refused and left unanswered",
        )
    ]
