"""Cache tiers."""
