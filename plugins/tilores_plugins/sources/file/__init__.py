"""The user's own customers, from a JSON, JSONL or CSV file."""

from __future__ import annotations

from tilores_core import (
    CustomerSourceSpec,
    SupportsListing,
    SupportsLocale,
    SupportsMentions,
    SupportsReport,
    hookimpl,
)


@hookimpl
def register_customer_sources() -> list[CustomerSourceSpec]:
    return [
        CustomerSourceSpec(
            name="file",
            factory="tilores_plugins.sources.file.source:build",
            settings="tilores_plugins.sources.file.settings:Settings",
            abilities=(SupportsListing, SupportsLocale, SupportsMentions, SupportsReport),
            summary="your own customers from a JSON, JSONL or CSV file",
        )
    ]
