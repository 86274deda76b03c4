"""Traces of turns: sampled, masked, in a queue per tracer, and never waited for."""

from tilores_core.tracing.tracing import Tracing, deployment_of

__all__ = ["Tracing", "deployment_of"]
