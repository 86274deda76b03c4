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
    path = Path("plugins.toml")
    loaded = LoadedConfig(config=validate_config(config, path), path=path, packaged=False)
    application = create_app(
        load_environment(None, data_dir=folder), loaded=loaded, with_jobs=with_jobs, **(plan or {})
    )
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    inbox.put_nowait({"type": "lifespan.startup"})
    life = asyncio.create_task(application({"type": "lifespan"}, inbox.get, outbox.put))  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        begun = await outbox.get()
    assert begun["type"] == "lifespan.startup.complete", begun
    headers = {"Authorization": f"Bearer {read_key(folder, 'admin')}"}
    transport = httpx.ASGITransport(application)
    try:
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", timeout=30, headers=headers
        ) as http:
            yield App(http, application)
    finally:
        inbox.put_nowait({"type": "lifespan.shutdown"})
        await life
