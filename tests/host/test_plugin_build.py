from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

import tilores_core.host.host as host_module
from tests.host.throwaway_plugins import Examine, Site, good
from tilores_core import (
    ConfigError,
    Identifiers,
    MissingDependencyError,
    PluginError,
    ServicesNotOpenError,
    SupportsPeek,
)
from tilores_core.contracts import CacheTier, CustomerSource, LLMProvider
from tilores_core.host import load
from tilores_core.host.roles import CACHE, EXECUTOR, HEALTH, LLM, OBSERVERS, SOURCE

SECRET = "hunter2-very-secret"


def spec(rest: str, name: str = "alpha") -> str:
    return good(name).replace("factory=Tier", rest)


async def test_a_factory_gets_id_settings_and_folder_and_is_closed(
    site: Site, examine: Examine, tmp_path: Path
) -> None:
    site.install("alpha", good("alpha"))
    host = examine()
    built = host.build(CACHE, "alpha")
    context = built.context  # type: ignore[attr-defined]
    assert (context.plugin_id, context.settings, context.data_dir) == ("alpha", None, tmp_path)
    assert host.build(CACHE, "alpha") is not built
    await host.aclose()
    assert built.closed  # type: ignore[attr-defined]


def test_a_factory_named_by_text_is_imported_when_it_is_built(site: Site, examine: Examine) -> None:
    code = {
        "alpha.py": spec("factory='alpha_tier:make.tier'"),
        "alpha_tier.py": good("x") + "class make: tier = Tier",
    }
    site.install("alpha", code)
    host = examine()
    assert "alpha_tier" not in sys.modules
    assert type(host.build(CACHE, "alpha")).__name__ == "Tier"


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("factory=lambda context: 1 / 0", "building 'cache:alpha' failed: ZeroDivisionError: division by zero"),
        ("factory=lambda context: exit(2)", "building 'cache:alpha' failed: SystemExit: 2"),
        ("factory=lambda: None", "building 'cache:alpha' failed: TypeError"),
        ("factory='nowhere_sdk:x'", "missing dependency 'nowhere_sdk'"),
        ("factory='alpha:Nothing'", "'alpha:Nothing': module has no 'Nothing'"),
        ("factory='alpha:__name__'", "cannot be called"),
        ("factory=lambda context: None", "made a NoneType, which lacks get_many, set_many, delete, delete_tag"),
        ("factory=lambda context: __import__('nowhere_sdk')", "missing dependency 'nowhere_sdk'"),
        ("factory=Tier.aclose", "its factory is async"),
    ],
)
def test_a_build_that_fails_names_the_plugin_and_the_cause(
    site: Site, examine: Examine, rest: str, reason: str
) -> None:
    site.install("alpha", spec(rest))
    site.install("beta", good("beta"))
    host = examine()
    with pytest.raises(PluginError) as caught:
        host.build(CACHE, "alpha")
    assert str(caught.value).startswith("plugin 'alpha' (dist-alpha 1.2.3): ")
    assert reason in str(caught.value)
    record = host.plugins[0]
    assert record.is_problem
    assert reason in record.reason
    host.build(CACHE, "beta")


def test_a_missing_method_is_named(site: Site, examine: Examine) -> None:
    site.install("alpha", good("alpha").replace("    async def delete_tag(self, tag): return 0\n", "    stats = 3\n"))
    with pytest.raises(PluginError, match=r"made a Tier, which lacks delete_tag\n"):
        examine().build(CACHE, "alpha")


def test_requirements_are_checked_before_the_factory_runs(site: Site, examine: Examine) -> None:
    requires = "requires={'json': 'x', 'nowhere_sdk.client': 'dist-alpha[sdk]'}"
    site.install("alpha", spec(f"factory=lambda context: 1 / 0, {requires}"))
    with pytest.raises(MissingDependencyError, match=r"nowhere_sdk(.|\n)*pip install 'dist-alpha\[sdk\]'"):
        examine().build(CACHE, "alpha")


def test_a_factorys_own_configuration_error_is_the_operators(site: Site, examine: Examine) -> None:
    refuse = """
from tilores_core import ConfigError

def make(context):
    raise ConfigError("no such file", where="here")
"""
    site.install("alpha", {"alpha.py": spec("factory='alpha_tier:make'"), "alpha_tier.py": refuse})
    host = examine()
    with pytest.raises(ConfigError, match="here: no such file"):
        host.build(CACHE, "alpha")
    assert host.plugins[0].state == "active"


def test_a_secret_in_a_factorys_error_reaches_neither_message_nor_traceback(site: Site, examine: Examine) -> None:
    code = {
        "alpha.py": spec("factory='alpha_tier:make', settings='alpha_tier:Settings'"),
        "alpha_tier.py": """
from pydantic import BaseModel, ConfigDict

class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    url: str

def make(context):
    raise OSError(f"cannot connect to {context.settings.url}")
""",
    }
    site.install("alpha", code)
    host = examine('[plugins.alpha]\nurl = { env = "URL" }', variables={"URL": f"redis://:{SECRET}@here"})
    with pytest.raises(PluginError) as caught:
        host.build(CACHE, "alpha")
    assert "OSError: cannot connect to ***" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in host.plugins[0].reason


def test_unknown_names_say_what_is_known(site: Site, examine: Examine) -> None:
    site.install("alpha", good("alpha"))
    with pytest.raises(ConfigError, match=r"no active plugin provides cache 'beta'\n.*alpha"):
        examine().build(CACHE, "beta")


USE = '[use]\ncache = ["near", "far"]\nsource = "people"\nmodel = "talk:big"\n'


def services(site: Site, far: str) -> None:
    code = """
from tilores_core import CustomerSourceSpec, LLMProviderSpec, hookimpl

@hookimpl
def register_customer_sources(): return [CustomerSourceSpec(name="people", factory=print)]
@hookimpl
def register_llm_providers(): return [LLMProviderSpec(name="talk", factory=print)]
"""
    site.install("services", code)
    site.install("near", good("near"))
    site.install("far", far)


def test_what_is_not_essential_is_switched_off_when_it_cannot_be_built(site: Site, examine: Examine) -> None:
    services(site, spec("factory=lambda context: 1 / 0", "far"))
    host = examine(USE)
    assert list(host.build_used(CACHE)) == ["near"]
    assert "ZeroDivisionError" in host.disabled_roles["cache/far"]
    assert any("is disabled" in warning for warning in host.warnings)
    assert list(host.build_used(CACHE)) == ["near"]


@pytest.mark.parametrize("extra", ["[plugins.far]\nrequired = true", "[host]\nstrict = true", "first"])
def test_what_is_essential_required_or_strict_stops(site: Site, examine: Examine, extra: str) -> None:
    services(site, spec("factory=lambda context: 1 / 0", "far"))
    toml = USE.replace('"near", "far"', '"far", "near"') if extra == "first" else USE + extra
    host = examine(toml)
    assert not host.problems
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        host.build_used(CACHE)


def test_the_default_models_provider_is_essential(site: Site, examine: Examine) -> None:
    services(site, good("far"))
    with pytest.raises(PluginError, match="lacks models"):
        examine(USE).build_used(LLM)


CLOSING = """
import asyncio
from tilores_core import HealthCheckSpec, hookimpl

closed = []

class Part:
    def __init__(self, name): self.name = name
    def __call__(self): pass
    async def aclose(self):
        closed.append(self.name)
        if self.name == "raises": raise ValueError("redis://:hunter2-very-secret@here")
        if self.name == "hangs":
            while True:
                try: await asyncio.sleep(60)
                except asyncio.CancelledError: closed.append("asked to stop"); raise

@hookimpl
def register_health_checks():
    return [HealthCheckSpec(name=n, factory=lambda c, n=n: Part(n)) for n in ("first", "raises", "hangs", "last")]
"""


async def test_closing_goes_backwards_and_each_on_its_own(
    site: Site, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "CLOSE_SECONDS", 0.05)
    site.install("closing", CLOSING)
    host = examine()
    for name in ("first", "raises", "hangs", "last"):
        host.build(HEALTH, name)
    with capture_logs() as lines:
        await host.aclose()
    await asyncio.sleep(0)
    assert sys.modules["closing"].closed == ["last", "hangs", "asked to stop", "raises", "first"]
    assert [(line["event"], line["registration"], line["error"]) for line in lines] == [
        ("plugin.close_failed", "health:hangs", "TimeoutError"),
        ("plugin.close_failed", "health:raises", "ValueError"),
    ]
    assert SECRET not in str(lines)
    await host.aclose()
    assert len(sys.modules["closing"].closed) == 5


BLOCKING = """
import threading
from tilores_core import HealthCheckSpec, hookimpl

released = threading.Event()

class Part:
    def __call__(self): pass
    async def aclose(self): released.wait(60)

@hookimpl
def register_health_checks():
    return [HealthCheckSpec(name="one", factory=lambda c: Part())]
"""


async def test_plugin_that_blocks_the_event_loop_while_it_is_closed_is_named_and_ends_the_process(
    site: Site, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "_SLOW_SECONDS", 0.01)
    monkeypatch.setattr(host_module, "_BLOCKED_SECONDS", 0.01)
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        sys.modules["blocking"].released.set()

    monkeypatch.setattr(load, "os", SimpleNamespace(_exit=end))
    site.install("blocking", BLOCKING)
    host = examine()
    host.build(HEALTH, "one")
    with capture_logs() as lines:
        await host.aclose()
    assert codes == [1]
    assert [(line["event"], line["plugin"]) for line in lines] == [
        ("plugin.slow", "blocking"),
        ("plugin.close_blocked", "blocking"),
    ]


async def test_an_executor_is_shut_down(site: Site, examine: Examine) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
from tilores_core import ExecutorSpec, hookimpl

@hookimpl
def register_executors():
    return [ExecutorSpec(name="threads", factory=lambda context: ThreadPoolExecutor(1))]
"""
    site.install("alpha", code)
    host = examine()
    executor = host.build(EXECUTOR, "threads")
    await host.aclose()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(print)


def test_the_names_checked_are_those_of_the_protocols() -> None:
    for role, protocol in ((CACHE, CacheTier), (SOURCE, CustomerSource), (LLM, LLMProvider)):
        methods = {name: lambda: None for name in role.methods}
        assert set(methods) == {name for name in dir(protocol) if not name.startswith("_")}
        assert SimpleNamespace(**methods)


MORE_MODELS = """
from tilores_core import LLMProviderSpec, hookimpl

class Models:
    def models(self): return ()
    def chat_model(self, model, parameters): raise NotImplementedError
    def map_error(self, error): return error
    async def aclose(self): pass

@hookimpl
def register_llm_providers():
    lacking = {"nowhere_sdk": "dist-models[sdk]"}
    return [LLMProviderSpec(name="here", factory=lambda context: Models()),
            LLMProviderSpec(name="elsewhere", factory=lambda context: Models(), requires=lacking)]
"""


def test_a_provider_nobody_names_may_lack_its_library(site: Site, examine: Examine) -> None:
    site.install("more-models", MORE_MODELS)
    host = examine('[use]\nmodel = "here:small"')
    assert list(host.build_used(LLM)) == ["here"]
    assert "pip install 'dist-models[sdk]'" in host.idle_providers["elsewhere"]
    assert not host.disabled_roles
    assert not any("elsewhere" in warning for warning in host.warnings)
    host = examine('[use]\nmodel = "here:small"\n[plugins.more-models]\nrequired = true')
    with pytest.raises(MissingDependencyError):
        host.build_used(LLM)


PEEKING = good("alpha").replace(
    "    async def aclose",
    "    def peek(self, key): return None\n    def put(self, key, entry): pass\n    async def aclose",
)


def test_build_object_with_an_ability_it_does_not_declare_is_refused(site: Site, examine: Examine) -> None:
    site.install("alpha", PEEKING)
    with pytest.raises(PluginError, match=r"has peek, put: write abilities=\(SupportsPeek,\)"):
        examine().build(CACHE, "alpha")


def test_build_object_without_a_declared_ability_is_refused(site: Site, examine: Examine) -> None:
    declared = "from tilores_core import SupportsPeek\n" + spec("factory=Tier, abilities=(SupportsPeek,)")
    site.install("alpha", declared)
    with pytest.raises(PluginError, match="declares SupportsPeek, but which lacks peek, put"):
        examine().build(CACHE, "alpha")


def test_build_object_with_declared_ability_is_built(site: Site, examine: Examine) -> None:
    code = PEEKING.replace("factory=Tier", "factory=Tier, abilities=(SupportsPeek,)")
    site.install("alpha", "from tilores_core import SupportsPeek\n" + code)
    assert isinstance(examine().build(CACHE, "alpha"), SupportsPeek)


def test_spec_with_an_ability_of_another_role_is_refused(site: Site, examine: Examine) -> None:
    code = "from tilores_core import SupportsTools\n" + spec("factory=Tier, abilities=(SupportsTools,)")
    site.install("alpha", code)
    (plugin,) = examine().plugins
    assert plugin.state == "failed"
    assert "SupportsPeek, SupportsLease, SupportsBroadcast" in plugin.reason


SHARING = """
from tilores_core import HealthCheckSpec, ObserverSpec, hookimpl

class Counter:
    seen = 0

class Part:
    def __init__(self, context):
        self.context, self.counter = context, context.state.get(Counter)
    async def __call__(self, outcome=None): return {"status": "ok", "seen": self.counter.seen}

@hookimpl
def register_health_checks(): return [HealthCheckSpec(name="x", factory=Part)]
@hookimpl
def register_observers(): return [ObserverSpec(name="x", factory=Part)]
"""


def test_state_is_shared_by_the_parts_of_one_plugin_alone(site: Site, examine: Examine) -> None:
    site.install("alpha", SHARING)
    site.install("beta", SHARING.replace('name="x"', 'name="y"'))
    host = examine()
    check: Any = host.build(HEALTH, "x")
    observer: Any = host.build(OBSERVERS, "x")
    other: Any = host.build(HEALTH, "y")
    assert check.counter is observer.counter
    assert other.counter is not check.counter
    assert examine().build(HEALTH, "x").counter is not check.counter  # type: ignore[attr-defined]


async def test_service_that_is_not_open_raises_and_names_it(site: Site, examine: Examine) -> None:
    site.install("alpha", SHARING)
    host = examine()
    check: Any = host.build(HEALTH, "x")
    services = check.context.services
    with pytest.raises(ServicesNotOpenError, match="'find' is not open"):
        await services.find(Identifiers(name="Ann"))
    uses: list[Callable[[], object]] = [
        lambda: services.calls,
        lambda: services.cache("own", ttl=1.0),
        lambda: services.require_key("chat"),
    ]
    for use in uses:
        with pytest.raises(ServicesNotOpenError):
            use()

    async def find(identifiers: Identifiers, *, limit: int) -> list[object]:
        return [identifiers.name, limit]

    host.services.open(find=find)
    assert await services.find(Identifiers(name="Ann")) == ["Ann", 10]
    host.services.close()
    with pytest.raises(ServicesNotOpenError):
        await services.find(Identifiers(name="Ann"))
