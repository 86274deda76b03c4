"""The `tilores` command. Each command is a few lines over a service, which it imports when it runs."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted with Ctrl-C."""
    try:
        from tilores_core.cli.command import run  # importing takes a moment, in which Ctrl-C may come too

        run()
    except KeyboardInterrupt:
        sys.exit(130)
