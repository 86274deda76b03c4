"""What tracers are told of a turn: sampled, masked, in queues of their own, and never waited for."""

from tilores_core.tracing.deployment import deployment_of
from tilores_core.tracing.tracing import Tracing

__all__ = ["Tracing", "deployment_of"]
