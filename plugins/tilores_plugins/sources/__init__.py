"""Customer data sources."""
