"""Alerts: raised anywhere (`queue`), kept in the store, delivered by one process (`system`)."""
