"""Parts that keep calls in order when services fail, are slow or are asked for the same thing at once."""

from tilores_core.resilience.circuit_breaker import CircuitBreaker as CircuitBreaker, Condition as Condition
from tilores_core.resilience.in_flight import InFlightCall as InFlightCall, InFlightCalls as InFlightCalls
from tilores_core.resilience.lease import (
    Lease as Lease,
    LeaseBackend as LeaseBackend,
    acquire_lease as acquire_lease,
    lead as lead,
)
from tilores_core.resilience.priority import Budget as Budget, Priority as Priority
from tilores_core.resilience.tasks import (
    call_about as call_about,
    cancel_tasks as cancel_tasks,
    current_task as current_task,
    wait_for_event as wait_for_event,
)
from tilores_core.resilience.time_limit import TimeLimit as TimeLimit
