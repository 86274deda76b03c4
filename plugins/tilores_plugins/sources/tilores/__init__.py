"""Customers from a Tilores instance, through its GraphQL API.

Nothing here imports httpx; the first call to the instance does.
"""

from __future__ import annotations

from tilores_core import CustomerSourceSpec, HealthCheckSpec, SupportsLocale, SupportsTools, hookimpl

_SETTINGS = "tilores_plugins.sources.tilores.settings:Settings"


@hookimpl
def register_customer_sources() -> list[CustomerSourceSpec]:
    return [
        CustomerSourceSpec(
            name="tilores",
            factory="tilores_plugins.sources.tilores.source:build",
            settings=_SETTINGS,
            requires={"httpx": "tilores-core[tilores]"},
            environment={
                "api_url": "TILORES_API_URL",
                "token_url": "TILORES_TOKEN_URL",
                "client_id": "TILORES_CLIENT_ID",
                "client_secret": "TILORES_CLIENT_SECRET",
                "scope": "TILORES_SCOPE",
                "timeout_seconds": "TILORES_TIMEOUT_SECONDS",
            },
            aliases={
                "api_url": "TILORES_GRAPHQL_API_URL",
                "token_url": "TILORES_OAUTH_TOKEN_URL",
                "timeout_milliseconds": "TILORES_TIMEOUT",
            },
            abilities=(SupportsLocale, SupportsTools),
            summary="customers of a Tilores instance, entity-resolved",
        )
    ]


@hookimpl
def register_health_checks() -> list[HealthCheckSpec]:
    return [
        HealthCheckSpec(
            name="tilores",
            factory="tilores_plugins.sources.tilores.status:build",
            settings=_SETTINGS,
            summary="token, last error and latency of the Tilores instance",
        )
    ]
