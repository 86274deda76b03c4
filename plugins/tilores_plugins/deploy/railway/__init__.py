"""Railway: deploys one service of one environment through its GraphQL API."""

from __future__ import annotations

from tilores_core import DeployTargetSpec, hookimpl


@hookimpl
def register_deploy_targets() -> list[DeployTargetSpec]:
    return [
        DeployTargetSpec(
            name="railway",
            factory="tilores_plugins.deploy.railway.target:build",
            settings="tilores_plugins.deploy.railway.settings:Settings",
            requires={"httpx": "tilores-core[railway]"},
            environment={
                "api_url": "RAILWAY_API_URL",
                "token": "RAILWAY_TOKEN",
                "project_id": "RAILWAY_PROJECT_ID",
                "environment_id": "RAILWAY_ENVIRONMENT_ID",
                "service_id": "RAILWAY_SERVICE_ID",
            },
            summary="Railway, through its GraphQL API",
        )
    ]
