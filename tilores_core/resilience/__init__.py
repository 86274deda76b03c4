"""Parts that keep calls in order when services fail, are slow or are asked for the same thing at once."""

from tilores_core.resilience.circuit_breaker import CircuitBreaker, Condition
from tilores_core.resilience.in_flight import InFlightCall, InFlightCalls
from tilores_core.resilience.lease import Lease, LeaseBackend, acquire_lease
from tilores_core.resilience.priority import Budget, Priority
from tilores_core.resilience.time_limit import TimeLimit

__all__ = [
    "Budget",
    "CircuitBreaker",
    "Condition",
    "InFlightCall",
    "InFlightCalls",
    "Lease",
    "LeaseBackend",
    "Priority",
    "TimeLimit",
    "acquire_lease",
]
