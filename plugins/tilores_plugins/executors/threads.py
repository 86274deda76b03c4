"""Threads of this process, for whatever blocks: files, and sources or models whose code waits without giving way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pydantic import BaseModel, ConfigDict, Field

from tilores_core import ExecutorSpec, PluginContext, SupportsThreads, hookimpl


class Settings(BaseModel):
    """`[plugins.threads]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers: int = Field(default=5, ge=1, le=256, description="Threads, each of which does one thing at a time.")


class ThreadPool(ThreadPoolExecutor):
    """Starts threads when there is something to do."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, thread_name_prefix="tilores-batch")
        self._threads_at_most = threads

    def thread_count(self) -> int:
        return self._threads_at_most


def build(context: PluginContext) -> ThreadPool:
    return ThreadPool(context.settings.workers)


@hookimpl
def register_executors() -> list[ExecutorSpec]:
    return [
        ExecutorSpec(
            name="threads",
            factory=build,
            settings=Settings,
            abilities=(SupportsThreads,),
            summary="Threads of this process",
        )
    ]
