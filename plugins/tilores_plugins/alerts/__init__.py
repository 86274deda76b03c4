"""Alert channels: where notices of alerts go."""
