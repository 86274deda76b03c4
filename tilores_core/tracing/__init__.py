"""Traces of turns: sampled, masked, in a queue per tracer, and never waited for."""

from tilores_core.tracing.tracing import Tracing as Tracing, deployment_of as deployment_of
