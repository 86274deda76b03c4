"""The whole application in this process, asked without a network."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import httpx

    from tilores_core.web.application import Application

_START_SECONDS = 90.0


class TestApp:
    """A running application that answers HTTP requests in memory.

        async with TestApp({"acme": acme.plugin}, {"use": {"cache": ["acme"]}}) as app:
            reply = await app.invoke("What is Edwina Hawthorne's credit score?")
            assert "742" in reply.json()["output"]["content"]

    Args:
        plugins: id -> the module (or object) that has the hooks, beside what is installed.
        config: the tables of plugins.toml. Without `[use]` it has the demo customers, the demo model and memory.
        data_dir: where it keeps its state; a temporary folder where it is not given.

    Attributes:
        data_dir: where it keeps its state.
        http: an `httpx.AsyncClient` for any request. It sends the admin key.
        application: the ASGI application.

    Raises `ConfigError` and `PluginError` as start-up does. Needs httpx, which is with `tilores-core[testing]`.
    """

    __test__ = False  # for pytest, which takes it for a class of tests
    data_dir: Path
    http: httpx.AsyncClient
    application: Application

    def __init__(
        self,
        plugins: Mapping[str, object] | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        data_dir: Path | None = None,
        **options: Any,
    ) -> None:
        self._plugins = plugins or {}
        self._config = {**(config or {})}
        self._config["use"] = {"cache": ["memory"], **self._config.get("use", {})}
        self._given_folder = data_dir
        self._options = options
        self._stack = AsyncExitStack()

    async def invoke(self, question: str, **configurable: Any) -> httpx.Response:
        """Ask by `POST /chat/invoke`. `configurable`: for example `customer_id` and `model`."""
        return await self.http.post(
            "/chat/invoke", json={"input": question, "config": {"configurable": configurable}}
        )

    async def complete(self, question: str, model: str = "demo:simulated-1", **more: Any) -> httpx.Response:
        """Ask by `POST /v1/chat/completions`. `more`: other keys of the body."""
        body = {"model": model, "messages": [{"role": "user", "content": question}], **more}
        return await self.http.post("/v1/chat/completions", json=body)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.data_dir = self._given_folder or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="tilores-test-"))
            )
            self.application = self._create()
            await stack.enter_async_context(_running(self.application))
            self.http = await stack.enter_async_context(self._client())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _create(self) -> Application:
        from tilores_core.app import create_app
        from tilores_core.host.plugin import Plugin, scan
        from tilores_core.settings import LoadedConfig, load_environment
        from tilores_core.settings.loader import validate_config

        path = Path("plugins.toml")
        loaded = LoadedConfig(config=validate_config(self._config, path), path=path, packaged=False)
        own = [
            Plugin(id=name, target=getattr(plugin, "__name__", name), distribution=name, version="0", module=plugin)
            for name, plugin in self._plugins.items()
        ]
        discovered = [*(plugin for plugin in scan() if plugin.id not in self._plugins), *own]
        environment = load_environment(None, data_dir=self.data_dir)
        return create_app(environment, loaded=loaded, **{"discovered": discovered, **self._options})

    def _client(self) -> httpx.AsyncClient:
        import httpx

        from tilores_core.settings.data_folder import read_key

        key = read_key(self.data_dir, "admin")
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.application),
            base_url="http://localhost",
            timeout=60,
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )


@asynccontextmanager
async def _running(application: Application) -> AsyncIterator[None]:
    """Started, and ended afterwards, as a server does it."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    to_app.put_nowait({"type": "lifespan.startup"})
    life = asyncio.create_task(application({"type": "lifespan"}, to_app.get, from_app.put))  # type: ignore[arg-type]
    try:
        async with asyncio.timeout(_START_SECONDS):
            started = await from_app.get()
        if started["type"] != "lifespan.startup.complete":
            raise RuntimeError(f"the application did not start: {started.get('message')}")
        yield
    finally:
        to_app.put_nowait({"type": "lifespan.shutdown"})
        await life
