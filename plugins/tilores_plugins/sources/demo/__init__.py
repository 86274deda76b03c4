"""The demo's customers: 520 invented people with records from several systems, made in memory from a seed."""

from __future__ import annotations

from tilores_core import CustomerSourceSpec, SupportsListing, SupportsMentions, hookimpl


@hookimpl
def register_customer_sources() -> list[CustomerSourceSpec]:
    return [
        CustomerSourceSpec(
            name="demo",
            factory="tilores_plugins.sources.demo.source:build",
            settings="tilores_plugins.sources.demo.source:Settings",
            abilities=(SupportsListing, SupportsMentions),
            synthetic=True,
            example="What is the credit score of Edwina Hawthorne?",
            summary="520 invented bank customers, Edwina Hawthorne among them",
        )
    ]
