"""Threads of this process, for whatever blocks: files, and sources or models whose code waits without giving way."""

from __future__ import annotations

from tilores_core import ExecutorSpec, SupportsThreads, hookimpl


@hookimpl
def register_executors() -> list[ExecutorSpec]:
    return [
        ExecutorSpec(
            name="threads",
            factory="tilores_plugins.executors.threads.pool:build",
            settings="tilores_plugins.executors.threads.pool:Settings",
            abilities=(SupportsThreads,),
            summary="Threads of this process",
        )
    ]
