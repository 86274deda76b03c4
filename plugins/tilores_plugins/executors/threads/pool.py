"""A pool of threads: `[plugins.threads]` in plugins.toml."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pydantic import BaseModel, ConfigDict, Field

from tilores_core import PluginContext


class Settings(BaseModel):
    """How many."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers: int = Field(default=5, ge=1, le=256, description="Threads, each of which does one thing at a time.")


def build(context: PluginContext) -> ThreadPoolExecutor:
    """No thread begins before there is something to do."""
    return ThreadPoolExecutor(context.settings.workers, thread_name_prefix="tilores-batch")
