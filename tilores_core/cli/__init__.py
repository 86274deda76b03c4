"""The `tilores` command. Each command is a few lines over a service, which it imports when it runs."""

from tilores_core.cli.main import main

__all__ = ["main"]
