"""The process's variables, read without building `Environment`: listing plugins needs no more than this."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

ENV_FILE = ".env"


def variables(env_file: str | Path | None = ENV_FILE) -> dict[str, str]:
    """The process's environment over `.env` in the working folder. What references in plugins.toml see."""
    values = {k: v for k, v in dotenv_values(env_file).items() if v is not None} if env_file else {}
    return {**values, **os.environ}
