"""A batch executor: any `concurrent.futures.Executor`; here one with a process per core."""

from concurrent.futures import ProcessPoolExecutor

from tilores_core import ExecutorSpec, PluginContext, hookimpl


def build(context: PluginContext) -> ProcessPoolExecutor:
    return ProcessPoolExecutor()


@hookimpl
def register_executors() -> list[ExecutorSpec]:
    return [ExecutorSpec(name="acme-processes", factory=build, summary="a process per core")]
