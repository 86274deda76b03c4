"""The plugin host: scan, plan, load, build, close."""
