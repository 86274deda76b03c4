"""Where this process runs, as far as its host says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_RAILWAY: Final = {
    "RAILWAY_DEPLOYMENT_ID": "deployment_id",
    "RAILWAY_REPLICA_ID": "replica_id",
    "RAILWAY_REPLICA_REGION": "replica_region",
    "RAILWAY_SERVICE_NAME": "service",
    "RAILWAY_ENVIRONMENT_NAME": "environment",
    "RAILWAY_GIT_COMMIT_SHA": "commit",
}
_LONGEST = 200


def deployment_of(variables: Mapping[str, str]) -> dict[str, str]:
    """Metadata of every trace; empty when nobody gives any."""
    return {name: value[:_LONGEST] for variable, name in _RAILWAY.items() if (value := variables.get(variable))}
