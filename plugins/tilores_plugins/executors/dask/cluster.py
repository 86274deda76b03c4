"""Dask as a `concurrent.futures.Executor`."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, TypeVar

from distributed import Client, LocalCluster

from tilores_core import PluginContext, PluginError
from tilores_plugins.executors.dask import Settings

T = TypeVar("T")
_CLOSE_SECONDS = 4.0


class DaskExecutor(Executor):
    """A client of a cluster. A task whose worker dies is done by another; after three deaths its future fails.

    `cluster`: the one that was started for this client and ends with it, if any.
    """

    def __init__(self, client: Any, cluster: Any | None) -> None:
        self._client = client
        self._cluster = cluster
        # pure: the same lines asked again are another task, not the former one's result.
        self._executor = client.get_executor(pure=False)

    @property
    def client(self) -> Any:
        """The `distributed.Client`."""
        return self._client

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = self._executor.submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait=wait)  # not waiting, it cancels what is not done
        with suppress(TimeoutError, OSError):  # a cluster that is gone is closed as well
            self._client.close(timeout=_CLOSE_SECONDS)
        if self._cluster is not None:
            with suppress(TimeoutError, OSError):
                self._cluster.close(timeout=_CLOSE_SECONDS)

    async def aclose(self) -> None:
        await asyncio.to_thread(self.shutdown, wait=False, cancel_futures=True)


def build(context: PluginContext) -> DaskExecutor:
    """Connect, or start a cluster; it waits until there is a worker. Raises `PluginError`."""
    settings: Settings = context.settings
    logging.getLogger("distributed").setLevel(logging.WARNING)  # it tells of every connection
    cluster = None if settings.address else _local(settings)
    try:
        client: Any = Client(  # type: ignore[no-untyped-call]
            cluster or settings.address, timeout=settings.connect_seconds, set_as_default=False, asynchronous=False
        )
        client.wait_for_workers(1, timeout=settings.connect_seconds)
    except (OSError, TimeoutError, ValueError) as error:
        if cluster is not None:
            cluster.close()
        raise PluginError(
            f"no Dask cluster answers within {settings.connect_seconds:g} s ({type(error).__name__})",
            plugin=context.plugin_id,
            fix="check [plugins.dask] address, and that the cluster has workers",
        ) from error
    return DaskExecutor(client, cluster)


def _local(settings: Settings) -> Any:
    return LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=settings.workers or os.cpu_count() or 1,
        threads_per_worker=settings.threads_per_worker,
        processes=True,
        dashboard_address="127.0.0.1:0",
        silence_logs=50,
        asynchronous=False,
    )
