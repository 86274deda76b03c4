"""A Dask cluster: one that is there, by its scheduler's address, or a local one."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from tilores_core import ExecutorSpec, hookimpl


class Settings(BaseModel):
    """`[plugins.dask]`: which cluster. What else Dask can be told (TLS, time-outs) is in its own configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field(
        default="",
        description="The scheduler's address, tcp://host:8786. Empty: a cluster on this machine, for this batch.",
    )
    workers: int = Field(
        default=0, ge=0, le=256, description="Processes of a local cluster; 0 means one for each processor."
    )
    threads_per_worker: int = Field(
        default=1, ge=1, le=64, description="Chunks that a process of a local cluster does at once."
    )
    connect_seconds: float = Field(
        default=30.0, gt=0, le=600, description="Longest wait for the scheduler and its first worker."
    )


@hookimpl
def register_executors() -> list[ExecutorSpec]:
    return [
        ExecutorSpec(
            name="dask",
            factory="tilores_plugins.executors.dask.cluster:build",
            settings=Settings,
            requires={"distributed": "tilores-core[dask]"},
            environment={"address": "DASK_SCHEDULER_ADDRESS"},
            summary="Processes of a Dask cluster",
        )
    ]
