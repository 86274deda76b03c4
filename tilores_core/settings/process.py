"""The process's variables, read without building `Environment`: listing plugins needs no more than this."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

ENV_FILE = ".env"


class Variables(dict[str, str]):
    """Variables by name. `from_file`: the names of those whose value is that of `.env`."""

    from_file: frozenset[str] = frozenset()


def variables(env_file: str | Path | None = ENV_FILE) -> Variables:
    """The process's environment over `.env` in the working folder. What references in plugins.toml see."""
    values = {k: v for k, v in dotenv_values(env_file).items() if v is not None} if env_file else {}
    found = Variables({**values, **os.environ})
    found.from_file = frozenset(values.keys() - os.environ.keys())
    return found


def switch_off_automatic_tracing() -> None:
    """Keep LangChain and LangSmith from sending every call by themselves, whatever the environment says.

    What may leave the process is decided by `[tracing]` and sent by the tracer plugins. LangSmith looks at this
    variable before all others, and no plugin reads it: LANGSMITH_TRACING keeps its meaning, also for child processes.
    With one of the other two, which belong to LangChain's removed first tracer, every call would fail.
    """
    os.environ["LANGSMITH_TRACING_V2"] = "false"
    for name in ("LANGCHAIN_TRACING", "LANGCHAIN_HANDLER"):
        os.environ.pop(name, None)
