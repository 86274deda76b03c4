"""The whole application in this process, with the demo customers, traced to a fake LangSmith."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tilores_core.testing import TestApp

EDWINA = "EDW_HAWTHORNE_001"
QUESTION = "What is Edwina Hawthorne's credit score?"
MODEL = "demo:simulated-1"
QUICK = {"schedule_delay_seconds": 0.01, "send_seconds": 3.0, "flush_seconds": 3.0}


class App(TestApp):
    """`tracing` is the running server's own."""

    @property
    def tracing(self) -> Any:
        assert self.application._service is not None
        return self.application._service.tracing

    @property
    def quality(self) -> Any:
        assert self.application._service is not None
        return self.application._service.quality

    async def invoke(self, question: str = QUESTION, **configurable: Any) -> httpx.Response:
        return await super().invoke(question, **configurable)

    async def complete(self, question: str = QUESTION, model: str = MODEL, **more: Any) -> httpx.Response:
        return await super().complete(question, model, **more)


@asynccontextmanager
async def traced_app(
    folder: Path,
    *,
    tracing: Mapping[str, Any] | None = None,
    langsmith: Mapping[str, Any] | None = None,
    tracers: tuple[str, ...] = ("langsmith",),
    with_jobs: bool = False,
    plan: Mapping[str, Any] | None = None,
    **tables: Any,
) -> AsyncIterator[App]:
    """`langsmith`: the plugin's table; `plan`: which plugins are loaded; `tables`: others of plugins.toml."""
    plugins = {**tables.pop("plugins", {}), **({"langsmith": dict(langsmith)} if langsmith is not None else {})}
    use = {"cache": ["memory"], "tracers": list(tracers), **tables.pop("use", {})}
    config = {"tracing": {**QUICK, **(tracing or {})}, "use": use, "plugins": plugins, **tables}
    async with App(config=config, data_dir=folder, with_jobs=with_jobs, **(plan or {})) as app:
        yield app
