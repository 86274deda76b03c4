"""The cache: keys, values, and tiers used as one. Each tier is a plugin."""
