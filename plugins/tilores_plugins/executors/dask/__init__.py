"""A Dask cluster: one that is there, by its scheduler's address, or a local one."""

from __future__ import annotations

from tilores_core import ExecutorSpec, hookimpl


@hookimpl
def register_executors() -> list[ExecutorSpec]:
    return [
        ExecutorSpec(
            name="dask",
            factory="tilores_plugins.executors.dask.cluster:build",
            settings="tilores_plugins.executors.dask.settings:Settings",
            requires={"distributed": "tilores-core[dask]"},
            environment={"address": "DASK_SCHEDULER_ADDRESS"},
            summary="Processes of a Dask cluster",
        )
    ]
