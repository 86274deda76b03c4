"""The example of each role in docs/plugins.md, run as a plugin."""

from __future__ import annotations

import importlib.util
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from tests.tracing.traced_app import App, traced_app
from tilores_core import Identifiers, LLMProvider, PluginContext, ServicesNotOpenError
from tilores_core.host.plugin import Plugin, scan
from tilores_core.settings.data_folder import read_key
from tilores_core.testing import COMMANDS, EXECUTOR, LLM, OPTIMIZER, SOURCE, TRACERS, isolated_host
from tilores_core.testing.fake_upstream import FakeUpstream
from tilores_core.testing.optimizers import OptimizerStrategySuite
from tilores_core.testing.provider_wire import LLMProviderWireSuite
from tilores_core.testing.sources import CustomerSourceSuite, KnownCustomer
from tilores_core.testing.tracers import sample_trace
from tilores_core.testing.waiting import eventually

ROLES = Path(__file__).parents[2] / "examples" / "roles"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def plugin(name: str) -> Plugin:
    return Plugin(id=name.replace("_", "-"), target=name, distribution="acme", version="1", module=load(name))


def test_every_example_is_in_the_docs() -> None:
    page = (ROLES.parents[1] / "docs" / "plugins.md").read_text()
    for path in sorted(ROLES.glob("*.py")):
        assert f"<!-- generated: file examples/roles/{path.name} -->" in page


class TestProvider(LLMProviderWireSuite):
    dialect = "openai-compatible"
    no_state = "LangChain's ChatOpenAI passes on no thoughts"

    def make(self, upstream: FakeUpstream, key: str | None) -> LLMProvider:
        host = isolated_host(
            {"acme": load("acme_provider")},
            {"plugins": {"acme": {"base_url": upstream.base_url, **({"api_key": key} if key else {})}}},
            data_dir=Path(),
        )
        return host.build(LLM, "acme")

    @pytest.fixture
    def model(self) -> str:
        return "acme-small"


class TestSource(CustomerSourceSuite):
    @pytest.fixture
    def source(self) -> Any:
        return isolated_host({"acme": load("acme_source")}, data_dir=Path()).build(SOURCE, "acme")

    @pytest.fixture
    def known(self) -> KnownCustomer:
        return KnownCustomer(id="A1", name="Ada Brown")


class TestOptimizer(OptimizerStrategySuite):
    @pytest.fixture
    def strategy(self) -> Any:
        return isolated_host({"acme": load("acme_optimizer")}, data_dir=Path()).build(OPTIMIZER, "acme")

    @pytest.fixture
    def reply(self) -> Any:
        return lambda prompt: "Copy every digit." if "inexact" in prompt else "Answer in at most two sentences."


async def test_tracer_example_writes_a_line_per_trace(tmp_path: Path) -> None:
    tracer = isolated_host({"acme": load("acme_tracer")}, data_dir=tmp_path).build(TRACERS, "acme")
    await tracer.record([sample_trace(), sample_trace()])
    rows = [json.loads(line) for line in (tmp_path / "acme-traces.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    assert rows[0]["seconds"] > 0


async def test_executor_example_is_a_pool_and_closed_with_the_host(tmp_path: Path) -> None:
    host = isolated_host({"acme": load("acme_executor")}, data_dir=tmp_path)
    pool = host.build(EXECUTOR, "acme-processes")
    assert isinstance(pool, ProcessPoolExecutor)
    await host.aclose()
    with pytest.raises(RuntimeError):
        pool.submit(int)


def test_command_example_prints_the_data_folder(tmp_path: Path) -> None:
    host = isolated_host({"acme": load("acme_command")}, data_dir=tmp_path)
    command = host.build(
        COMMANDS, "acme-command/acme" if "acme-command/acme" in host.names(COMMANDS) else "acme/acme"
    )
    assert CliRunner().invoke(command, ["where"]).output.strip() == str(tmp_path)


def built_in_and(*names: str) -> dict[str, Any]:
    return {"discovered": [*(one for one in scan() if one.builtin), *(plugin(name) for name in names)]}


async def test_router_example_asks_behind_the_chat_key_and_keeps_settings_for_administrators(tmp_path: Path) -> None:
    async with traced_app(tmp_path, tracers=(), plan=built_in_and("acme_router")) as app:
        answer = await app.http.get("/plugins/acme-router/balance/EDW_HAWTHORNE_001")
        assert answer.status_code == 200
        assert answer.json()["answer"]
        refused = await app.http.get("/plugins/acme-router/settings", headers={"Authorization": "Bearer wrong"})
        assert refused.status_code == 401
        key = {"Authorization": f"Bearer {read_key(tmp_path, 'admin')}"}
        admitted = await app.http.get("/plugins/acme-router/settings", headers=key)
        assert admitted.status_code == 200
        assert admitted.json()["asked_by"]


async def test_observer_example_counts_turns_and_shares_them_with_its_health_check(tmp_path: Path) -> None:
    async with traced_app(tmp_path, tracers=(), plan=built_in_and("acme_observer")) as app:
        assert (await app.invoke()).status_code == 200
        await eventually(lambda: turns(app, tmp_path), "a turn")


async def turns(app: App, folder: Path) -> int:
    headers = {"Authorization": f"Bearer {read_key(folder, 'admin')}"}
    health: httpx.Response = await app.http.get("/health/detailed", headers=headers)
    return int(health.json()["parts"]["acme"]["detail"]["turns"])


async def test_services_of_a_running_server_find_customers_and_take_calls(tmp_path: Path) -> None:
    contexts: list[PluginContext] = []
    module = load("acme_router")
    build = module.build

    def remember(context: PluginContext) -> Any:
        contexts.append(context)
        return build(context)

    module.build = remember  # type: ignore[attr-defined]
    item = Plugin(id="acme-router", target="acme_router", distribution="acme", version="1", module=module)
    plan = {"discovered": [*(one for one in scan() if one.builtin), item]}
    async with traced_app(tmp_path, tracers=(), plan=plan):
        (context,) = contexts
        found = await context.services.find(Identifiers(customer_id="EDW_HAWTHORNE_001"))
        assert [one.id for one in found] == ["EDW_HAWTHORNE_001"]
        assert context.services.calls.begins(Identifiers(phone="withheld")) is False
    with pytest.raises(ServicesNotOpenError):
        await context.services.find(Identifiers(name="Ada"))
