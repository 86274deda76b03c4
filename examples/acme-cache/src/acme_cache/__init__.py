"""A cache tier for tilores-core."""
